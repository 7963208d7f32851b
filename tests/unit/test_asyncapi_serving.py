"""The routes by which an app serves its AsyncAPI document and the page."""

import re
import subprocess
import sys
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gatesocket import asyncapi
from gatesocket.asyncapi import add_asyncapi
from gatesocket.exceptions import ConfigurationError


def client_of(app: Starlette, **options: Any) -> TestClient:
    add_asyncapi(app, **options)
    return TestClient(app)


def test_routes_that_are_added_later_are_in_the_document() -> None:
    app = FastAPI(title="Later")
    client = client_of(app)

    @app.websocket("/ws")
    async def chat(websocket: WebSocket) -> None: ...

    document = client.get("/asyncapi.json").json()
    assert document["info"]["title"] == "Later"
    assert list(document["channels"]) == ["chat"]
    assert client.get("/asyncapi.json").json() == document


def test_the_server_is_the_host_that_was_asked() -> None:
    app = Starlette()
    add_asyncapi(app)
    client = TestClient(app, base_url="https://chat.example.com", root_path="/under")
    servers = client.get("/under/asyncapi.json").json()["servers"]
    assert servers == {"here": {"host": "chat.example.com", "protocol": "wss", "pathname": "/under"}}


def test_the_server_is_the_websocket_api_if_the_settings_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP routes and WebSocket routes are two APIs with two addresses, and the second has no paths."""
    monkeypatch.setenv("GATESOCKET_ENDPOINT", "https://gateway.example.com/prod")
    servers = client_of(FastAPI()).get("/asyncapi.json").json()["servers"]
    assert servers == {
        "gateway": {
            "host": "gateway.example.com",
            "protocol": "wss",
            "pathname": "/prod",
            "x-gatesocket-path-parameter": "__path",
        }
    }


def test_servers_and_the_rest_of_the_description_can_be_given() -> None:
    client = client_of(FastAPI(), servers={"production": "wss://example.com"}, title="Given")
    document = client.get("/asyncapi.json").json()
    assert document["servers"] == {"production": {"host": "example.com", "protocol": "wss"}}
    assert document["info"]["title"] == "Given"


def test_a_wrong_description_is_told_when_the_document_is_asked_for() -> None:
    client = client_of(FastAPI(), servers={"wrong": "https://example.com"})
    with pytest.raises(ConfigurationError, match="'wrong'"):
        client.get("/asyncapi.json")


@pytest.mark.parametrize(
    ("page_url", "document_url"), [("/asyncapi", "/asyncapi.json"), ("/docs/ws/page", "/api/ws.json")]
)
def test_the_page_finds_its_document_and_assets_by_relative_addresses(page_url: str, document_url: str) -> None:
    """So it does so under a stage's or a proxy's prefix, too."""
    client = client_of(FastAPI(), page_url=page_url, document_url=document_url)
    page = client.get(page_url)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    addresses = re.findall(r'(?:href|src|data-document)="(?!data:)([^"]+)"', page.text)
    assert len(addresses) == 4
    for address in addresses:
        assert "//" not in address  # no other host
        assert client.get(str(page.url.join(address))).status_code == 200


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("page.js", "text/javascript"),
        ("prose.js", "text/javascript"),
        ("sample.js", "text/javascript"),
        ("page.css", "text/css"),
    ],
)
def test_assets_have_their_types(name: str, media_type: str) -> None:
    answer = client_of(FastAPI()).get(f"/asyncapi/{name}")
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"


@pytest.mark.parametrize("name", ["index.html", "..%2Fserving.py", "%2Fetc%2Fpasswd"])
def test_nothing_else_can_be_had_of_the_pages_directory(name: str) -> None:
    assert client_of(FastAPI()).get(f"/asyncapi/{name}").status_code == 404


def test_the_page_can_be_left_out() -> None:
    client = client_of(FastAPI(), page_url=None)
    assert client.get("/asyncapi").status_code == 404
    assert client.get("/asyncapi.json").status_code == 200


def test_neither_is_in_the_apps_openapi_document() -> None:
    app = FastAPI()
    add_asyncapi(app)
    assert app.openapi()["paths"] == {}


def test_an_app_that_nobody_asks_for_its_description_loads_nothing_for_it() -> None:
    script = (
        "import sys\nfrom starlette.applications import Starlette\nfrom gatesocket.asyncapi import add_asyncapi\n"
        "add_asyncapi(Starlette())\nprint('gatesocket.asyncapi.document' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-Ic", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gatesocket.asyncapi' has no attribute 'nothing'"):
        asyncapi.nothing  # noqa: B018  # the access is the test
