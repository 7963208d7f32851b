"""Trouble on purpose: what API Gateway, SQS and Lambda are allowed to do, and seldom do on a developer's machine.

`decide` is pure: of a seed, an occasion and how often the occasion has come before, it makes a fault or none. So one
seed gives the nth wake, the nth message and so on the same fate in every run, whatever their ids are.

Every fault is one that the platform documents: queues deliver more than once and late, ``$disconnect`` is best effort,
messages aren't ordered, processes die, the Management API throttles, and answers 410 until the client has its 101
(facts sheet, sections 4 and 6; https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html).
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gatesocket.clock import Clock, milliseconds
from gatesocket.emulator.activity import Activity, Faulted, Watch
from gatesocket.emulator.answers import Answer, Returned
from gatesocket.emulator.connections import Connections
from gatesocket.emulator.effects import Accept, Invoke
from gatesocket.emulator.management import ManagementResponse, refusal
from gatesocket.emulator.runtimes import RuntimeFunction

__all__ = ["TABLE", "Chaos", "Decision", "Fault", "MortalFunction", "Occasion", "TroubledConnections", "decide"]

Run = Callable[[], Awaitable[Answer]]
"""Invokes the function that an occasion is about, anew with each call."""


class Occasion(StrEnum):
    """When something can go wrong."""

    BATCH = "batch"
    """A queue or a stream invokes a function."""
    MESSAGE = "message"
    DISCONNECT = "disconnect"
    POST = "post"
    """A function posts to a connection, or asks for it."""
    HANDSHAKE = "handshake"
    """A client is told that it is connected."""
    PROCESS = "process"
    """A process of its own gets an invocation."""


class Fault(StrEnum):
    """What goes wrong."""

    DUPLICATE = "duplicate delivery"
    """A batch comes twice, at once."""
    LATE = "late delivery"
    OVERTAKEN = "held message"
    """Those that came later are invoked before, or beside it."""
    LATE_DISCONNECT = "late disconnect"
    EARLY_DISCONNECT = "early disconnect"
    """The end comes before a message that was sent before; follows from a held message."""
    NO_DISCONNECT = "missing disconnect"
    THROTTLED = "429 from @connections"
    BROKEN = "500 from @connections"
    NOT_YET = "410 after the handshake"
    DEATH = "killed process"


TABLE: Final[Mapping[Occasion, tuple[tuple[Fault, float, int], ...]]] = {
    Occasion.BATCH: ((Fault.DUPLICATE, 0.15, 0), (Fault.LATE, 0.15, 1500)),
    Occasion.MESSAGE: ((Fault.OVERTAKEN, 0.25, 150),),
    Occasion.DISCONNECT: ((Fault.LATE_DISCONNECT, 0.25, 2000), (Fault.NO_DISCONNECT, 0.1, 0)),
    Occasion.POST: ((Fault.THROTTLED, 0.05, 0), (Fault.BROKEN, 0.05, 0)),
    Occasion.HANDSHAKE: ((Fault.NOT_YET, 0.3, 400),),
    Occasion.PROCESS: ((Fault.DEATH, 0.05, 60),),
}
"""Of each occasion: what may happen, how likely that is, and how many milliseconds it may take at the most."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A fault to make."""

    fault: Fault
    milliseconds: int
    """How long it lasts; 0 for one that has no length."""


def decide(seed: int, occasion: Occasion, number: int) -> Decision | None:
    """Return what goes wrong on the occasion that comes for the time *number*; None for nothing."""
    chance = random.Random(f"{seed}/{occasion}/{number}")  # noqa: S311 (has to be the same again)
    draw = chance.random()
    for fault, probability, longest in TABLE[occasion]:
        if draw < probability:
            return Decision(fault, round(chance.random() * longest))
        draw -= probability
    return None


class Chaos:
    """Makes the faults of one stack, and names each; also a watch, which has to be told of handshakes.

    Args:
        seed: what `decide` is given.
        watch: is told of each fault.
        clock: milliseconds since the epoch.
        sleep: waits, in seconds.
    """

    def __init__(
        self,
        seed: int,
        *,
        watch: Watch,
        clock: Clock = milliseconds,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._seed = seed
        self._watch = watch
        self._clock = clock
        self._sleep = sleep
        self._came: Counter[Occasion] = Counter()
        self._held: Counter[str] = Counter()
        """How many messages of a connection are held."""
        self._not_before: dict[str, int] = {}
        """When connections whose handshake is over can be posted to, in milliseconds since the epoch."""

    def __call__(self, activity: Activity) -> None:
        """Choose how long a new connection can't be posted to."""
        if isinstance(activity, Accept) and (decision := self.next(Occasion.HANDSHAKE)):
            self._not_before[activity.connection_id] = self._clock() + decision.milliseconds

    def next(self, occasion: Occasion) -> Decision | None:
        """Return what goes wrong this time."""
        self._came[occasion] += 1
        return decide(self._seed, occasion, self._came[occasion])

    def tell(self, fault: Fault, about: str) -> None:
        """Name a fault that is made."""
        self._watch(Faulted(fault, about))

    async def batch(self, about: str, run: Run) -> Answer:
        """Invoke a function with a batch, now or late, once or twice."""
        match self.next(Occasion.BATCH):
            case Decision(Fault.DUPLICATE):
                self.tell(Fault.DUPLICATE, about)
                answer, _ = await asyncio.gather(run(), run())
                return answer
            case Decision(Fault.LATE, ms):
                self.tell(Fault.LATE, f"{about}, {ms} ms")
                await self._sleep(ms / 1000)
        return await run()

    async def invoke(self, effect: Invoke, run: Run) -> Answer:
        """Invoke a function for a connection, now or late, or not at all."""
        match effect.event["requestContext"]["routeKey"]:
            case "$connect":
                return await run()
            case "$disconnect":
                return await self._disconnect(effect.connection_id, run)
        return await self._message(effect.connection_id, run)

    def management(self, connection_id: str) -> ManagementResponse | None:
        """Return what the Management API answers instead of looking; None lets it look."""
        if self._clock() < self._not_before.get(connection_id, 0):
            self.tell(Fault.NOT_YET, connection_id)
            return ManagementResponse(410, {"x-amzn-ErrorType": "GoneException"})
        match self.next(Occasion.POST):
            case Decision(Fault.THROTTLED):
                self.tell(Fault.THROTTLED, connection_id)
                return refusal(429, "LimitExceededException", "Too many requests")
            case Decision(Fault.BROKEN):
                self.tell(Fault.BROKEN, connection_id)
                return refusal(500, "InternalServerErrorException", "Internal server error")
        return None

    async def _message(self, connection_id: str, run: Run) -> Answer:
        # Whoever sends has its 101.
        self._not_before.pop(connection_id, None)
        if decision := self.next(Occasion.MESSAGE):
            self.tell(decision.fault, f"{connection_id}, {decision.milliseconds} ms")
            self._held[connection_id] += 1
            try:
                await self._sleep(decision.milliseconds / 1000)
            finally:
                self._held -= Counter([connection_id])
        return await run()

    async def _disconnect(self, connection_id: str, run: Run) -> Answer:
        self._not_before.pop(connection_id, None)
        match self.next(Occasion.DISCONNECT):
            case Decision(Fault.NO_DISCONNECT):
                self.tell(Fault.NO_DISCONNECT, connection_id)
                return Returned(None)  # which nobody looks at
            case Decision(fault, ms):
                self.tell(fault, f"{connection_id}, {ms} ms")
                await self._sleep(ms / 1000)
        if self._held[connection_id]:
            self.tell(Fault.EARLY_DISCONNECT, connection_id)
        return await run()


class TroubledConnections(Connections):
    """Connections whose Management API doesn't always work."""

    def __init__(self, *args: Any, chaos: Chaos, **options: Any) -> None:
        super().__init__(*args, **options)
        self._chaos = chaos

    def manage(self, method: str, connection_id: str, body: bytes) -> ManagementResponse:
        """Serve one request to the Management API, or refuse to."""
        return self._chaos.management(connection_id) or super().manage(method, connection_id, body)


class MortalFunction:
    """A function whose processes die in the middle of some invocations.

    Args:
        function: what runs them.
        logical_id: its name, for the fault's.
        chaos: says which.
    """

    def __init__(self, function: RuntimeFunction, logical_id: str, chaos: Chaos) -> None:
        self._function = function
        self._logical_id = logical_id
        self._chaos = chaos

    async def start(self) -> None:
        """See `Invocable.start`."""
        await self._function.start()

    async def invoke(self, event: Any, *, request_id: str) -> Answer:
        """Invoke the function, and kill its process if that is decided and it runs for so long."""
        decision = self._chaos.next(Occasion.PROCESS)
        if decision is None:
            return await self._function.invoke(event, request_id=request_id)
        invocation = asyncio.create_task(self._function.invoke(event, request_id=request_id))
        try:
            await asyncio.wait({invocation}, timeout=decision.milliseconds / 1000)
            if self._function.kill(request_id):
                self._chaos.tell(decision.fault, f"{self._logical_id} {request_id}")
            return await invocation
        finally:
            invocation.cancel()

    async def aclose(self) -> None:
        """See `Invocable.aclose`."""
        await self._function.aclose()
