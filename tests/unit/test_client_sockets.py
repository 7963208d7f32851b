"""The Python client over real sockets of websockets, plain and with TLS."""

import asyncio
import ssl
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidURI
from websockets.http11 import Request, Response

from gatesocket.client import Connection
from gatesocket.emulator.tls import Certificate
from gatesocket.exceptions import ConnectionEnded

FRAME = "x" * 32 * 1024
FRAMES = 500  # 16 MB: more than the buffers of two sockets hold


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_who_sends_is_as_slow_as_the_network_and_nothing_is_lost(tmp_path: Path, *, secure: bool) -> None:
    certificate = Certificate("127.0.0.1", tmp_path)
    read = asyncio.Event()
    sent = 0

    async def count(socket: ServerConnection) -> None:
        await socket.send('"welcome"')
        await read.wait()
        for number in range(FRAMES):
            assert await socket.recv() == FRAME, number
        await socket.send('"all"')
        await socket.wait_closed()

    async def say(connection: Connection) -> None:
        nonlocal sent
        for _ in range(FRAMES):
            await connection.send(FRAME)
            sent += 1

    trusting = ssl.create_default_context(cafile=certificate.path) if secure else None
    dial = partial(connect, proxy=None, compression=None, ssl=trusting)
    async with serve(count, "127.0.0.1", 0, ssl=certificate.context if secure else None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}/"
        async with asyncio.timeout(20), Connection(url, connect=dial) as connection:
            assert await connection.recv() == "welcome"
            saying = asyncio.create_task(say(connection))
            before = -1
            while before < sent or not sent:
                before = sent
                await asyncio.sleep(0.05)  # the buffers of both ends fill, and nothing tells when they have
            stopped_at = sent
            read.set()
            await saying
            assert await connection.recv() == "all"
    assert stopped_at < FRAMES


async def test_a_handshake_that_is_answered_with_403_is_final() -> None:
    async def refuse(socket: ServerConnection, request: Request) -> Response:
        return socket.respond(403, "not you")

    async def never(socket: ServerConnection) -> None:
        raise AssertionError

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with Connection(f"ws://127.0.0.1:{port}/", connect=partial(connect, proxy=None)) as connection:
            with pytest.raises(ConnectionEnded, match="by the handshake's status 403"):
                await connection.recv()


async def test_what_is_no_address_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidURI, match="isn't a valid URI"):
        async with Connection("http://example.com") as connection:
            await connection.recv()
