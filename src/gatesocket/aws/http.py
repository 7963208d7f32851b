"""A pool of kept-alive HTTP/1.1 connections to one address, on one event loop."""

import asyncio
from collections.abc import Callable
from ssl import SSLContext
from typing import Final, cast

from gatesocket.aws.base import Unreachable
from gatesocket.aws.http1 import BadResponse, Response, ResponseParser
from gatesocket.clock import Clock, milliseconds
from gatesocket.values import frozen

__all__ = ["CONNECTIONS", "RECEIVE_BYTES", "TIMEOUTS", "Address", "Pool", "Timeouts"]


CONNECTIONS: Final = 256
"""Connections that a pool opens at the most: with answers after 10 ms, as many as one core can keep busy (measured).

Lambda lets a process have 1024 files open, and there are three services.
"""


RECEIVE_BYTES: Final = 16 * 1024
"""Bytes that a connection takes from its socket at once; it keeps room for them.

Without that, asyncio would make room for 256 KB at every read, and give it back: three calls of the kernel, and the
page faults, for an answer of one kilobyte.
"""


@frozen
class Address:
    """Where a server listens."""

    host: str
    port: int
    secure: bool
    """Whether it speaks TLS."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


@frozen
class Timeouts:
    """How long a server is waited for, in seconds. API Gateway waits 29 for the function, several calls included."""

    connect: float = 3
    """Name, connection and TLS handshake together."""
    answer: float = 10
    """From the request's first byte to the response's last."""
    idle: float = 45
    """After so long a connection isn't used again: whatever lies in between may have forgotten it without a word."""


TIMEOUTS: Final = Timeouts()


class _Stale(Exception):
    """The server closed a kept connection before it had answered anything on it; another one may do."""


class _Connection(asyncio.BufferedProtocol):
    """One connection, with one request on it at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self._loop = loop
        self._address = address
        self._transport: asyncio.Transport  # once connected, which whoever makes one waits for
        self._answer: asyncio.Future[Response] | None = None
        self._parser = ResponseParser()
        self._received = memoryview(bytearray(RECEIVE_BYTES))
        self._watch: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        """Of the present request, by the loop's clock."""
        self._asked = 0
        """How many requests were sent on it."""
        self._heard = False
        """Whether any byte of the present response has come."""
        self.usable = True
        """Whether another request may be sent."""
        self.lost: asyncio.Future[None] = loop.create_future()
        self.idle_since = 0
        """Milliseconds since the epoch."""

    def send(self, request: bytes, seconds: float) -> "asyncio.Future[Response]":
        """Send a request; return what its response will come by, after which the connection is `usable` or closed.

        No coroutine, because each one that stands between a socket and whoever waits takes its time with every answer.
        A connection whose response nobody waits for any more has to be aborted: it would be taken for the next one.

        The future raises:
            _Stale: see there.
            Unreachable: no response came, or none that HTTP knows.
        """
        self._parser = ResponseParser()
        self._heard = False
        self._asked += 1
        self._answer = answer = self._loop.create_future()
        self._deadline = self._loop.time() + seconds
        if self._watch is None:
            self._watch = self._loop.call_at(self._deadline, self._look, seconds)
        self._transport.write(request)
        return answer

    def abort(self) -> None:
        """Close at once; `lost` tells when that has happened."""
        self.usable = False
        self._transport.abort()

    def _look(self, seconds: float) -> None:
        """See whether the present request is overdue. One timer at a time serves all of a connection's requests."""
        self._watch = None
        if self._answer is None:
            return
        if self._loop.time() < self._deadline:
            self._watch = self._loop.call_at(self._deadline, self._look, seconds)
        else:
            self._fail(Unreachable(f"{self._address} didn't answer within {seconds:g} s"))

    def _succeed(self, response: Response) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(response)
        if not self._parser.keeps:
            self.abort()

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self.abort()

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Said and not asserted: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        if self._answer is None:
            self.abort()  # nobody has asked
            return
        self._heard = True
        try:
            response = self._parser.feed(self._received[:nbytes])
        except BadResponse as error:
            self._fail(Unreachable(f"{self._address} doesn't speak HTTP/1.1 as AWS does: {error}"))
        else:
            if response is not None:
                self._succeed(response)

    def eof_received(self) -> None:
        self.usable = False
        if self._answer is not None and (response := self._parser.end()) is not None:
            self._succeed(response)

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if not self._heard and self._asked > 1:
            self._fail(_Stale())
        else:
            when = "in the middle of its answer" if self._heard else "without an answer"
            self._fail(Unreachable(f"{self._address} closed the connection {when}{_because(error)}"))
        if self._watch is not None:
            self._watch.cancel()
        self.lost.set_result(None)


class Pool:
    """Sends requests to one address, several at a time, and keeps the connections.

    It is bound to the event loop on which it is made.

    Args:
        address: where to.
        tls: makes the TLS context, for the first connection that needs it.
        connections: how many are open at the most; requests that would need another one wait, first come, first served.
        timeouts: how long the server is waited for.
        clock: tells for how long a connection was idle.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: Callable[[], SSLContext],
        connections: int = CONNECTIONS,
        timeouts: Timeouts = TIMEOUTS,
        clock: Clock = milliseconds,
    ) -> None:
        self._address = address
        self._tls = tls
        self._timeouts = timeouts
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        """Those that nobody uses; the last one was used last, so that the others may grow old and go."""
        self._open: set[_Connection] = set()

    async def exchange(self, request: bytes) -> Response:
        """Send a request and return its response.

        A kept connection that the server has closed meanwhile is no error: the request goes out again, once, on a new
        one. A server may have acted on the first, which is why callers of AWS must bear repeated writes anyway.

        Raises:
            Unreachable: there is no connection, no answer in time, or none that HTTP knows.
        """
        # Not by ``async with``, which is three calls more for every request.
        await self._room.acquire()
        try:
            connection = self._kept() or await self._connect()
            while True:
                try:
                    response = await connection.send(request, self._timeouts.answer)
                    break
                except _Stale:
                    connection = await self._connect()
                except BaseException:  # a cancelled one, too
                    connection.abort()
                    raise
            if connection.usable:
                connection.idle_since = self._clock()
                self._idle.append(connection)
            return response
        finally:
            self._room.release()

    async def aclose(self) -> None:
        """Close every connection, also those in use."""
        closing = list(self._open)
        for connection in closing:
            connection.abort()
        await asyncio.gather(*(connection.lost for connection in closing))

    def _kept(self) -> _Connection | None:
        """Take the connection that was used last, and close those that were idle for too long."""
        oldest = self._clock() - self._timeouts.idle * 1000
        while self._idle:
            connection = self._idle.pop()
            if not connection.usable:
                continue
            if connection.idle_since > oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        address, seconds = self._address, self._timeouts.connect
        context = self._tls() if address.secure else None
        try:
            async with asyncio.timeout(seconds):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self._loop, address), address.host, address.port, ssl=context
                )
        except TimeoutError as error:
            raise Unreachable(f"{address} took no connection within {seconds:g} s") from error
        except OSError as error:  # SSL's errors are, too
            raise Unreachable(f"{address} can't be connected to{_because(error)}") from error
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._open.discard(connection))
        return connection


def _because(error: Exception | None) -> str:
    if error is None:
        return ""
    remedy = ""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        remedy = ". Name the file of the certificate authorities that are trusted in AWS_CA_BUNDLE"
    return f": {str(error) or type(error).__name__}{remedy}"
