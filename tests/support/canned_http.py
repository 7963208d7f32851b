"""An HTTP server on this machine that answers as a test says, and remembers what it was asked."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

__all__ = ["CannedServer", "Request", "answer", "canned_server"]


@dataclass(frozen=True)
class Request:
    """What a client has sent."""

    method: str
    path: str
    headers: dict[str, str]
    """Their names in lower case."""
    body: bytes
    connection: int
    """The number of its connection, from 1."""


Answers = Callable[[Request], Awaitable[bytes | None]]


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """Make an answer; an underscore in a header's name is a hyphen."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class CannedServer:
    """What the test sees of it."""

    answers: list[bytes | None] = field(default_factory=list)
    """Given one after the other; None closes the connection in place of an answer. After the last, each is 200."""
    respond: Answers | None = None
    """Asked for each answer in place of those."""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    tls: bool = False
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """One for each connection that is open."""

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.writers.append(writer)
        if (task := asyncio.current_task()) is not None:
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        try:
            while (said := await self._answer(await self._read(reader, number))) is not None:
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has closed it, or the test has ended
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(method, path, headers, body, number)
        self.requests.append(request)
        return request

    async def _answer(self, request: Request) -> bytes | None:
        if self.respond is not None:
            return await self.respond(request)
        return self.answers.pop(0) if self.answers else answer()


@contextlib.asynccontextmanager
async def canned_server(
    *answers: bytes | None, respond: Answers | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[CannedServer]:
    """Serve on a free port of this machine."""
    canned = CannedServer(list(answers), respond, tls=tls is not None)
    server = await asyncio.start_server(canned.serve, "127.0.0.1", 0, ssl=tls)
    canned.port = server.sockets[0].getsockname()[1]
    try:
        yield canned
    finally:
        server.close()
        for writer in canned.writers:
            writer.transport.abort()
        for task in canned.tasks:
            task.cancel()
        await asyncio.gather(*canned.tasks, return_exceptions=True)
        await server.wait_closed()
