"""Where routes hibernate, found out from what is stored of them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.websockets import WebSocket

from gatesocket import WebSocketHandler
from gatesocket.emulator.activity import Activity, Waits
from gatesocket.emulator.events import Handshake
from gatesocket.emulator.samples import SAMPLE_CONNECTION, SampleConnection
from gatesocket.emulator.waiting import Waiting, connections_of
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.memory import MemoryRegistry

NOW = 4_102_444_800_000  # in 2100: a connection that began long ago is taken for one that has expired


async def count(websocket: WebSocket, total: int) -> None:
    await websocket.receive_text()  # waits here
    await websocket.send_text(str(total))


async def app(scope: Any, receive: Any, send: Any) -> None:
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    for total in range(2):
        await count(websocket, total)


def line_with(text: str) -> int:
    with open(__file__, encoding="utf-8") as lines:  # noqa: PTH123
        return next(number for number, line in enumerate(lines, start=1) if text in line)


@asynccontextmanager
async def looking(registry: MemoryRegistry) -> AsyncIterator[tuple[Waiting, list[Activity]]]:
    told: list[Activity] = []
    waiting = Waiting(registry, watch=told.append, clock=lambda: NOW)
    yield waiting, told
    await waiting.aclose()


async def test_a_route_waits_where_its_functions_wait_outermost_first() -> None:
    registry = MemoryRegistry()
    handler = WebSocketHandler(app, registry=registry, gateway=FakeGateway(), clock=lambda: NOW)
    event: Any = SampleConnection(Handshake((), (), "192.0.2.1"), now=NOW).connect
    await handler.invoke(event, None)
    async with looking(registry) as (waiting, told):
        waiting.look(event)
    (waits,) = told
    assert isinstance(waits, Waits)
    assert waits.connection_id == SAMPLE_CONNECTION
    outer, inner = waits.places
    assert (outer.file, outer.line) == (__file__, line_with("await count(websocket, total)"))
    assert outer.function.endswith("test_emulator_waiting:app")
    assert (inner.file, inner.line) == (__file__, line_with("# waits here"))
    assert inner.names == ("total", "websocket")
    assert str(inner) == f"{__file__}:{inner.line} (total, websocket)"


async def test_nothing_is_told_of_a_connection_that_is_not_there() -> None:
    async with looking(MemoryRegistry()) as (waiting, told):
        waiting.look(SampleConnection(Handshake((), (), "192.0.2.1"), now=NOW).connect)
    assert told == []


async def test_a_record_that_cannot_be_read_is_named(caplog: pytest.LogCaptureFixture) -> None:
    registry = MemoryRegistry()
    handler = WebSocketHandler(app, registry=registry, gateway=FakeGateway(), clock=lambda: NOW)
    event: Any = SampleConnection(Handshake((), (), "192.0.2.1"), now=NOW).connect
    await handler.invoke(event, None)
    caplog.set_level(logging.WARNING, "gatesocket.emulator")

    class Damaging(MemoryRegistry):
        async def get(self, connection_id: str, *, now: int) -> Any:
            from dataclasses import replace

            record = await registry.get(connection_id, now=now)
            assert record is not None
            return replace(record, snapshot=b"?")

    async with looking(Damaging()) as (waiting, told):
        waiting.look(event)
    assert told == []
    (line,) = caplog.messages
    assert line.startswith(f"it can't be told where connection {SAMPLE_CONNECTION} waits: ")


def test_an_event_tells_whose_routes_it_wakes() -> None:
    def wake(connection_id: str, number: str) -> dict[str, Any]:
        body = f'{{"connection_id": "{connection_id}"}}'
        return {"eventSource": "aws:sqs", "messageId": number, "body": body}

    sample = SampleConnection(Handshake((), (), "192.0.2.1"), now=NOW)
    assert connections_of(sample.message("hi")) == [SAMPLE_CONNECTION]
    assert connections_of({"Records": [wake("c1", "1"), wake("c2", "2"), wake("c1", "3")]}) == ["c1", "c2"]
    assert connections_of({"version": "2.0"}) == []
