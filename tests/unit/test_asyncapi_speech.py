"""What the source of a route tells of the messages that go over its connections."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import pytest
from fastapi import FastAPI, WebSocket
from pydantic import BaseModel, JsonValue
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import Router, WebSocketRoute

from gatesocket import ConnectionManager
from gatesocket.asyncapi import speaks
from gatesocket.asyncapi.speech import Speech, speech_of
from gatesocket.envelopes import Ack, Envelope, Error, envelope
from gatesocket.hibernation import prepare
from gatesocket.hibernation.discover import discover
from gatesocket.jobs import Enqueuer, Job, job
from gatesocket.messages import Messages, messages

manager = ConnectionManager()


class Say(BaseModel):
    text: str


class Leave(BaseModel):
    pass


class Said(BaseModel):
    text: str


Command: TypeAlias = Say | Leave


def make_said() -> Said:
    return Said(text="made")


def unannotated():  # type: ignore[no-untyped-def]
    return Said(text="made")


def for_type_checkers_only() -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821
    return Said(text="made")


async def fetch_said() -> Said:
    return Said(text="fetched")


async def greet(websocket: WebSocket) -> None:
    await websocket.send_text("hello")
    await greet(websocket)  # who calls himself is read once


async def answer(incoming: Messages[Say | Leave]) -> None:
    await incoming.reply(Said(text="answered"))


def spoken_by(endpoint: Callable[..., Any]) -> Speech:
    (found,) = discover(Router(routes=[WebSocketRoute("/", endpoint)])).routes
    return speech_of(endpoint, (found.endpoint, *found.others))


async def texts(websocket: WebSocket) -> None:
    async for text in websocket.iter_text():
        await websocket.send_text(f"{text}!")


async def values(websocket: WebSocket) -> None:
    await websocket.send_json(await websocket.receive_json())


async def raw(websocket: WebSocket) -> None:
    await websocket.send_bytes(await websocket.receive_bytes())


async def without_annotations(websocket) -> None:  # type: ignore[no-untyped-def]
    await websocket.send_text(await websocket.receive_text())
    await websocket.ping()


async def through_functions(websocket: WebSocket) -> None:
    await greet(websocket)
    len("a built-in has no source to follow")


async def models(websocket: WebSocket) -> None:
    await websocket.send_json(Said(text="at once").model_dump())


async def a_local(websocket: WebSocket) -> None:
    said = Said(text="before")
    await websocket.send_text(said.model_dump_json())


async def a_local_of_two_kinds(websocket: WebSocket) -> None:
    said: BaseModel = Said(text="before")
    said = Leave()
    await manager.broadcast(said)


async def returned(websocket: WebSocket) -> None:
    await manager.broadcast(make_said())


async def awaited(websocket: WebSocket) -> None:
    said = await fetch_said()
    await manager.broadcast(message=said)


async def nobody_knows_what(websocket: WebSocket) -> None:
    await manager.broadcast(unannotated())  # type: ignore[no-untyped-call]
    await manager.broadcast(for_type_checkers_only())


async def by_a_manager(websocket: WebSocket) -> None:
    await manager.send_personal_message({"json": True}, websocket)
    await manager.send_to("connection", "text")
    await manager.send_to_user("ann", Said(text="ann"))


@job
async def render(user: str, pages: int) -> str | None:
    await manager.send_to_user(user, {"begun": pages})
    if not pages:
        return None

    def name() -> int:
        return 5  # not of the job

    return f"{pages} pages: {name()}"


@job
def log(text: str) -> None:
    return


async def by_jobs(websocket: WebSocket) -> None:
    await render.enqueue("ann", 5)
    await log.reply_to(user="ann").enqueue("rendered")


async def by_the_reply_of_a_job(websocket: WebSocket) -> None:
    await render.reply_to(user="ann").enqueue("ann", 5)


async def by_a_job_that_is_passed(websocket: WebSocket, passed: Job[[], str], enqueuer: Enqueuer[[]]) -> None:
    await passed.enqueue()
    await passed.reply_to(user="ann").enqueue()
    await enqueuer.enqueue()


@pytest.mark.parametrize(
    ("endpoint", "received", "sent"),
    [
        (texts, [str], [str]),
        (values, [JsonValue], [JsonValue]),
        (raw, [bytes], [bytes]),
        (without_annotations, [str], [str]),
        (through_functions, [], [str]),
        (models, [], [Said]),
        (a_local, [], [Said]),
        (a_local_of_two_kinds, [], [Any]),
        (returned, [], [Said]),
        (awaited, [], [Said]),
        (nobody_knows_what, [], [Any]),
        (by_a_manager, [], [JsonValue, str, Said]),
        (by_jobs, [], [JsonValue]),
        (by_the_reply_of_a_job, [], [JsonValue, str]),
        (by_a_job_that_is_passed, [], []),
    ],
)
def test_what_is_received_and_sent_is_read_from_the_source(
    endpoint: Callable[..., Any], received: list[Any], sent: list[Any]
) -> None:
    assert spoken_by(endpoint) == Speech(tuple(received), tuple(sent))


async def enveloped(websocket: WebSocket) -> None:
    incoming = messages(websocket, Say | Leave)
    async for _ in incoming:
        await incoming.reply(Said(text="replied"))
        await manager.broadcast(envelope(Say(text="all")))


async def by_alias(websocket: WebSocket) -> None:
    async for _ in messages(websocket, kinds=Command):
        await websocket.send_text(envelope(unannotated()))  # type: ignore[no-untyped-call]


async def handed_on(websocket: WebSocket) -> None:
    await answer(messages(websocket, Say))


async def chosen_at_run_time(websocket: WebSocket) -> None:
    kinds = Say
    await messages(websocket, kinds).receive()


def in_envelope(model: Any) -> Any:
    return Envelope[model]


ANSWERS = (Envelope[Ack], Envelope[Error])


@pytest.mark.parametrize(
    ("endpoint", "received", "sent"),
    [
        (enveloped, [Say, Leave], [Said, Say]),
        (by_alias, [Say, Leave], [BaseModel]),
        (handed_on, [Say], [Said]),
        (chosen_at_run_time, [], []),
    ],
)
def test_messages_travel_in_envelopes_and_are_answered_by_acknowledgements_and_errors(
    endpoint: Callable[..., Any], received: list[Any], sent: list[Any]
) -> None:
    speech = spoken_by(endpoint)
    assert speech.received == tuple(map(in_envelope, received))
    assert speech.sent == (*map(in_envelope, sent), *ANSWERS)


def test_a_declaration_goes_before_the_source() -> None:
    @speaks(receives=Annotated[Say | Leave, "discriminated"], sends=str)
    async def declared(websocket: WebSocket) -> None:
        await websocket.receive_json()

    assert spoken_by(declared) == Speech((Say, Leave), (str,))


def test_what_is_not_declared_is_left_to_the_source() -> None:
    @speaks(sends=Said)
    async def half(websocket: WebSocket) -> None:
        await websocket.receive_text()

    assert spoken_by(half) == Speech((str,), (Said,))


def test_a_declaration_is_seen_through_what_wraps_the_endpoint() -> None:
    @speaks(receives=Say)
    async def declared(websocket: WebSocket, greeting: str) -> None: ...

    assert spoken_by(functools.partial(declared, greeting="hello")) == Speech((Say,), ())


@pytest.mark.parametrize(("encoding", "received"), [("text", (str,)), ("json", (JsonValue,)), ("bytes", (bytes,))])
def test_starlettes_class_receives_what_its_encoding_says(encoding: str, received: tuple[Any, ...]) -> None:
    class Echo(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            await websocket.send_text("received")

    Echo.encoding = encoding  # type: ignore[assignment]
    assert spoken_by(Echo) == Speech(received, (str,))


def test_a_route_that_is_prepared_for_hibernation_still_tells() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    prepare(app)
    assert spoken_by(echo) == Speech((str,), (str,))


def test_a_function_without_source_tells_nothing() -> None:
    namespace: dict[str, Any] = {}
    exec("async def endpoint(websocket): await websocket.receive_text()", namespace)
    assert spoken_by(namespace["endpoint"]) == Speech()


def test_a_job_without_source_is_told_nothing_of() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec("def build(): return 'built'", namespace)
    namespace["job"] = job(namespace["build"])

    async def building(websocket: WebSocket) -> None:
        await made.reply_to(user="ann").enqueue()

    made: Job[[], str] = namespace["job"]
    assert spoken_by(building) == Speech()
