"""A WebSocket that comes back by itself: the shell around `Machine` that opens sockets, reads, writes and keeps time.

What it does, and why, is in docs/client.md; the same for browsers is ``javascript/connection.js`` beside this file.
"""

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Self
from urllib.parse import urlencode

from anyio import ClosedResourceError, EndOfStream, create_memory_object_stream

from gatesocket.client.events import (
    ABNORMAL,
    Abandon,
    Deliver,
    Dial,
    Effect,
    Event,
    Farewell,
    HangUp,
    Heard,
    Left,
    Said,
    Started,
    State,
    Tell,
    Timer,
    Write,
)
from gatesocket.client.frames import Codec
from gatesocket.client.histories import Histories, told
from gatesocket.client.lines import Address, Dialler, Line, Owner
from gatesocket.client.machine import Machine
from gatesocket.client.phases import Phase, Policy
from gatesocket.client.sockets import CONNECT, Connect
from gatesocket.exceptions import ConnectionEnded
from gatesocket.limits import CONNECTION_SECONDS, FRAME_BYTES

if TYPE_CHECKING:
    from gatesocket.cursors import Cursor

__all__ = ["Connection"]

INTERNAL_ERROR: Final = 1011
"""The code of a client that leaves because of an error (RFC 6455, section 7.4.1)."""

_WHILE_READING: Final = {Timer.ANSWER, Timer.OVERLAP}
"""What says nothing while nobody takes what the sockets bring, so that they aren't read."""


@dataclass(frozen=True, slots=True)
class _Unreadable:
    error: ValueError


class Connection:
    """A WebSocket that comes back by itself, with back-off and jitter, and hands over before API Gateway ends it.

    ::

        async with Connection("wss://chat.example.com/ws/lobby", ping={"type": "ping"}) as connection:
            await connection.send({"type": "say", "data": {"text": "Hello"}})
            async for message in connection:
                print(message)

    It connects when its context is entered, which waits for nothing, and leaves for good when that is left. Until then
    the iteration goes on through any number of sockets. It ends when the connection is closed here; it raises
    `ConnectionEnded` when the server doesn't want this client: by close code 1008, or by a handshake that is answered
    with a status from 400 to 499 other than 408, 425 and 429.

    Args:
        url: the address, or a function that returns it anew for each attempt, as for a one-time ticket; it may be
            async. Whatever it raises counts as an attempt that failed.
        subprotocols: what to offer.
        first_delay: the longest wait before the first new attempt, in seconds; it doubles with each.
        longest_delay: the longest wait before any attempt, in seconds.
        stable_after: how long a connection is open, in seconds, until its next loss counts as the first again.
        ping: what to send when nothing has come for long; the server has to answer it by any message. API Gateway ends
            a connection after ten minutes without a message. None: nothing; then the client comes back after that.
        silence: how long nothing comes until a ping is sent, in seconds.
        answer_within: how long the answer to a ping may take, in seconds, until the connection is given up.
        hand_over_after: when a second socket is opened to take over, in seconds. API Gateway ends any connection after
            two hours. None: never.
        hand_over_spread: up to how much later than that, by chance, in seconds.
        overlap: how long the old socket is listened to after the new one has taken over, in seconds.
        ready: whether a message shows that the server has let the new socket in. None: it is when it is open.
        key: what tells a message from any other, so that one which both sockets bring during a hand-over is received
            once; it may return None for a message that isn't to be compared. None: it is received twice.
        resume: the query parameter that tells a server with a history how far this client has come, so that it sends
            what was missed; what comes twice is then received once. It is on every address, and empty at first. None:
            none.
        cursor: how far an earlier client had come: its `cursor`.
        first: what to say first on each new socket, before all that waits, as a server that authenticates by the first
            message wants it; or a function that returns it anew, which may be async. What it raises counts as an
            attempt that failed. None: nothing.
        largest_frame: bytes of the largest message that is sent; after a larger one API Gateway closes with 1009.
            None: any size.
        unsent: how many messages may wait for a connection.
        untaken: how many messages may wait to be received here, before the sockets aren't read any more.
        json: whether messages are JSON. False: texts are received.
        binary: ``base64`` sends and receives bytes as text, as the server's ``GATESOCKET_BINARY`` says. None: not.
        close_message: whether a last text ``{"type": "close", "code", "reason"}`` tells of the close.
        on_state: is told of each new state, in the order in which they come, a hand-over excepted. What it raises ends
            the connection, as what `ready` and `key` raise does.
        on_history: is told of each group's history, before what was missed of it is received, whether that is all; as
            `on_state` is.
        connect: what opens sockets, called with the address, ``subprotocols`` and ``write_limit``:
            ``partial(websockets.connect, additional_headers=…)``, for example.
        random: a number from 0 to 1.
    """

    def __init__(
        self,
        url: Address,
        *,
        subprotocols: Sequence[str] = (),
        first_delay: float = 0.5,
        longest_delay: float = 30,
        stable_after: float = 5,
        ping: Any = None,
        silence: float = 4 * 60,
        answer_within: float = 10,
        hand_over_after: float | None = CONNECTION_SECONDS - 10 * 60,
        hand_over_spread: float = 5 * 60,
        overlap: float = 5,
        ready: Callable[[Any], bool] | None = None,
        key: Callable[[Any], str | None] | None = None,
        resume: str | None = None,
        cursor: str = "",
        first: Any = None,
        largest_frame: int | None = FRAME_BYTES,
        unsent: int = 100,
        untaken: int = 100,
        json: bool = True,
        binary: Literal["base64"] | None = None,
        close_message: bool = True,
        on_state: Callable[[State], object] | None = None,
        on_history: Callable[[bool], object] | None = None,
        connect: Connect = CONNECT,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._codec = Codec(largest_frame=largest_frame, json=json, binary=binary, close_message=close_message)
        self._machine = Machine(
            Policy(
                first_delay=first_delay,
                longest_delay=longest_delay,
                stable_after=stable_after,
                ping=None if ping is None else self._codec.encode(ping),
                silence=silence,
                answer_within=answer_within,
                hand_over_after=hand_over_after,
                hand_over_spread=hand_over_spread,
                overlap=overlap,
                unsent=unsent,
                let_in_by_message=ready is not None,
            )
        )
        self._dialler = Dialler(
            url,
            first,
            subprotocols=subprotocols,
            connect=connect,
            encode=self._codec.encode,
            complete=self._resuming,
        )
        self._owner = Owner(self._happen, self._start, self._take)
        self._ready = ready
        self._key = key
        self._untaken = untaken
        self._on_state = on_state
        self._on_history = on_history
        self._resume = resume
        self._histories = Histories(cursor)
        self._bringing: set[Cursor] = set()  # what waits to be received, and isn't seen before
        self._random = random
        self._said = 0
        self._senders: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._lines: dict[int, Line] = {}
        self._changed = asyncio.Event()  # something is to be done sooner than was awaited
        self._awaited = math.inf
        self._supervisor: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    @property
    def state(self) -> State:
        """What the connection is doing now."""
        return self._machine.state

    @property
    def unsent(self) -> int:
        """How many messages wait for a connection."""
        return len(self._machine.unsent)

    @property
    def cursor(self) -> str:
        """How far this client has come in the histories of its groups; to be kept for the parameter of that name."""
        return self._histories.cursor

    @property
    def handing_over(self) -> bool:
        """Whether two sockets are open, one of which takes over from the other."""
        return self._machine.handing_over

    async def __aenter__(self) -> Self:
        if self._supervisor is not None:
            raise RuntimeError("a Connection can be entered once. Make another one")
        self._brought, self._inbox = create_memory_object_stream[Any](self._untaken)
        self._supervisor = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # As websockets does: the server may want to know that it wasn't on purpose.
        await self.close(1000 if exc_type is None else INTERNAL_ERROR)
        self._inbox.close()
        if self._failure is not None and exc is None:
            raise self._failure

    async def send(self, message: Any) -> None:
        """Send a message: a text as it is, bytes in the agreed form, a pydantic model or anything else as JSON.

        Returns when it has left this process, or, while there is no connection, when it is kept until there is one.
        Cancelling this takes nothing back.

        Raises:
            ConnectionEnded: the connection has ended for good; it was not sent.
            MessageTooLarge: it is larger than a frame may be.
            OutboxFull: there is no connection, and as many messages wait as may: it is neither sent nor kept.
            TypeError: it is bytes, and no form was agreed on; or nothing that JSON knows.
            ValueError: it has a value that JSON or UTF-8 can't say.
        """
        frame = self._codec.encode(message)
        if self._failure is not None:
            raise self._failure
        self._happen(Said(frame))
        self._said += 1
        if self._is_waiting(self._said):
            written = asyncio.get_running_loop().create_future()
            self._senders.append((self._said, written))
            await written
            if self._has_ended:
                self._raise_end()

    async def recv(self) -> Any:
        """Return the next message, through whichever socket it comes; cancelling this loses none.

        Raises:
            ConnectionEnded: none will come any more.
            RuntimeError: the context wasn't entered.
            ValueError: it isn't JSON. The connection is none the worse for it.
        """
        if self._supervisor is None:
            raise RuntimeError("nothing can be received yet: enter the connection's context, async with Connection(…)")
        try:
            message = await self._inbox.receive()
        except (EndOfStream, ClosedResourceError):
            self._raise_end()
        if isinstance(message, _Unreadable):
            raise message.error
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.recv()
        except ConnectionEnded:
            if self._machine.phase is Phase.CLOSED:
                raise StopAsyncIteration from None
            raise

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Leave for good; what waits is forgotten. Returns when the server has answered, ten seconds later if not."""
        try:
            self._happen(Left(code, reason))
        finally:
            if self._supervisor is not None:
                await _end(self._supervisor)

    # ---- what happens, and what is done about it

    def _happen(self, event: Event) -> list[Any]:
        """Let something happen, and return the messages that are to be received."""
        now = asyncio.get_running_loop().time()
        effects = self._machine.happen(event, now=now, chance=self._random())
        self._perform(effects)
        for effect in effects:
            # Last, for it is the caller's code that hears of it, and may raise.
            if isinstance(effect, Tell) and self._on_state is not None:
                self._on_state(effect.state)
        return [effect.message for effect in effects if isinstance(effect, Deliver)]

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Dial(number):
                    line = self._lines[number] = Line(number, self._owner, self._dialler)
                    line.holder.add_done_callback(partial(self._forget, number))
                case Write(number, frame):
                    self._lines[number].write(frame)
                case HangUp(number, code, reason):
                    self._lines[number].end(code, reason)
                case Abandon(number):
                    self._lines[number].end(abandon=True)
        self._release_senders()
        if self._machine.ended or self._next_deadline() < self._awaited:
            self._changed.set()

    def _forget(self, number: int, _holder: "asyncio.Task[None]") -> None:
        del self._lines[number]

    def _start(self, work: Callable[..., Awaitable[None]], *args: Any) -> "asyncio.Task[None]":
        async def guarded() -> None:
            try:
                await work(*args)
            except Exception as error:
                self._fail(error)

        return self._tasks.create_task(guarded())

    def _fail(self, error: Exception) -> None:
        """End a connection for what is no matter of the network: a mistake of the caller, or one here."""
        self._failure = self._failure or error
        self._perform(self._machine.happen(Left(INTERNAL_ERROR), now=0, chance=0))

    async def _supervise(self) -> None:
        """Be there for the tasks of all sockets until the connection has ended for good."""
        with self._brought:
            async with asyncio.TaskGroup() as self._tasks:
                await self._start(self._keep_time)

    async def _keep_time(self) -> None:
        self._happen(Started())
        while not self._machine.ended:
            await self._until_due()
            self._tick()

    async def _until_due(self) -> None:
        self._changed.clear()
        self._awaited = self._next_deadline()
        try:
            async with asyncio.timeout_at(self._awaited):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        while (timer := self._machine.due(now)) is not None:
            if timer in _WHILE_READING and self._brought.statistics().tasks_waiting_send:
                self._machine.postpone(timer, now=now)
            else:
                self._happen(timer)

    def _next_deadline(self) -> float:
        deadline = self._machine.deadline
        return math.inf if deadline is None else deadline

    # ---- sockets

    def _resuming(self, address: str) -> str:
        if self._resume is None:
            return address
        return f"{address}{'&' if '?' in address else '?'}{urlencode({self._resume: self.cursor})}"

    async def _take(self, line: int, frame: str | bytes) -> None:
        """Look at what a socket has brought."""
        if (farewell := self._codec.farewell(frame)) is not None:
            self._happen(Farewell(line, *farewell))
            return
        try:
            message = self._codec.decode(frame)
        except ValueError as error:
            heard = Heard(line, _Unreadable(error))
        else:
            lets_in = self._ready is not None and self._ready(message)
            key = None if self._key is None else self._key(message)
            heard = Heard(line, message, lets_in, key)
        for delivered in self._happen(heard):
            await self._bring(delivered)

    async def _bring(self, message: Any) -> None:
        """Let a message be received, unless it has been, or only tells of a history."""
        cursor, complete = told(message) if self._resume is not None else (None, None)
        if cursor is None:
            await self._brought.send(message)
        elif complete is not None:
            self._histories.go_on(cursor, complete=complete)
            if self._on_history is not None:
                self._on_history(complete)
        elif not self._histories.knows(cursor) and cursor not in self._bringing:
            # Only then it is seen: a socket may end before there is room for what it brought.
            self._bringing.add(cursor)
            try:
                await self._brought.send(message)
                self._histories.note(cursor)
            finally:
                self._bringing.discard(cursor)

    # ---- those who wait

    @property
    def _has_ended(self) -> bool:
        return self._machine.ended or self._failure is not None

    def _is_waiting(self, number: int) -> bool:
        """Whether the message of that number is still to be written to the socket that there is."""
        return self._machine.linked and number > self._said - self._machine.pending and not self._has_ended

    def _release_senders(self) -> None:
        while self._senders and not self._is_waiting(self._senders[0][0]):
            _, written = self._senders.popleft()
            if not written.done():
                written.set_result(None)

    def _raise_end(self) -> NoReturn:
        if self._failure is not None:
            raise self._failure
        state = self._machine.state
        raise ConnectionEnded(state.code or ABNORMAL, state.reason, state.status)


async def _end(task: "asyncio.Task[None]") -> None:
    """Wait for the end of a task, which comes at once if there is no time to wait."""
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise
