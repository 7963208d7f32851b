"""The clients' sockets: the shell around the gateway model that reads, writes and keeps time.

One task per client reads from its socket, one writes to it, in the order of the model's effects. Invocations run beside
them, none waits for another, and a slow one holds nothing up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope, Send

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
from gatesocket.emulator.websocket import LARGEST_FRAME, PING

__all__ = ["Connections"]

Invoker = Callable[[Invoke], Awaitable[Answer]]
"""Runs the function that an effect names, and returns what it answered. Never raises."""

ToClient = Accept | Refuse | SendText | Close
"""The effects that a client sees."""

_PORTS: Final = {"http": 80, "https": 443}

_ABNORMAL: Final = 1006
"""The code of a connection that ended without a close frame (RFC 6455, section 7.4.1)."""


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
        self._outboxes: dict[str, _Outbox] = {}
        self._invocations: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def quirks(self) -> Quirks:
        """What was settled of API Gateway's unknowns."""
        return self._gateway.quirks

    async def serve(self, scope: Scope, query: str, receive: Receive, send: Send) -> None:
        """Hold one client's socket from its handshake to its end; *query* is that of the stage's URL."""
        await receive()  # websocket.connect
        connection_id, effects = self._gateway.handshake(_handshake(scope, query), now=self._clock())
        outbox = self._outboxes[connection_id] = _Outbox()
        self._watch(Arrived(connection_id, query))
        self._perform(effects)
        accepted = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(connection_id, receive, accepted))
                await self._write(outbox, send, accepted)
                reader.cancel()
        finally:
            # Of a connection that has ended in the model too, nothing follows.
            self._perform(self._gateway.left(connection_id, None, "", now=self._clock()))
            del self._outboxes[connection_id]

    def manage(self, method: str, connection_id: str, body: bytes) -> ManagementResponse:
        """Serve one request to the Management API."""
        outbox = self._outboxes.get(connection_id)
        buffered = 0 if outbox is None else outbox.size
        response, effects = self._gateway.manage(method, connection_id, body, now=self._clock(), buffered=buffered)
        self._perform(effects)
        return response

    async def aclose(self, *, grace: float) -> None:
        """Wait *grace* seconds for what still runs, ``$disconnect`` above all, then abandon it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._invocations:
            await asyncio.wait(self._invocations, timeout=grace)
        for invocation in self._invocations:
            invocation.cancel()
        await asyncio.gather(*self._invocations, return_exceptions=True)

    async def _read(self, connection_id: str, receive: Receive, accepted: asyncio.Event) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                now = self._clock()
                code = None if message["code"] == _ABNORMAL else message["code"]
                reason = message.get("reason") or ""
                self._watch(Left(connection_id, code, reason))
                self._perform(self._gateway.left(connection_id, code, reason, now=now))
                self._outboxes[connection_id].put(None)
                return
            if message["type"] == PING:
                self._gateway.pinged(connection_id, now=self._clock())
                continue
            # A client that doesn't wait for the handshake's answer is made to.
            await accepted.wait()
            text = message.get("text")
            data = message["bytes"] if text is None else text
            self._watch(Received(connection_id, data))
            effects = self._gateway.frame(
                connection_id,
                data,
                now=self._clock(),
                largest_frame=message.get(LARGEST_FRAME),
            )
            self._perform(effects)

    async def _write(self, outbox: "_Outbox", send: Send, accepted: asyncio.Event) -> None:
        while (effect := await outbox.get()) is not None:
            try:
                for message in _messages(effect):
                    await send(message)
            except OSError:
                # The client is gone, as the reader is told too; the model hears of it from there.
                continue
            finally:
                outbox.written(effect)
            if isinstance(effect, Accept):
                accepted.set()
            if isinstance(effect, Refuse | Close):
                return

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Invoke):
                invocation = asyncio.create_task(self._run(effect))
                self._invocations.add(invocation)
                invocation.add_done_callback(self._invocations.discard)
            else:
                self._watch(effect)
                self._outboxes[effect.connection_id].put(effect)
        self._set_timer()

    async def _run(self, invocation: Invoke) -> None:
        answer = await self._invoke(invocation)
        self._perform(self._gateway.answered(invocation.invocation_id, answer, now=self._clock()))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._gateway.next_deadline()
        if deadline is not None:
            delay = max(0, deadline - self._clock()) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._perform(self._gateway.tick(now=self._clock()))


class _Outbox:
    """What waits to be written to one client, in its order; None ends it."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[ToClient | None] = asyncio.Queue()
        self.size = 0
        """Bytes of the texts that wait; more than a few only if the client doesn't read."""

    def put(self, effect: ToClient | None) -> None:
        self.size += _size(effect)
        self._waiting.put_nowait(effect)

    async def get(self) -> ToClient | None:
        return await self._waiting.get()

    def written(self, effect: ToClient) -> None:
        self.size -= _size(effect)


def _size(effect: ToClient | None) -> int:
    return len(effect.text.encode()) if isinstance(effect, SendText) else 0


def _handshake(scope: Scope, query: str) -> Handshake:
    client, server = scope.get("client"), scope.get("server")
    scheme: Literal["http", "https"] = "https" if scope.get("scheme") == "wss" else "http"
    return Handshake(
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        source_ip=client[0] if client else "127.0.0.1",
        scheme=scheme,
        port=server[1] if server else _PORTS[scheme],
    )


def _messages(effect: ToClient) -> list[Message]:
    """Say in ASGI what an effect does to a client's socket."""
    match effect:
        case Accept(subprotocol=subprotocol):
            return [{"type": "websocket.accept", "subprotocol": subprotocol}]
        case Refuse(status=status, body=body):
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            return [
                {"type": "websocket.http.response.start", "status": status, "headers": headers},
                {"type": "websocket.http.response.body", "body": body.encode()},
            ]
        case SendText(text=text):
            return [{"type": "websocket.send", "text": text}]
    return [{"type": "websocket.close", "code": effect.code, "reason": effect.reason}]
