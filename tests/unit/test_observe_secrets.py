"""What everything that observes writes of a connection whose every part is secret: none of it."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import jwt
import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from fastapi import Depends, FastAPI, WebSocket
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from gatesocket import ConnectionManager
from gatesocket.auth import AllowedOrigins, Authenticate, InCookie, InHeader, InQuery, InSubprotocol
from gatesocket.backend import use
from gatesocket.first_message import FirstMessage
from gatesocket.messages import messages
from gatesocket.observe import ConnectionFields, EmbeddedMetrics
from gatesocket.observe.tracing import Tracing
from gatesocket.tickets import Tickets
from gatesocket.tokens import Claims, JWTs
from support.cloud import Cloud, end_all
from support.lambda_events import CONNECTION, connect, disconnect, message

SECRET = "s3cret"
"""In everything that a client sends."""

KEY = f"{SECRET}-key-of-thirty-two-bytes-or-more"
TOKEN = f"{SECRET}-token"
ORIGIN = f"https://{SECRET}.example"


class User(BaseModel):
    name: str


class Say(BaseModel):
    text: str


def user_of(token: str) -> User | None:
    return User(name=f"{SECRET} ann") if token == TOKEN else None


tickets = Tickets(User)
manager = ConnectionManager()

AnyPlace = Annotated[
    User, Depends(Authenticate(user_of, InHeader(), InCookie("session"), InSubprotocol(), InQuery("token")))
]
Guest = Annotated[User, Depends(Authenticate(tickets.spend, InQuery("ticket")))]
Known = Annotated[Claims, Depends(Authenticate(JWTs(key=KEY, algorithms=["HS256"]), InHeader()))]
Late = Annotated[User, Depends(FirstMessage(user_of))]


async def talk(websocket: WebSocket, name: str) -> None:
    await manager.connect(websocket, user=name, groups=[f"{SECRET} group"])
    async for said in messages(websocket, Say):
        if said.text.endswith("fail"):
            raise LookupError(said.text.removeprefix(SECRET))
        await manager.broadcast(said.text, group=f"{SECRET} group")


@pytest.fixture(autouse=True)
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


class Watched:
    """A deployment with every observer on, and whatever they have written."""

    def __init__(self, stream: io.StringIO) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        app = FastAPI(telemetry={"tracer_provider": provider})
        self.stream = stream

        @app.websocket("/token/{room}", dependencies=[Depends(AllowedOrigins(ORIGIN))])
        async def with_token(websocket: WebSocket, room: str, user: AnyPlace) -> None:
            await talk(websocket, user.name)

        @app.websocket("/ticket")
        async def with_ticket(websocket: WebSocket, user: Guest) -> None:
            await talk(websocket, user.name)

        @app.websocket("/known")
        async def with_jwt(websocket: WebSocket, claims: Known) -> None:
            await talk(websocket, claims.sub or "")

        @app.websocket("/late")
        async def with_message(websocket: WebSocket, user: Late) -> None:
            await talk(websocket, user.name)

        self.cloud = Cloud(app, observer=EmbeddedMetrics("Chat", stream=stream), tracing=Tracing(provider))

    @property
    def written(self) -> str:
        return self.stream.getvalue() + "".join(span.to_json() for span in self.exporter.get_finished_spans())

    async def converse(self, handshake: dict[str, Any], *first: str) -> dict[str, Any]:
        """Let a client say what it can: what is understood, what isn't, and what fails."""
        answer = await self.cloud(handshake)
        said = json.dumps({"type": "say", "data": {"text": f"{SECRET} hello"}})
        for text in (*first, said, f"{SECRET} nonsense", json.dumps({"type": SECRET})):
            await self.cloud(message(text))
        self.cloud.gateway.refuse(CONNECTION, 429)
        await self.cloud(message(said))
        await self.cloud(message(said.replace("hello", "fail")))
        await self.cloud(disconnect(reason=SECRET))
        return answer


@pytest.fixture
def watched() -> Iterator[Watched]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LambdaPowertoolsFormatter())
    handler.addFilter(ConnectionFields())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield Watched(stream)
    root.setLevel(level)
    root.removeHandler(handler)


def encoded(**claims: Any) -> str:
    """A JSON Web Token, in which the secret can't be seen."""
    return jwt.encode({"sub": f"{SECRET} ann", "exp": 1 << 40, **claims}, KEY, algorithm="HS256")


HANDSHAKES = {
    "header": connect(f"/token/{SECRET}", headers={"Authorization": f"Bearer {TOKEN}"}),
    "cookie": connect(f"/token/{SECRET}", headers={"Cookie": f"session={TOKEN}"}),
    "subprotocol": connect(f"/token/{SECRET}", headers={"Sec-WebSocket-Protocol": f"bearer, {TOKEN}"}),
    "query": connect(f"/token/{SECRET}", query={"token": TOKEN}, headers={}),
    "jwt": connect("/known", headers={"Authorization": f"Bearer {encoded()}"}),
    "first message": connect("/late"),
}
TURNED_AWAY = {
    "header": connect(f"/token/{SECRET}", headers={"Authorization": f"Bearer {SECRET}-other"}),
    "cookie": connect(f"/token/{SECRET}", headers={"Cookie": f"session={SECRET}-other"}),
    "subprotocol": connect(f"/token/{SECRET}", headers={"Sec-WebSocket-Protocol": f"bearer, {SECRET}-other"}),
    "query": connect(f"/token/{SECRET}", query={"token": f"{SECRET}-other"}, headers={}),
    "origin": connect(
        f"/token/{SECRET}", query={"token": TOKEN}, headers={"Origin": f"https://other-{SECRET}.example"}
    ),
    "ticket": connect("/ticket", query={"ticket": f"{SECRET}-ticket"}),
    "expired jwt": connect("/known", headers={"Authorization": f"Bearer {encoded(exp=1)}"}),
    "forged jwt": connect("/known", headers={"Authorization": f"Bearer {encoded()}x"}),
    "no route": connect(f"/{SECRET}", query={"token": TOKEN}),
}


@pytest.mark.parametrize("place", HANDSHAKES)
async def test_nothing_that_a_client_sends_is_written(watched: Watched, place: str) -> None:
    first = json.dumps({"type": "authenticate", "data": {"token": TOKEN}})
    answer = await watched.converse(HANDSHAKES[place], *[first] if place == "first message" else [])

    assert answer["statusCode"] == 200
    assert f"{SECRET} hello" in watched.cloud.sent
    written = watched.written
    assert SECRET not in written
    assert encoded() not in written
    # It isn't empty: each event has its line and its span, and the route's failure is told.
    lines = [json.loads(line) for line in watched.stream.getvalue().splitlines()]
    metrics = [line for line in lines if "_aws" in line]
    assert [line["Event"] for line in metrics][:2] == ["connect", "message"]
    assert any(line["RouteErrors"] for line in metrics)
    assert any("the route ended with an error" in line.get("message", "") for line in lines)
    assert "message /" in written


@pytest.mark.parametrize("place", TURNED_AWAY)
async def test_nor_what_somebody_sends_who_is_turned_away(watched: Watched, place: str) -> None:
    answer = await watched.cloud(TURNED_AWAY[place])

    assert answer["statusCode"] == 403
    assert SECRET not in watched.written
    assert encoded() not in watched.written
    assert encoded(exp=1) not in watched.written
    assert '"Refused": 1' in watched.written


async def test_a_ticket_is_not_written_whether_it_is_good_or_spent(watched: Watched) -> None:
    with use(watched.cloud.backend):
        ticket = await tickets.issue(User(name=f"{SECRET} ann"))

    assert (await watched.converse(connect("/ticket", query={"ticket": ticket})))["statusCode"] == 200
    assert (await watched.cloud(connect("/ticket", query={"ticket": ticket})))["statusCode"] == 403
    assert SECRET not in watched.written
    assert ticket not in watched.written
