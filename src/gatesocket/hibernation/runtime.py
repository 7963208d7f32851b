"""The run: an app from its waking to its next hibernation.

Transformed functions meet the run when they start (`Run.begin`) and at a point whose call may lead into another of
them (`Run.expect`, `Run.next_frame`). The rest happens at the receive, when it finds that there is no message:

1. *walk* the stack, from the receive up to the run. Each frame is framework code, or a transformed function at one of
   its points, or a reason to refuse;
2. *save* the live locals of the transformed frames, outermost first;
3. *leave* by `Hibernate`. ``with`` blocks are left for real; nothing else of the user's runs.

Waking is the same in reverse: the app is called with the stored scope, and each transformed function that starts is
handed its saved locals until all have been woken; the innermost makes its receive again, which has the message now.

Which run is active is a context variable, so that connections share a process and an event loop without knowing of one
another. The app runs in a context of its own, and what it sets there is saved too.
"""

import asyncio
import logging
import math
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import Context, copy_context
from types import CellType
from typing import Any, NoReturn, cast

from gatesocket.clock import Clock, milliseconds
from gatesocket.exceptions import CannotHibernate, Finding, SnapshotError
from gatesocket.hibernation import bound, instances, kinds  # noqa: F401 - they register their kinds
from gatesocket.hibernation.blocks import Block, Hibernate
from gatesocket.hibernation.blueprint import Blueprint
from gatesocket.hibernation.dependencies import install_overrides
from gatesocket.hibernation.entry import ACTIVE, Activation
from gatesocket.hibernation.home import Home
from gatesocket.hibernation.saving import save
from gatesocket.hibernation.snapshot import Snapshot, name_of
from gatesocket.hibernation.stack import Live, walk
from gatesocket.hibernation.tasks import InContext, Spawned, own_place, watch_tasks
from gatesocket.hibernation.timers import (
    LONGEST,
    Stays,
    below_threshold,
    deadline,
    earliest,
    has_deadline,
    set_deadline,
)
from gatesocket.hibernation.units import adopt_called
from gatesocket.hibernation.waking import Waking
from gatesocket.values import frozen

__all__ = ["Hibernated", "Run", "run"]

logger = logging.getLogger("gatesocket")

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

GRACE = 1.0
"""Seconds that a task of the route's has to end, before the route is refused to hibernate."""


class Refused(BaseException):
    """Carries `CannotHibernate` out of a route whose ``except Exception`` is not meant for it."""


@frozen
class Hibernated:
    """What a run leaves of a route that waits."""

    snapshot: bytes
    """To wake it with."""
    due: int | None = None
    """When to wake it without a message, in milliseconds since the epoch; None for never."""
    asleep: bool = False
    """Whether it waits for that time only, and takes no message before."""


def run(
    app: App,
    scope: Scope,
    next_message: Callable[[], Message | None],
    send: Send,
    *,
    blueprint: Blueprint,
    snapshot: bytes | None = None,
    clock: Clock = milliseconds,
    stays: Stays = below_threshold,
) -> Coroutine[Any, Any, Hibernated | None]:
    """Run *app* until it ends or waits for what isn't there yet: a message, or a time.

    Args:
        app: the ASGI app.
        scope: the ASGI scope of the connection, the same for each of its runs. It isn't changed.
        next_message: gives the next ASGI message; None if there is none now and the route has to hibernate. The first
            message of a connection is ``websocket.connect``.
        send: what the app sends with.
        blueprint: what `prepare` returned for *app*.
        snapshot: what the last run of this connection left; None for its first run.
        clock: tells when timers end.
        stays: decides whether the route waits for a timer, or hibernates.

    Returns:
        What the app is to be woken with, and when; None if the app has ended. A route that sleeps for longer isn't run:
        what comes back is what was given.

    Raises:
        SnapshotError: *snapshot* is damaged, or was written by other code than what would wake.
        CannotHibernate: the route holds something that can't be saved.
        Exception: whatever the app raised, unchanged.
    """
    return Run(scope, next_message, send, blueprint, snapshot, clock, stays).drive(app)


class Run:
    """One run of the app for one connection."""

    def __init__(
        self,
        scope: Scope,
        next_message: Callable[[], Message | None],
        send: Send,
        blueprint: Blueprint,
        snapshot: bytes | None,
        clock: Clock,
        stays: Stays,
    ) -> None:
        self.state: Mapping[str, Any] = dict(scope.get("state", {}))
        self.scope = dict(scope)
        if "state" in scope:
            self.scope["state"] = dict(self.state)
        self.send = send
        self._blueprint = blueprint
        self.result: Hibernated | None = None
        """What this run ends with."""
        self.disarmed: list[tuple[Block, int | None]] = []
        """Blocks that were entered again, and the deadlines that they get when the route has come to its wait."""
        self._clock = clock
        self._stays = stays
        self._next_message = next_message
        self._home = Home(self.scope, self.receive, self.send, self.state)
        self._waking = None if snapshot is None else Waking(Snapshot.load(snapshot), self._home)
        self._refusal: CannotHibernate | SnapshotError | None = None
        self._left: list[Activation] = []
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop  # while it runs
        self._outside: Context = copy_context()
        self._giving_back = 0
        self._spawned: list[Spawned] = []

    async def drive(self, app: App) -> Hibernated | None:
        """Call the app, and bring its end into the form that `run` promises."""
        waking = self._waking
        if waking is not None and waking.snapshot.until is not None:
            given = waking.snapshot
            if not self._waits_here(given.due, receiving=False):
                return Hibernated(given.dump(), given.due, asleep=True)
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        watch_tasks(self._loop)
        for provider in self._blueprint.providers:
            install_overrides(provider)
        context = self._outside.copy()
        context.run(ACTIVE.set, self)
        if waking is not None:
            context.run(waking.restore_surroundings)
        try:
            await InContext(self._call(app), context)
        except Hibernate:
            pass
        except Refused:
            pass
        finally:
            # What knows the run would otherwise live until the garbage collector finds it.
            self._left = []
            self._waking = None
            del self._home
        if self._refusal is not None:
            raise self._refusal
        if waking is not None and waking.asleep:
            raise SnapshotError(
                f"the app ended without coming back to where the route waits, in {waking.asleep[0].name}"
            )
        return self.result

    async def _call(self, app: App) -> None:
        await app(self.scope, self.receive, self.send)

    # What the app meets.

    async def receive(self) -> Message:
        """The app's ``receive``."""
        if self._left and not self._giving_back:
            raise Hibernate
        try:
            if asyncio.current_task(self._loop) is not self._task:
                self._refuse_task()
            if self._giving_back:
                what = "the end of a `with` waits for the client, and hibernation has to leave the block"
                place = own_place(sys._getframe(1))  # noqa: SLF001
                raise CannotHibernate(Finding(*place, what, "Receive in the block, before it ends"))  # noqa: TRY301
            if self.disarmed:
                self._arm()
            message = self._next_message()
            if message is None and self._spawned:
                await self._await_tasks()
                message = self._next_message()
            if message is not None:
                return message
            live = walk(sys._getframe())  # noqa: SLF001
            deadlines = self._deadlines(live)
            if deadlines and self._waits_here(earliest(deadlines.values()), receiving=True):
                # The event loop cancels this when the first of the blocks runs out.
                await asyncio.get_running_loop().create_future()
            self._leave(live, deadlines)
        except CannotHibernate as refusal:
            self._refuse(refusal)

    async def sleep(self, delay: float, result: Any = None, *, until: int | None) -> Any:
        """Sleep in the place of `asyncio.sleep`: here, or hibernating.

        A route that can't be left here sleeps here all the same, and the log says why it does.

        Args:
            delay: seconds.
            result: what to return.
            until: when a sleep ends that has begun before the route hibernated, in milliseconds since the epoch.
        """
        self._arm()
        if until is None:
            if asyncio.current_task() is not self._task or self._giving_back or self._stays(delay, receiving=False):
                return await asyncio.sleep(delay, result)
            until = self._clock() + math.ceil(min(delay, LONGEST) * 1000)
        try:
            await self._await_tasks()
            live = walk(sys._getframe())  # noqa: SLF001
            deadlines = self._deadlines(live)
            due = earliest([until, *deadlines.values()])
            if due == until <= self._clock():
                return result
            if not self._waits_here(due, receiving=False):
                self._leave(live, deadlines, until)
        except CannotHibernate as refusal:
            logger.warning("the route sleeps in the process, for %g s: %s", delay, refusal)
        return await asyncio.sleep((until - self._clock()) / 1000, result)

    def _leave(
        self, live: list[Live], deadlines: dict[tuple[int, int], int | None], until: int | None = None
    ) -> NoReturn:
        snapshot = save(live, self._home, self._outside)
        snapshot.deadlines, snapshot.until = deadlines, until
        self.result = Hibernated(snapshot.dump(), snapshot.due, until is not None)
        for each in live:
            activation = each.activation
            activation.left, activation.ends = True, each.ends
            self._left.append(activation)
        raise Hibernate

    # Timers.

    def _waits_here(self, due: int | None, *, receiving: bool) -> bool:
        """Whether to wait for the time *due* without hibernating; for one that is past in any case."""
        if due is None:
            return False
        seconds = (due - self._clock()) / 1000
        return seconds <= 0 or self._stays(seconds, receiving=receiving)

    def _deadlines(self, live: list[Live]) -> dict[tuple[int, int], int | None]:
        """When the open blocks run out, as `Snapshot.deadlines`."""
        found: dict[tuple[int, int], int | None] = {}
        for number, each in enumerate(live):
            for block in each.activation.blocks:
                if has_deadline(block.value):
                    when = deadline(block.value)
                    left = None if when is None else when - asyncio.get_running_loop().time()
                    found[number, block.number] = None if left is None else self._clock() + math.ceil(left * 1000)
        return found

    def _arm(self) -> None:
        """Give the blocks that were entered again their deadlines back: the route has come to where it waits."""
        disarmed, self.disarmed = self.disarmed, []
        for block, due in disarmed:
            if block.is_open and due is not None:
                left = (due - self._clock()) / 1000
                set_deadline(block.value, asyncio.get_running_loop().time() + left)

    def _refuse(self, error: CannotHibernate | SnapshotError) -> NoReturn:
        # No Exception inside of the route: its `except Exception` is not meant for this.
        self._refusal = error
        raise Refused from error

    def begin(self, key: str, cells: Mapping[str, CellType]) -> Activation:
        """Begin a call of a transformed function: a new one, or the next that was saved."""
        if self._left and not self._giving_back:
            raise Hibernate
        frame = sys._getframe(2)  # noqa: SLF001 - transformed code, through entry.begin
        arguments = dict(frame.f_locals)
        waking = self._waking
        if waking is None or not waking.asleep:
            return Activation(self, arguments, cells)
        following = waking.asleep[0]
        if following.key == key:
            return waking.wake(self, frame, arguments, cells)
        if key in self._blueprint.endpoints:
            # Nothing of it must run: it would begin from its top, in the middle of a conversation.
            self._refuse(SnapshotError(f"{following.name} waits, but the connection leads to {name_of(key)}"))
        return Activation(self, arguments, cells)

    def reenter(self, key: str, dependencies: int) -> bool:
        """Whether the endpoint *key* is to be woken next and needs none of its *dependencies*: then it won't later."""
        waking = self._waking
        if waking is None or not waking.asleep or waking.asleep[0].key != key:
            return False
        if waking.snapshot.dependencies != dependencies:
            return False
        self._home.dependencies = dependencies
        return True

    def next_frame(self) -> Coroutine[Any, Any, Any]:
        """Start the function that the one just woken awaits."""
        waking = cast("Waking", self._waking)  # only a woken function asks
        return waking.next_frame()

    def expect(self, function: Any, arguments: tuple[Any, ...]) -> None:
        """Look at what a point is about to call."""
        adopt_called(function, arguments)

    def answer(self, dependency: Callable[..., Any]) -> Callable[[], Awaitable[Any]] | None:
        """What takes the place of a FastAPI dependency while the route wakes; None if it is to be resolved."""
        return None if self._waking is None else self._waking.answer(dependency)

    @contextmanager
    def giving_back(self) -> Iterator[None]:
        """Around the end of a ``with`` that hibernation leaves: if it fails, the route goes on, to handle that."""
        self._giving_back += 1
        try:
            yield
        except BaseException:
            for activation in self._left:
                activation.left = activation.ends = False
            self._left = []
            self.result = None
            raise
        finally:
            self._giving_back -= 1

    # Tasks, and refusals.

    def spawned(self, task: Spawned) -> None:
        """Note a task that the route has created."""
        self._spawned.append(task)

    async def _await_tasks(self) -> None:
        """Let the tasks end that the route has started and not waited for."""
        own = [spawned for spawned in self._spawned if spawned.is_own]
        running = [spawned.task for spawned in own if not spawned.task.done()]
        if running:
            await asyncio.wait(running, timeout=GRACE)
        left = [spawned for spawned in own if not spawned.task.done()]
        if left:
            raise CannotHibernate(
                *(
                    Finding(
                        spawned.file,
                        spawned.line,
                        f"the task {spawned.task.get_name()!r} still runs {GRACE:g} s after the route began to wait: "
                        "it can't live longer than the frame that started it",
                        "Await it before the receive, or hand the work to a job",
                    )
                    for spawned in left
                )
            )

    def _refuse_task(self) -> NoReturn:
        """Refuse a receive in a task that the route has spawned."""
        task = asyncio.current_task()
        places = [(spawned.file, spawned.line) for spawned in self._spawned if spawned.task is task]
        file, line = places[0] if places else own_place(sys._getframe(2))  # noqa: SLF001
        what = "a task that begins here waits for the client: only the route itself can hibernate"
        raise CannotHibernate(Finding(file, line, what, "Receive in the route, and hand what came to the task"))
