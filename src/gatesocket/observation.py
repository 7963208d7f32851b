"""What is told of an event, and how it is gathered while the event is served."""

import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from gatesocket.gateway.base import GatewayClient

__all__ = [
    "Counter",
    "Headers",
    "Observation",
    "Observer",
    "Observers",
    "Ongoing",
    "Trace",
    "Tracer",
    "count",
    "ongoing",
    "request_id",
    "route_failed",
]

Headers = tuple[tuple[str, str], ...]
"""Names and values, one pair for each value."""

Counter = Literal["broadcasts", "ended", "failed", "gone", "posts", "queued", "retries"]
"""What `count` counts: the fields of `Observation` of these names."""

Message = MutableMapping[str, Any]


@dataclass(slots=True, eq=False)
class Observation:
    """One event, and what became of it."""

    event: str
    """``connect``, ``message`` or ``disconnect``; ``wake`` or ``expiry`` for one of a batch, and ``batch`` for what
    brought it; ``jobs``, ``fan-out``, or what an `ObservedFunction` was called."""
    connection_id: str | None
    """None for what may be about many."""
    request_id: str
    """Lambda's; empty outside of Lambda."""
    message_id: str | None = None
    """API Gateway's of a message, SQS's of a wake."""
    trace_id: str | None = None
    """The trace that the event is in, as 32 hexadecimal digits; None if it isn't traced."""
    route: str | None = None
    """The path of the connection's route, ``/ws/{room}``; None until it is looked up, and if there is no such route."""
    woken_at: str | None = None
    """Where the route has waited, as ``module:function:line``; None if it begins, or wasn't woken."""
    waits_at: str | None = None
    """Where it waits now; None if it has ended, or wasn't run."""
    status: int | None = None
    """The answer to a handshake, where one was given."""
    milliseconds: float = 0.0
    """From the event to the answer, the app's start-up included."""
    waking: float | None = None
    """Milliseconds from the event until the route received its first message; None if it received none."""
    running: float | None = None
    """Milliseconds from then on, or from when it was called, until it hibernated or ended; None if it wasn't run."""
    wakes: int = 0
    """How often the route was woken for this event."""
    messages: int = 0
    """What it received of its client: several if others left theirs to this invocation, none if it was left to another
    one."""
    ended: int = 0
    """Connections that were forgotten because their route has ended."""
    posts: int = 0
    """What the gateway has taken, for this connection and for others."""
    gone: int = 0
    """Posts to connections that had left, or whose handshake wasn't over."""
    failed: int = 0
    """Posts that the gateway refused after all tries."""
    broadcasts: int = 0
    """Messages that were sent to many."""
    queued: int = 0
    """Of those that they were for, how many were left to the fan-out queue, or to the end of a handshake."""
    retries: int = 0
    """Calls to AWS that were made again."""
    route_errors: int = 0
    """Exceptions that a route let out, and routes that couldn't be woken any more."""
    route_error: str | None = None
    """The class of the last one."""
    failures: int = 0
    """Of a batch, how much is to be delivered again."""
    error: str | None = None
    """The class of the exception that the event itself ended with; None if it was answered."""


Observer = Callable[[Observation], None]
"""Is told of each event when it is over, before it is answered; it should be quick, and what it raises fails that."""


class Trace(Protocol):
    """An event's own place in a trace, from its beginning to its end."""

    def headers(self, headers: Headers) -> Headers:
        """Return *headers* with this place in them, instead of any other: what the app is called with."""
        ...

    def belongs_to(self, headers: Headers) -> None:
        """Say that the event is one of the connection whose scope has these headers; a handshake's is so already."""
        ...

    def end(self, observation: Observation) -> None:
        """End it with all that is known now; the event's own exception is in *observation*."""
        ...


class Tracer(Protocol):
    """What follows events from function to function: `gatesocket.observe.tracing.Tracing`."""

    def begin(self, observation: Observation, headers: Headers) -> Trace:
        """Begin to follow an event, and make that known to whatever is called by this task.

        *headers* are those of a handshake; none for any other event.
        """
        ...

    async def flush(self) -> None:
        """Let go of what was collected, before Lambda stops the process."""
        ...

    def flush_here(self) -> None:
        """Do the same where no event loop runs."""
        ...


_counting = Lock()
"""Threads count, too: boto3's calls run in some."""

_ongoing: ContextVar["Ongoing | None"] = ContextVar("gatesocket.observation", default=None)


def ongoing() -> "Ongoing | None":
    """Return the event that is served in this context, if it is observed."""
    return _ongoing.get()


def count(what: Counter, by: int = 1) -> None:
    """Count something of the event that is served in this context, if it is observed."""
    now = _ongoing.get()
    if now is not None:
        with _counting:
            setattr(now.observation, what, getattr(now.observation, what) + by)


def route_failed(error: Exception) -> None:
    """Count an exception that a route let out; its class is told and not its text, which may hold anything."""
    now = _ongoing.get()
    if now is not None:
        now.observation.route_errors += 1
        now.observation.route_error = type(error).__name__


class Observers:
    """Those who watch a function's events.

    Args:
        observer: is told of each event when it is over; None tells nobody.
        tracer: follows each event; None follows none.
        timer: returns seconds.
    """

    def __init__(
        self,
        observer: Observer | None = None,
        tracer: Tracer | None = None,
        *,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._observer = observer
        self._tracer = tracer
        self._timer = timer

    @classmethod
    def of(cls, observer: Observer | None, tracer: Tracer | None) -> "Observers | None":
        """Return them; None for nobody, so that nothing needs to be done for them."""
        return None if observer is None and tracer is None else cls(observer, tracer)

    @contextmanager
    def watching(self, observation: Observation, headers: Headers = ()) -> Iterator["Ongoing"]:
        """Have everything that happens inside, and in the tasks started there, gathered in *observation*.

        *headers* are those of a handshake.
        """
        began = self._timer()
        trace = None if self._tracer is None else self._tracer.begin(observation, headers)
        now = Ongoing(observation, trace, self._timer, began)
        token = _ongoing.set(now)
        try:
            yield now
        except Exception as error:
            observation.error = type(error).__name__
            raise
        finally:
            _ongoing.reset(token)
            observation.milliseconds = (self._timer() - began) * 1000
            if trace is not None:
                trace.end(observation)
            if self._observer is not None:
                self._observer(observation)

    # What follows is imported here, so that it takes no part in the cold start of a function that nobody observes.

    def counting(self, gateway: "GatewayClient") -> "GatewayClient":
        """Return a gateway client whose posts are counted, and that is *gateway* in everything else."""
        from gatesocket.observe.gateway import ObservedGateway  # noqa: PLC0415

        return ObservedGateway(gateway)

    def counting_posts(self) -> AbstractContextManager[None]:
        """Have what managers send inside counted."""
        from gatesocket.observe.gateway import counting_posts  # noqa: PLC0415

        return counting_posts()

    async def flush(self) -> None:
        """Let go of what was collected of traces; awaited once for each Lambda event, before it is answered."""
        if self._tracer is not None:
            await self._tracer.flush()


class Ongoing:
    """An event that is observed, while it is served."""

    def __init__(self, observation: Observation, trace: Trace | None, timer: Callable[[], float], began: float) -> None:
        self.observation = observation
        self._trace = trace
        self._timer = timer
        self._began = began
        self._running_since = began

    def headers(self, headers: Headers) -> Headers:
        """Return a handshake's headers as the app and the connection's record are to have them."""
        return headers if self._trace is None else self._trace.headers(headers)

    def run_begins(
        self,
        scope: MutableMapping[str, Any],
        next_message: Callable[[], Message | None],
        *,
        route: str | None,
        snapshot: bytes | None,
    ) -> Callable[[], Message | None]:
        """Note that a route is run, and return what gives it its messages in the place of *next_message*.

        Args:
            scope: what the app is called with; its headers may be changed.
            next_message: what the route would get its messages from.
            route: the route's path.
            snapshot: what it is woken with; None if it begins here.

        Raises:
            SnapshotError: *snapshot* can't be read, and the route not be woken.
        """
        observation = self.observation
        observation.route = route
        if snapshot is not None:
            observation.woken_at = observation.woken_at or self._point_of(snapshot)
            observation.wakes += 1
        if self._trace is not None:
            headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
            self._trace.belongs_to(headers)
            scope["headers"] = [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in self._trace.headers(headers)
            ]
        self._running_since = self._timer()

        def receive() -> Message | None:
            message = next_message()
            if message is not None:
                if observation.waking is None:
                    self._running_since = self._timer()
                    observation.waking = (self._running_since - self._began) * 1000
                observation.messages += message["type"] == "websocket.receive"
            return message

        return receive

    def run_ends(self, snapshot: bytes | None) -> None:
        """Note that the route hibernates, with *snapshot*, or that it has ended, with none."""
        observation = self.observation
        observation.running = (observation.running or 0.0) + (self._timer() - self._running_since) * 1000
        observation.waits_at = None if snapshot is None else self._point_of(snapshot)

    def _point_of(self, snapshot: bytes) -> str:
        from gatesocket.whereabouts import hibernation_point  # noqa: PLC0415

        return hibernation_point(snapshot)


def request_id(context: object) -> str:
    """Return the id of a Lambda invocation; empty outside of Lambda."""
    found: str = getattr(context, "aws_request_id", "")
    return found
