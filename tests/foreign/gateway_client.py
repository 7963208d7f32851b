"""A pytest plugin: whatever test client a test imports, it gets `GatewayTestClient`.

``--quirk NAME=VALUE`` settles for it what is not known of API Gateway. Only tests that open a WebSocket are run, and
only on asyncio, which Lambda's handlers run on. Their outcomes are written as JSON to the file that ``--outcomes``
names.
"""

import functools
import inspect
import json
from pathlib import Path

import fastapi.testclient
import pytest
import starlette.testclient

from gatesocket.emulator.quirks import settle
from gatesocket.testing import GatewayTestClient

_outcomes: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, required=True)
    parser.addoption("--quirk", action="append", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # Before a conftest imports the client.
    given = early_config.known_args_namespace.quirk
    quirks = settle(dict(quirk.split("=", 1) for quirk in given))
    init = functools.partialmethod(GatewayTestClient.__init__, quirks=quirks)
    client = type("QuirkyClient", (GatewayTestClient,), {"__init__": init})
    starlette.testclient.TestClient = fastapi.testclient.TestClient = client  # type: ignore[assignment, misc]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if _opens_a_websocket(item) and "trio" not in item.name]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.getoption("--outcomes").write_text(json.dumps(_outcomes), encoding="utf-8")


def _opens_a_websocket(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "websocket" in inspect.getsource(item.function).lower()
