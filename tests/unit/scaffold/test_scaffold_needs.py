"""What an app uses, read from its source and its routes."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from gatesocket.scaffold.needs import Needs, needs_of

Look = Callable[..., Needs]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    """Writes modules, imports ``needy.main``, and says what it needs for an app without routes."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def look(app: Any = None, **modules: str) -> Needs:
        for name, source in {"__init__": "", "main": "", **modules}.items():
            path = tmp_path / "needy" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(source, encoding="utf-8")
        importlib.invalidate_caches()
        return needs_of(app or Starlette(), importlib.import_module("needy.main"), tmp_path)

    yield look
    for name in [name for name in sys.modules if name.partition(".")[0] == "needy"]:
        del sys.modules[name]


JOBS = "from gatesocket.jobs import job"
NOTHING = Needs(http=False, jobs=False, broadcasts=False, fastapi=False, tokens=False, distributions=())


def test_an_app_that_only_answers_needs_nothing(look: Look) -> None:
    assert look(main="import json\nfrom starlette.applications import Starlette") == NOTHING


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("from gatesocket import ConnectionManager", "broadcasts"),
        ("from gatesocket.manager import ConnectionManager as M", "broadcasts"),
        ("import gatesocket", "broadcasts"),
        ("from gatesocket.jobs import job", "jobs"),
        ("import gatesocket.jobs as work", "jobs"),
        ("from gatesocket.tokens import JWTs", "tokens"),
        ("def later():\n    from gatesocket.jobs import job", "jobs"),
        ("import fastapi", "fastapi"),
    ],
)
def test_what_a_module_imports_is_used(look: Look, source: str, uses: str) -> None:
    assert used(look(main=source)) == [uses]


@pytest.mark.parametrize(
    "modules",
    [
        {"main": "from needy import more", "more": JOBS},
        {"__init__": JOBS},
        {"main": "from .more import __name__", "more": JOBS},
        {"main": "import needy.one", "one": "from . import two", "two": JOBS},
    ],
    ids=["another", "the package", "a relative name", "another's other"],
)
def test_what_modules_import_that_it_imports_is_used(look: Look, modules: dict[str, str]) -> None:
    assert used(look(**modules)) == ["jobs"]


def used(needs: Needs) -> list[str]:
    return [name for name in ("http", "jobs", "broadcasts", "fastapi", "tokens") if getattr(needs, name)]


IMPORTS = """
import boto3
import needy
import pydantic_settings
import yaml
try:
    import nowhere_at_all
except ImportError:
    from jsonschema.validators import validate
"""


def test_what_is_installed_is_asked_for_by_the_names_of_its_distributions(look: Look) -> None:
    needs = look(main=IMPORTS)
    assert needs.distributions == ("jsonschema", "pyyaml")


async def nothing(*_: Any) -> None: ...


def with_router() -> FastAPI:
    router, app = APIRouter(), FastAPI()
    router.add_api_route("/here", nothing)
    app.include_router(router, prefix="/under")
    return app


def with_sockets_only() -> FastAPI:
    router, app = APIRouter(), FastAPI()

    @router.websocket("/ws")
    async def socket(websocket: WebSocket) -> None: ...

    app.include_router(router)
    app.add_api_websocket_route("/ws2", socket)
    app.mount("/more", Starlette(routes=[WebSocketRoute("/ws", socket)]))
    return app


@pytest.mark.parametrize(
    ("app", "served"),
    [
        (FastAPI(), False),
        (FastAPI(docs_url=None, openapi_url="/api.json"), False),
        (with_sockets_only(), False),
        (with_router(), True),
        (Starlette(routes=[Route("/", PlainTextResponse("hi"))]), True),
        (Starlette(routes=[Mount("/static", StaticFiles(directory=Path(__file__).parent))]), True),
        (Starlette(routes=[Mount("/under", Starlette(routes=[Route("/", PlainTextResponse("hi"))]))]), True),
        (Starlette(routes=[Host("a.example", Starlette())]), False),
        (nothing, True),
    ],
    ids=["documents", "other documents", "sockets", "router", "route", "files", "mount", "host", "any ASGI app"],
)
def test_http_routes_of_its_own_are_served(look: Look, app: Any, served: bool) -> None:
    assert look(app).http is served
