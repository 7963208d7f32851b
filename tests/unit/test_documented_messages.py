"""What docs/messages.md and docs/authentication.md show is run here as it stands there."""

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Depends, FastAPI, WebSocket
from jwt import PyJWK, PyJWKClient, encode
from jwt.algorithms import RSAAlgorithm
from pydantic import BaseModel, Field
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from gatesocket import ConnectionManager, auth, messages, tickets, tokens
from gatesocket.testing import GatewayTestClient, GatewayTestSession

DOCS = Path(__file__).parents[2] / "docs"
ISSUER = "https://issuer.example"


def shown(page: str, directory: Path, monkeypatch: pytest.MonkeyPatch, **names: Any) -> FastAPI:
    """The app that the Python blocks of a page make, one after the other."""
    text = "\n\n".join(re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL))
    file = directory / "shown.py"  # a route hibernates by its source
    file.write_text(text, encoding="utf-8")
    module = ModuleType("shown")
    monkeypatch.setitem(sys.modules, "shown", module)
    app = FastAPI()
    vars(module).update(
        {"app": app, "manager": ConnectionManager(), "Annotated": Annotated, "BaseModel": BaseModel}
        | {"Depends": Depends, "Field": Field, "WebSocket": WebSocket, "asyncio": asyncio, "time": time}
        | {name: getattr(each, name) for each in (auth, messages, tickets, tokens) for name in each.__all__}
        | names
    )
    exec(compile(text, str(file), "exec"), vars(module))
    return app


def exchanges(page: str) -> list[tuple[Any, Any]]:
    """What a page says that a client sends, and what it gets."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        (json.loads(sent), json.loads(got)) for sent, got in re.findall(r"```\n→ (.*?)\n← (.*?)\n```", text, re.DOTALL)
    ]


def test_the_envelopes_of_the_page_are_what_its_route_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = shown("messages.md", tmp_path, monkeypatch)

    with GatewayTestClient(app).websocket_connect("/chat") as session:
        found = exchanges("messages.md")
        assert len(found) == 2
        for sent, got in found:
            session.send_json(sent)
            assert session.receive_json() == got
        session.send_json({"type": "say", "data": {"text": "hello"}})
        assert session.receive_json() == {"type": "said", "data": {"name": "Ann", "text": "hello"}}
        session.send_json({"type": "leave"})
        with pytest.raises(WebSocketDisconnect):
            session.receive_text()


class Database:
    """Stands in for the page's."""

    async def user_with(self, token: str) -> Any:
        return sys.modules["shown"].User(name="ann") if token == "right" else None


class Issuer:
    """Signs, and stands in for the key server of the page."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = PyJWK(RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True) | {"kid": "k1"})
        monkeypatch.setattr(PyJWKClient, "get_signing_key_from_jwt", lambda _client, _token: public)

    def sign(self, expires_in: float) -> str:
        said = {"sub": "ann", "exp": time.time() + expires_in, "iss": ISSUER, "aud": "chat"}
        return encode(said, self.key, algorithm="RS256")


def greets(session: GatewayTestSession) -> None:
    for text in ("hello", "again"):
        session.send_text(text)
        assert session.receive_text() == f"ann: {text}"


def test_whoever_is_known_gets_in_and_gets_a_ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = shown("authentication.md", tmp_path, monkeypatch, database=Database(), ISSUER=ISSUER)

    with GatewayTestClient(app) as client:
        with client.websocket_connect("/chat", subprotocols=["bearer", "right"]) as session:
            assert session.accepted_subprotocol == "bearer"
            greets(session)
        for evil in ({"headers": {"origin": "https://evil.example"}}, {"subprotocols": ["bearer", "wrong"]}):
            with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/chat", **evil):
                pass
        assert client.post("/tickets").status_code == 401
        ticket = client.post("/tickets", headers={"authorization": "Bearer right"}).json()
        with client.websocket_connect(f"/guests?ticket={ticket}") as session:
            greets(session)


def test_a_connection_ends_with_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(monkeypatch)
    app = shown("authentication.md", tmp_path, monkeypatch, database=Database(), ISSUER=ISSUER)

    with GatewayTestClient(app) as client:
        for token in (issuer.sign(-60), "x"):
            with (
                pytest.raises(WebSocketDenialResponse),
                client.websocket_connect("/known", subprotocols=["bearer", token]),
            ):
                pass
        with client.websocket_connect("/known", subprotocols=["bearer", issuer.sign(600)]) as session:
            greets(session)
            client.advance(601)
            with pytest.raises(WebSocketDisconnect):
                session.receive_text()
