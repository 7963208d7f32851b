"""Timers that are longer than a process lives: sleeps, and the deadlines of blocks that are open around a wait.

A sleep of the route's is a point, like a receive: the route hibernates there with the time at which it ends. A deadline
belongs to a block that is open while the route waits: ``asyncio.timeout(30)``, ``anyio.move_on_after(30)``, and
``asyncio.wait_for(call(), 30)``, which the first pass writes as such a block. The block is left when the route
hibernates and entered again when it wakes, like any ``with``, and then gets its old deadline back. If that has passed,
the event loop does the rest: it cancels the route in the wait, and the block turns that into what it always does.

In a snapshot, times are milliseconds since the epoch; on the event loop, seconds on the loop's own clock.
"""

import asyncio
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

if TYPE_CHECKING:
    from types import FunctionType

__all__ = [
    "BLOCKS",
    "LONGEST",
    "SLEEPS",
    "TIMER_THRESHOLD",
    "Stays",
    "below_threshold",
    "deadline",
    "earliest",
    "has_deadline",
    "limit",
    "set_deadline",
]

TIMER_THRESHOLD: Final = 1.0
"""Seconds from which on a timer hibernates; a shorter one simply waits.

A wake comes through SQS, whose delays are whole seconds, so that a shorter timer would be late by more than its own
length. And it costs two writes, a queue's message and an invocation, for which a function of 512 MB waits about a third
of a second: https://aws.amazon.com/lambda/pricing/, https://aws.amazon.com/sqs/pricing/.
"""

LONGEST: Final = 24 * 60 * 60.0
"""Seconds that stand for any longer sleep, for ever included: a connection lasts two hours at the most."""

_sleeps: Any = (asyncio.sleep, anyio.sleep)
SLEEPS: "Final[frozenset[FunctionType]]" = frozenset(_sleeps)
"""The functions that do nothing but wait."""

_blocks: Any = (asyncio.timeout, asyncio.timeout_at, anyio.fail_after, anyio.move_on_after)
BLOCKS: "Final[frozenset[FunctionType]]" = frozenset(_blocks)
"""What makes a block with a deadline."""


class Stays(Protocol):
    """Decides whether a route waits for a timer where it is, or hibernates."""

    def __call__(self, seconds: float, *, receiving: bool) -> bool:
        """Whether to wait for so many seconds; *receiving* tells a receive with a deadline from a sleep."""
        ...


def below_threshold(seconds: float, *, receiving: bool) -> bool:
    """Wait for a timer that is shorter than `TIMER_THRESHOLD`."""
    return seconds < TIMER_THRESHOLD


def earliest(times: Iterable[int | None]) -> int | None:
    """The first of some times, of which None is never."""
    return min((time for time in times if time is not None), default=None)


def has_deadline(value: object) -> bool:
    """Whether *value*, which entering a block gave, is what holds the block's deadline."""
    return isinstance(value, asyncio.Timeout | anyio.CancelScope)


def deadline(value: asyncio.Timeout | anyio.CancelScope) -> float | None:
    """The deadline of an open block, in the event loop's time; None if it has none, or has had its effect."""
    if isinstance(value, asyncio.Timeout):
        return None if value.expired() else value.when()
    if value.cancel_called:  # whatever the block waits for is cancelled at once
        return asyncio.get_running_loop().time()
    return None if value.deadline == math.inf else value.deadline


def set_deadline(value: asyncio.Timeout | anyio.CancelScope, when: float | None) -> None:
    """Give an open block another deadline; None for none."""
    if isinstance(value, asyncio.Timeout):
        value.reschedule(when)
    else:
        value.deadline = math.inf if when is None else when


class _Over:
    """The block of a `wait_for` whose time is over before it begins."""

    async def __aenter__(self) -> None:
        await asyncio.sleep(0)  # as `wait_for` does, so that a loop around it lets others run
        raise TimeoutError

    async def __aexit__(self, *_: object) -> None:
        raise AssertionError("a block is left that was not entered")  # pragma: no cover


def limit(timeout: float | None, /) -> "asyncio.Timeout | _Over":
    """Make the block that stands for ``asyncio.wait_for(…, timeout)``; as there, None means no limit."""
    return asyncio.timeout(timeout) if timeout is None or timeout > 0 else _Over()
