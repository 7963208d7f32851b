"""The clients' sockets: the shell around the gateway model that reads, writes and keeps time.

What a client does is told to the model at once, and what the model wants is done to the socket at once. Only
invocations take time; none waits for another, and a slow one holds nothing up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import parse_qsl

from gatesocket.clock import milliseconds
from gatesocket.emulator import log
from gatesocket.emulator.activity import Arrived, Left, Received, Watch
from gatesocket.emulator.gateway import (
    Accept,
    Answer,
    Close,
    Effect,
    Gateway,
    Handshake,
    Invoke,
    ManagementResponse,
    Quirks,
    Refuse,
    SendText,
)

__all__ = ["Client", "Connections", "Socket"]

Invoker = Callable[[Invoke], Awaitable[Answer]]
"""Runs the function that an effect names, and returns what it answered. Never raises."""


class Socket(Protocol):
    """The server's end of one client's WebSocket.

    Nothing here waits or raises: what is sent to a client that reads slowly is buffered, and what is sent to one that
    has just gone is lost.
    """

    @property
    def buffered(self) -> int:
        """How many bytes wait to be sent."""
        ...

    def accept(self, subprotocol: str | None) -> None:
        """Answer the handshake with 101, and with *subprotocol* unless it is None."""
        ...

    def refuse(self, status: int, body: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer the handshake with *status*; unless *headers* say otherwise, the body is plain text."""
        ...

    def send(self, text: str) -> None:
        """Send a text message."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, after what was sent before."""
        ...


class Client:
    """One client of an API, to which its socket tells what it does; what it does before its handshake is accepted too.

    After `left`, and after the socket was refused or closed, there is nothing to tell any more.
    """

    __slots__ = ("_connection_id", "_connections")

    def __init__(self, connections: "Connections", connection_id: str) -> None:
        self._connections = connections
        self._connection_id = connection_id

    def received(self, data: str | bytes, largest_frame: int) -> None:
        """Tell of a whole message, and of the size in bytes of the largest frame that it came in."""
        self._connections.on_message(self._connection_id, data, largest_frame)

    def pinged(self) -> None:
        """Tell of a ping, which the socket has answered."""
        self._connections.on_ping(self._connection_id)

    def left(self, code: int | None, reason: str, fault: str = "") -> None:
        """Tell that the client closed its connection, with *code*, or that the connection broke: None.

        Or that it was closed with *code* because it broke the protocol, as *fault* says.
        """
        self._connections.on_end(self._connection_id, code, reason, fault)


class Connections:
    """Every client of one WebSocket API.

    Args:
        gateway: the model; nothing else may feed it.
        invoke: runs a function.
        clock: milliseconds since the epoch.
        watch: is told of what clients do, and of what is done to them.
    """

    def __init__(
        self,
        gateway: Gateway,
        invoke: Invoker,
        *,
        clock: Callable[[], int] = milliseconds,
        watch: Watch = log.write,
    ) -> None:
        self._gateway = gateway
        self._invoke = invoke
        self._clock = clock
        self._watch = watch
        self._sockets: dict[str, Socket] = {}
        self._invocations: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        """When the timer rings, by *clock*."""

    @property
    def quirks(self) -> Quirks:
        """What was settled of API Gateway's unknowns."""
        return self._gateway.quirks

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all connections, and of the handshakes that aren't answered yet."""
        return frozenset(self._sockets)

    def open(self, socket: Socket, handshake: Handshake, query: str) -> Client:
        """Take the handshake of a client; *query* is that of the stage's URL.

        The socket may have been accepted or refused when this returns; otherwise that follows.
        """
        asked = replace(handshake, query=tuple(parse_qsl(query, keep_blank_values=True)))
        connection_id, effects = self._gateway.handshake(asked, now=self._clock())
        self._sockets[connection_id] = socket
        self._watch(Arrived(connection_id, query))
        self._perform(effects)
        return Client(self, connection_id)

    def manage(self, method: str, connection_id: str, body: bytes) -> ManagementResponse:
        """Serve one request to the Management API."""
        socket = self._sockets.get(connection_id)
        buffered = 0 if socket is None else socket.buffered
        response, effects = self._gateway.manage(method, connection_id, body, now=self._clock(), buffered=buffered)
        self._perform(effects)
        return response

    def on_message(self, connection_id: str, data: str | bytes, largest_frame: int) -> None:
        """See `Client.received`."""
        self._watch(Received(connection_id, data))
        self._perform(self._gateway.frame(connection_id, data, now=self._clock(), largest_frame=largest_frame))

    def on_ping(self, connection_id: str) -> None:
        """See `Client.pinged`."""
        self._gateway.pinged(connection_id, now=self._clock())

    def on_end(self, connection_id: str, code: int | None, reason: str, fault: str = "") -> None:
        """See `Client.left`."""
        self._watch(Left(connection_id, code, reason, fault))
        del self._sockets[connection_id]
        self._perform(self._gateway.left(connection_id, code, reason, now=self._clock()))

    async def aclose(self, *, grace: float) -> None:
        """Wait *grace* seconds for what still runs, ``$disconnect`` above all, then abandon it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._invocations:
            await asyncio.wait(self._invocations, timeout=grace)
        for invocation in self._invocations:
            invocation.cancel()
        await asyncio.gather(*self._invocations, return_exceptions=True)

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Invoke):
                invocation = asyncio.create_task(self._run(effect))
                self._invocations.add(invocation)
                invocation.add_done_callback(self._invocations.discard)
            else:
                self._watch(effect)
                self._show(effect)
        self._set_timer()

    def _show(self, effect: Accept | Refuse | SendText | Close) -> None:
        """Do to a client's socket what the model wants."""
        match effect:
            case SendText(connection_id, text):
                self._sockets[connection_id].send(text)
            case Accept(connection_id, subprotocol):
                self._sockets[connection_id].accept(subprotocol)
            case Refuse(connection_id, status, body, _, headers):
                self._sockets.pop(connection_id).refuse(status, body, headers)
            case _:
                self._sockets.pop(effect.connection_id).close(effect.code, effect.reason)

    async def _run(self, invocation: Invoke) -> None:
        answer = await self._invoke(invocation)
        self._perform(self._gateway.answered(invocation.invocation_id, answer, now=self._clock()))

    def _set_timer(self) -> None:
        """Have `_tick` called in time; a timer that rings too early does no harm, and is left as it is."""
        deadline = self._gateway.next_deadline()
        if deadline is None:
            return
        now = self._clock()
        if self._timer is not None:
            # What is overdue by the clock isn't by the timer if the machine has slept.
            if self._timer_due <= deadline and deadline > now:
                return
            self._timer.cancel()
        self._timer_due = deadline
        self._timer = asyncio.get_running_loop().call_later(max(0, deadline - now) / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._perform(self._gateway.tick(now=self._clock()))
