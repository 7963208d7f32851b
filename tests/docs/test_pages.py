"""What single pages say beyond their blocks."""

import re
import time
import tomllib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt import PyJWK, PyJWKClient, encode
from jwt.algorithms import RSAAlgorithm
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from gatesocket.testing import GatewayTestClient, GatewayTestSession
from support.pages import ROOT, Shown, blocks


def test_the_entry_points_of_the_readme_are_those_of_the_reference_app() -> None:
    [shown] = [block for block in blocks(ROOT / "README.md", "python") if block.file == "handlers/chat/entry.py"]
    deployed = (ROOT / "handlers" / "chat" / "entry.py").read_text(encoding="utf-8")

    for line in shown.text.splitlines()[1:]:
        assert line.split("  #")[0] in deployed


def test_the_loop_over_messages_ends_as_the_page_says(show: Callable[..., Shown]) -> None:
    app = show("docs/messages.md")["app"]

    with GatewayTestClient(app).websocket_connect("/chat") as session:
        session.send_json({"type": "say", "data": {"text": "hello"}})
        assert session.receive_json() == {"type": "said", "data": {"name": "guest", "text": "hello"}}
        session.send_json({"type": "leave"})
        with pytest.raises(WebSocketDisconnect):
            session.receive_text()


def test_the_versions_of_the_support_matrix_are_those_that_the_package_asks_for() -> None:
    page = (ROOT / "docs/support-matrix.md").read_text(encoding="utf-8").partition("## Versions")[2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = " ".join([*project["dependencies"], *project["optional-dependencies"]["testing"]])

    for name, *versions in re.findall(r"^\| (\w+) \| ([\d.]+) and later(?:; ([\d.]+))?", page, re.MULTILINE):
        for version in filter(None, versions):
            assert f"{name.lower()}>={version} " in f"{asked} ".replace(",", " "), name
    supported = [each.removeprefix("Programming Language :: Python :: ") for each in project["classifiers"]]
    [pythons] = re.findall(r"^\| Python \| ([\d., ]+);", page, re.MULTILINE)
    assert pythons.split(", ") == [each for each in supported if each.startswith("3.")]


class Issuer:
    """Signs, and stands in for the key server of the page about authentication."""

    def __init__(self, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
        self._issuer = shown["ISSUER"]
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = PyJWK(RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True) | {"kid": "k1"})
        monkeypatch.setattr(PyJWKClient, "get_signing_key_from_jwt", lambda _client, _token: public)

    def sign(self, expires_in: float) -> str:
        said = {"sub": "ann", "exp": time.time() + expires_in, "iss": self._issuer, "aud": "chat"}
        return encode(said, self._key, algorithm="RS256")


def greets(session: GatewayTestSession) -> None:
    for text in ("hello", "again"):
        session.send_text(text)
        assert session.receive_text() == f"ann: {text}"


def test_whoever_is_known_gets_in_and_gets_a_ticket(show: Callable[..., Shown]) -> None:
    app = show("docs/authentication.md")["app"]

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


def test_a_connection_ends_with_its_token(show: Callable[..., Shown], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show("docs/authentication.md")
    issuer = Issuer(shown, monkeypatch)

    with GatewayTestClient(shown["app"]) as client:
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
