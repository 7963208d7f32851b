"""An emulated API Gateway in front of one handler, inside one event loop: no sockets, no threads, nothing to start.

This is the shell around the gateway model that tests use. It is deterministic where API Gateway is not: the invocations
of one connection run one after the other, in the order of what caused them, so that every message wakes the route
anew. Those of different connections run side by side. And time stands still for wakes that are to come in a second or
later, until `InProcessGateway.advance` lets it pass.
"""

import asyncio
import heapq
import itertools
import json
import logging
import math
import time
from collections import deque
from collections.abc import Coroutine
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatesocket import fanout, jobs
from gatesocket.backend import Backend, use
from gatesocket.clock import milliseconds
from gatesocket.emulator.functions import LambdaContext
from gatesocket.emulator.gateway import (
    CONNECT,
    DEFAULT,
    DISCONNECT,
    Accept,
    Answer,
    Api,
    Close,
    Effect,
    Failed,
    Gateway,
    Handshake,
    Invoke,
    ManagementResponse,
    Quirks,
    Refuse,
    Returned,
    Route,
    SendText,
)
from gatesocket.emulator.ids import random_id
from gatesocket.emulator.model_gateway import ModelGateway
from gatesocket.exceptions import GatesocketError
from gatesocket.handler import WebSocketHandler
from gatesocket.hibernation.snapshot import Snapshot
from gatesocket.hibernation.timers import TIMER_THRESHOLD
from gatesocket.hibernation.units import unit_named
from gatesocket.queues import MemoryQueue
from gatesocket.registry.base import Registry
from gatesocket.settings import Settings
from gatesocket.waker import MemoryWaker

__all__ = ["InProcessGateway", "NothingToReceive", "Wire"]

logger = logging.getLogger("gatesocket.emulator")

_FUNCTION: Final = "websocket"
_ARN: Final = f"arn:aws:lambda:us-east-1:123456789012:function:{_FUNCTION}"


class NothingToReceive(GatesocketError, TimeoutError):
    """A client waits for a message that isn't coming, or that hasn't come in time."""


@dataclass(slots=True, eq=False)
class Wire:
    """One connection as its client has it."""

    connection_id: str
    verdict: Accept | Refuse | None = None
    """How the handshake was answered; None while it waits."""
    arrived: deque[str] = field(default_factory=deque)
    """Messages that the client hasn't read yet."""
    closed: Close | None = None
    """The gateway's close frame."""
    said: tuple[int, str] | None = None
    """Code and reason of the app's own close, of which a refused client learns only a status."""
    errors: list[BaseException] = field(default_factory=list)
    """What went wrong in the route or around it, and nobody has raised yet."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the invocation that runs; others wait for it in their order."""
    invocations: int = 0
    """How many run or wait."""


class InProcessGateway:
    """Emulate API Gateway and Lambda for the WebSocket routes of *app*, on the running event loop.

    Args:
        app: the ASGI app.
        registry: where connections are kept.
        settings: the deployment's settings; None reads the environment.
        domain_name: the host that events name.
        function_timeout: seconds after which an invocation is given up, as Lambda does.
        quirks: settles what is not known of API Gateway; None takes the likeliest.

    Raises:
        CannotHibernate: a route can't hibernate.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: Registry,
        settings: Settings | None,
        domain_name: str,
        function_timeout: float,
        quirks: Quirks | None = None,
    ) -> None:
        routes = {key: Route(_FUNCTION) for key in (CONNECT, DEFAULT, DISCONNECT)}
        api = Api("test", "test", "us-east-1", domain_name, r"\$default", routes)
        self._model = Gateway(api, new_id=random_id, quirks=quirks)
        self._function_timeout = function_timeout
        self._wires: dict[str, Wire] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._began = self._time = milliseconds()
        self._later: list[tuple[int, int, Wire, dict[str, Any]]] = []
        self._numbers = itertools.count()
        chosen = settings or Settings()
        self.backend = Backend(
            registry,
            ModelGateway(self._manage),
            MemoryWaker(self._wake),
            MemoryQueue(self._enqueue),
            clock=lambda: self._time,
            fanout=MemoryQueue(self._fan_out),
            fanout_above=chosen.fanout_above,
        )
        """What managers outside of a WebSocket route use, to reach the same connections."""
        self.handler = WebSocketHandler(
            _Overheard(app),
            registry=registry,
            gateway=self.backend.gateway,
            waker=self.backend.waker,
            jobs=self.backend.jobs,
            fanout=self.backend.fanout,
            settings=chosen,
            clock=self.backend.clock,
            on_error=self._route_failed,
        )

    # What a client does.

    async def connect(self, handshake: Handshake) -> tuple[Wire, Accept | Refuse]:
        """Ask for a connection; return it and the verdict once the handshake is answered."""
        connection_id, effects = self._model.handshake(handshake, now=self._now())
        wire = self._wires[connection_id] = Wire(connection_id)
        self._perform(effects)
        while wire.verdict is None:
            await self._change()
        return wire, wire.verdict

    async def send(self, wire: Wire, data: str | bytes) -> None:
        """Send one message, and don't wait for what comes of it; after a close it is lost, as on a network."""
        self._perform(self._model.frame(wire.connection_id, data, now=self._now()))

    async def leave(self, wire: Wire, code: int | None, reason: str) -> None:
        """Close the connection from the client's side, with *code* or, if that is None, by breaking it."""
        self._perform(self._model.left(wire.connection_id, code, reason, now=self._now()))

    async def receive(self, wire: Wire, timeout: float | None) -> str | Close:  # noqa: ASYNC109
        """Return the next message, or the close if there is none to come.

        Args:
            wire: the connection.
            timeout: seconds to wait at the most. None waits for what is running, and for nothing else.

        Raises:
            NothingToReceive: there is no message, and nothing is running that could send one; or not in time.
        """
        try:
            async with asyncio.timeout(timeout):
                while not wire.arrived and wire.closed is None and (timeout is not None or self._tasks):
                    await self._change()
        except TimeoutError:
            raise NothingToReceive(
                f"connection {wire.connection_id} has received nothing for {timeout} s: {await self._where(wire)}"
            ) from None
        if wire.arrived:
            return wire.arrived.popleft()
        if wire.closed is not None:
            return wire.closed
        raise NothingToReceive(
            f"connection {wire.connection_id} has nothing to receive: {await self._where(wire)}, and no invocation is "
            "running. To wait for what another thread does, give a timeout"
        )

    async def rest(self, wire: Wire) -> None:
        """Wait until nothing runs for the connection any more."""
        while wire.invocations:
            await self._change()

    async def advance(self, seconds: float) -> None:
        """Let time pass, and what is due in it happen: one wake after the other, each when nothing runs any more."""
        until = self._time + round(seconds * 1000)
        await self._settled()
        while self._later and self._later[0][0] <= until:
            self._time, _, wire, event = heapq.heappop(self._later)
            self._start(wire, event)
            await self._settled()
        self._time = until

    async def _settled(self) -> None:
        while self._tasks:
            await self._change()

    def _now(self) -> int:
        """The gateway's time, which goes on while the handler's stands still."""
        return milliseconds() + self._time - self._began

    async def aclose(self) -> None:
        """End what still runs, and the app's lifespan.

        Raises:
            ConfigurationError: the app's clean-up failed.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.handler.shutdown()

    # What comes of it.

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            wire = self._wires[effect.connection_id]
            if isinstance(effect, Invoke):
                self._start(wire, dict(effect.event), effect.invocation_id)
            elif isinstance(effect, SendText):
                wire.arrived.append(effect.text)
            elif isinstance(effect, Close):
                wire.closed = effect
            else:
                wire.verdict = effect
        self._pulse()

    async def _wake(self, event: dict[str, Any], delay: float) -> None:
        """Take a wake: one more invocation for its connection, after those that it has already."""
        connection_id = json.loads(event["Records"][0]["body"])["connection_id"]
        wire = self._wires.setdefault(connection_id, Wire(connection_id))
        if delay >= TIMER_THRESHOLD:
            heapq.heappush(self._later, (self._time + round(delay * 1000), next(self._numbers), wire, event))
        else:
            self._time += math.ceil(delay * 1000)
            self._start(wire, event)

    def _start(self, wire: Wire, event: dict[str, Any], invocation_id: str | None = None) -> None:
        wire.invocations += 1
        self._spawn(self._run(wire, event, invocation_id))

    async def _run(self, wire: Wire, event: dict[str, Any], invocation_id: str | None) -> None:
        try:
            async with wire.turn:
                answer = await self._invoke(wire, event)
                if invocation_id is not None:
                    self._perform(self._model.answered(invocation_id, answer, now=self._now()))
        finally:
            wire.invocations -= 1

    async def _enqueue(self, body: str) -> None:
        """Take a job; it runs beside the connections, in a context of its own, as in another function."""
        self._spawn(self._work(body, _serving.get(None)), Context())

    async def _work(self, body: str, wire: Wire | None) -> None:
        try:
            with use(self.backend):
                await jobs.run(body)
        except Exception as error:
            logger.exception("a job failed")
            if wire is not None:
                wire.errors.append(error)

    async def _fan_out(self, body: str) -> None:
        """Take a batch of a broadcast; it is posted to beside the connections, as by another function."""
        self._spawn(self._post(body, _serving.get(None)), Context())

    async def _post(self, body: str, wire: Wire | None) -> None:
        try:
            with use(self.backend):
                done = await fanout.run(body)
            if not done:
                # SQS would deliver it again and again.
                raise GatesocketError("nobody of a broadcast's batch was reached; the log says why")  # noqa: TRY301
        except Exception as error:
            logger.exception("a broadcast's batch failed")
            if wire is not None:
                wire.errors.append(error)

    def _spawn(self, work: Coroutine[Any, Any, None], context: Context | None = None) -> None:
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._pulse()

    async def _invoke(self, wire: Wire, event: dict[str, Any]) -> Answer:
        """Invoke the function; keep what goes wrong for the test, and give the gateway what Lambda would."""
        context = LambdaContext(
            aws_request_id=str(uuid4()),
            function_name=_FUNCTION,
            invoked_function_arn=_ARN,
            memory_limit_in_mb="128",
            deadline=time.monotonic() + self._function_timeout,
        )
        _serving.set(wire)
        limit = asyncio.timeout(self._function_timeout)
        try:
            async with limit:
                value = await self.handler.invoke(event, context)
        except BaseException as error:  # whatever it is, it is the test's to see
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # the client is being closed
            wire.errors.append(self._given_up() if limit.expired() else error)
            return Failed(type(error).__name__, str(error))
        if value.get("batchItemFailures"):
            # SQS would deliver it again and again.
            message = f"a wake of connection {wire.connection_id} failed; the handler has logged its cause"
            wire.errors.append(GatesocketError(message))
        return Returned(value)

    def _given_up(self) -> TimeoutError:
        return TimeoutError(
            f"the function did not answer within {self._function_timeout} s: the route neither waits for its client "
            "nor ends. Lambda would have killed it"
        )

    def _route_failed(self, error: Exception) -> None:
        _serving.get().errors.append(error)

    def _manage(self, method: str, connection_id: str, body: bytes = b"") -> ManagementResponse:
        response, effects = self._model.manage(method, connection_id, body, now=self._now())
        self._perform(effects)
        return response

    async def _where(self, wire: Wire) -> str:
        """Say what the connection's route is doing."""
        record = await self.backend.registry.get(wire.connection_id, now=self._time)
        if record is None or record.snapshot is None:
            return "its route has ended"
        frame = Snapshot.load(record.snapshot).frames[-1]
        unit = unit_named(frame.key)
        point = unit.points[frame.point]
        due = "" if record.due is None else f", at most {(record.due - self._time) / 1000:g} s that `advance` lets pass"
        return f"its route waits at {unit.file}:{point.line} for {point.awaited}{due}"

    async def _change(self) -> None:
        """Wait until something has happened."""
        await self._changed.wait()

    def _pulse(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


_serving: ContextVar[Wire] = ContextVar("gatesocket.emulator.in_process")
"""The connection that the running invocation is for."""


class _Overheard:
    """An app whose closes are noted: API Gateway passes neither their code nor their reason on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def overheard(message: Message) -> None:
            if message["type"] == "websocket.close":
                _serving.get().said = message.get("code", 1000), message.get("reason") or ""
            await send(message)

        await self.app(scope, receive, overheard if scope["type"] == "websocket" else send)
