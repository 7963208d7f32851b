"""A pytest plugin: whatever test client a test imports, it gets `GatewayTestClient`.

Only tests that open a WebSocket are run, and only on asyncio, which Lambda's handlers run on. Their outcomes are
written as JSON to the file that ``--outcomes`` names.
"""

import inspect
import json
from pathlib import Path

import fastapi.testclient
import pytest
import starlette.testclient

from gatesocket.testing import GatewayTestClient

starlette.testclient.TestClient = GatewayTestClient  # type: ignore[assignment, misc]
fastapi.testclient.TestClient = GatewayTestClient  # type: ignore[assignment, misc]

_outcomes: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, required=True)


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
