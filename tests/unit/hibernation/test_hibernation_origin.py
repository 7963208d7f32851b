"""Whose code a file holds, by where it lies."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import fastapi
import pydantic
import pytest
import starlette

import gatesocket
from gatesocket import first_message
from gatesocket.hibernation import origin as module
from gatesocket.hibernation.origin import Origin, origin


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """The directories of one test are looked at by that test."""
    origin.cache_clear()
    module._installed_into.cache_clear()
    yield
    module._framework.cache_clear()


@pytest.mark.parametrize("found", [asyncio, anyio, fastapi, starlette, gatesocket, contextlib])
def test_what_stands_between_the_server_and_a_route_is_framework(found: object) -> None:
    assert origin(str(found.__file__)) is Origin.FRAMEWORK  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "file",
    [
        json.__file__,
        pydantic.__file__,
        first_message.__file__,  # stands in a route's place
        "<frozen importlib._bootstrap>",
        "/opt/venv/lib/python3.12/site-packages/redis/client.py",
        "/usr/lib/python3/dist-packages/yaml/__init__.py",
    ],
)
def test_the_standard_library_and_what_is_installed_are_libraries(file: str) -> None:
    assert origin(file) is Origin.LIBRARY


@pytest.mark.parametrize("file", [__file__, "/srv/app/main.py", "main.py", "<string>", "<ipython-input-1>"])
def test_everything_else_is_the_apps_own(file: str) -> None:
    assert origin(file) is Origin.OWN


def test_in_a_lambda_package_the_installed_files_are_told_from_the_apps_by_their_records(tmp_path: Path) -> None:
    record = tmp_path / "redis-5.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text(
        "redis/__init__.py,sha256=x,1\nredis/client.py,sha256=x,1\nsix.py,sha256=x,1\n"
        "../../bin/redis,sha256=x,1\nredis-5.0.dist-info/METADATA,sha256=x,1\n"
    )

    assert origin(str(tmp_path / "redis" / "client.py")) is Origin.LIBRARY
    assert origin(str(tmp_path / "six.py")) is Origin.LIBRARY
    assert origin(str(tmp_path / "chat" / "app.py")) is Origin.OWN
    assert origin(str(tmp_path / "redistribution.py")) is Origin.OWN


def test_a_framework_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    module._framework.cache_clear()
    monkeypatch.setattr(module, "find_spec", lambda name: None)

    assert origin(asyncio.__file__) is Origin.FRAMEWORK
    assert origin(fastapi.__file__) is Origin.LIBRARY
