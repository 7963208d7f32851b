"""The Management API by the bytes that clients send, where an HTTP client of today would send others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.asyncio.client import connect

from gatesocket.emulator.http_api import HttpRequest, HttpResponse
from gatesocket.limits import MESSAGE_BYTES
from support.stack import LittleStack, serving

SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=local/20240219/us-east-1/execute-api/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
)
NOBODY = "/prod/@connections/AAAAAAAAAAAAAAA%3D"


def accept(event: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": 200}


@dataclass
class Wire:
    """A connection to the server on which a test writes what it likes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, method: str, target: str, *headers: str, body: bytes = b"") -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: {SIGNATURE}", *headers]
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    async def status(self) -> int:
        """Return the status of the next response, and skip the rest of it."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1").lower()
        if "content-length: " in head:
            await self.reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        return int(head.split(" ")[1])


@asynccontextmanager
async def wired(stack: LittleStack) -> AsyncIterator[tuple[str, Wire]]:
    async with serving(stack) as address:
        host, _, port = address.partition(":")
        wire = Wire(*await asyncio.open_connection(host, int(port)))
        yield address, wire
        wire.writer.close()


async def connection_id(stack: LittleStack) -> str:
    """Return the id of the connection whose event is the next."""
    identifier: str = (await stack.events.get())["requestContext"]["connectionId"]
    return identifier


async def test_one_connection_takes_many_requests_at_once() -> None:
    stack = LittleStack(accept)
    async with wired(stack) as (address, wire), connect(f"ws://{address}/prod") as client:
        target = f"/prod/@connections/{await connection_id(stack)}"
        wire.say("POST", target, "Content-Length: 3", body=b"one")
        wire.say("POST", target, "Transfer-Encoding: chunked", body=b"1\r\nt\r\n2\r\nwo\r\n0\r\n\r\n")
        wire.say("GET", NOBODY)
        assert [await wire.status() for _ in range(3)] == [200, 200, 410]
        assert [await client.recv(), await client.recv()] == ["one", "two"]


async def test_the_last_request_of_a_connection_says_so() -> None:
    async with wired(LittleStack(accept)) as (_, wire):
        wire.say("GET", NOBODY, "Connection: close")
        answer = await asyncio.wait_for(wire.reader.read(), 5)  # to the end
    assert b"\r\nconnection: close\r\n" in answer


async def test_a_client_that_asks_before_it_sends_a_body_is_told_to_go_on() -> None:
    stack = LittleStack(accept)
    async with wired(stack) as (address, wire), connect(f"ws://{address}/prod") as client:
        target = f"/prod/@connections/{await connection_id(stack)}"
        wire.say("POST", target, "Content-Length: 2", "Expect: 100-continue")
        assert await wire.status() == 100
        wire.writer.write(b"hi")
        assert await wire.status() == 200
        assert await client.recv() == "hi"


async def test_a_message_that_is_too_large_is_refused_and_the_connection_goes_on() -> None:
    stack = LittleStack(accept)
    async with wired(stack) as (address, wire), connect(f"ws://{address}/prod"):
        target = f"/prod/@connections/{await connection_id(stack)}"
        body = b"x" * (10 * MESSAGE_BYTES)
        wire.say("POST", target, f"Content-Length: {len(body)}", body=body)
        wire.say("GET", target)
        assert [await wire.status(), await wire.status()] == [413, 200]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD"])
async def test_a_method_that_there_is_not_is_forbidden(method: str) -> None:
    """Of a connection that there is; 410 otherwise."""
    stack = LittleStack(accept)
    async with wired(stack) as (address, wire), connect(f"ws://{address}/prod"):
        wire.say(method, f"/prod/@connections/{await connection_id(stack)}", "Connection: close")
        assert (await asyncio.wait_for(wire.reader.read(), 5)).startswith(b"HTTP/1.1 403")


async def test_a_query_may_look_like_the_management_api() -> None:
    stack = LittleStack(accept)
    async with wired(stack) as (_, wire):
        wire.say("GET", "/page?next=/@connections/")
        assert await wire.status() == 200
    assert stack.requests[0][1] == "/page"


class SlowStack(LittleStack):
    """Whose HTTP API answers when the test lets it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def request(self, request: HttpRequest, path: str) -> HttpResponse:
        self.asked.set()
        await self.go_on.wait()
        return await super().request(request, path)


@pytest.mark.parametrize("together", [True, False])
async def test_answers_come_in_the_order_of_their_requests(*, together: bool) -> None:
    stack = SlowStack(accept)
    async with wired(stack) as (_, wire):
        wire.say("GET", "/page")
        if not together:
            await stack.asked.wait()
        wire.say("GET", NOBODY)
        stack.go_on.set()
        assert [await wire.status(), await wire.status()] == [200, 410]


async def test_a_connection_stays_open_while_another_request_on_it_is_served() -> None:
    stack = SlowStack(accept)
    async with wired(stack) as (_, wire):
        wire.say("GET", NOBODY)
        wire.say("GET", "/page")
        assert await wire.status() == 410
        await stack.asked.wait()
        stack.go_on.set()
        assert await wire.status() == 200


async def test_a_handshake_at_the_management_api_is_forbidden() -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    async with wired(LittleStack(accept)) as (_, wire):
        wire.say("GET", NOBODY, *upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        assert await wire.status() == 403
