"""Runs an app's route for one event of one connection, until it hibernates or ends, and performs what it asked for.

The driver is the cloud life's counterpart of an ASGI server's connection class. What is different follows from the
platform: it meets a connection anew for every event, finds out from the registry whether it may run it, and leaves
behind a record that any other process can go on from.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from weakref import WeakValueDictionary

from starlette.types import ASGIApp

from gatesocket import backend, handshake, hibernation, observation, scope
from gatesocket.connection import SCOPE_KEY, current_connection
from gatesocket.conversation import Conversation, State
from gatesocket.endings import Endings
from gatesocket.events import Connect, Disconnect, Message, Wake
from gatesocket.exceptions import (
    InboxFull,
    LeaseLost,
    RecordTooLarge,
    SnapshotError,
    UnreadableRecord,
)
from gatesocket.hibernation import Hibernated
from gatesocket.invocation import Invocation
from gatesocket.registry.base import Busy, Entry, Forget, GiveUp, Record, Taken
from gatesocket.run import Run
from gatesocket.session import busy
from gatesocket.settings import Settings
from gatesocket.wakes import Wakes

__all__ = ["Driver"]

logger = logging.getLogger("gatesocket")


class Driver:
    """Runs one app's routes over one backend.

    Args:
        app: the ASGI app, prepared by `hibernation.prepare`.
        blueprint: what that returned.
        through: where connections are kept, what posts to them, and what brings an invocation back to them; a backend
            without a waker makes that an error where it is needed.
        settings: the deployment's settings.
        on_error: is told of every exception that a route let out, after it was logged.
        sleep: waits between the tries to post to a connection whose handshake may not have completed yet.
    """

    def __init__(
        self,
        app: ASGIApp,
        blueprint: hibernation.Blueprint,
        through: backend.Backend,
        settings: Settings,
        on_error: Callable[[Exception], None],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._blueprint = blueprint
        self._backend = through
        self._registry = through.registry
        self._gateway = through.gateway
        self._wakes = Wakes(through.waker, through.clock)
        self._settings = settings
        self._clock = through.clock
        self._endings = Endings(through.registry, through.gateway, on_error)
        self._on_error = on_error
        self._sleep = sleep
        self._arrivals: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        only = blueprint.routes[0].path if len(blueprint.routes) == 1 else "/"
        # An app with one route that needs no parameters needs no path either.
        self._default_path = "/" if "{" in only else only

    async def connect(self, event: Connect, invocation: Invocation) -> handshake.Answer:
        """Run the route from its start to its first receive, and answer the handshake.

        Raises:
            RegistryError: the connection couldn't be recorded; API Gateway answers 502.
            ConfigurationError: the route sent something that there is no wake queue to deliver.
        """
        stored = scope.build(event, path_parameter=self._settings.path_parameter, default_path=self._default_path)
        record = Record(
            connection_id=event.connection_id,
            scope=scope.dump(stored),
            connected_at=event.connected_at,
            expires_at=event.connected_at // 1000 + self._settings.record_seconds,
            lease=invocation.lease,
            attempts=1,
            groups=frozenset(),
        )
        conversation = Conversation(
            event.connection_id,
            binary=self._settings.binary is not None,
            opens=self._settings.accept_then_close == "open",
        )
        run = self._run(conversation, record.expires_at, unwritten=record)
        run.connect()
        hibernated, failed = await self._activate(run, stored, invocation, None)
        answer = handshake.answer(run.conversation, speaks=hibernated is not None or bool(run.outbox), failed=failed)
        let_in = answer.status == HTTPStatus.OK
        try:
            if let_in and hibernated is None:
                await run.close(1011 if failed else 1000)  # unless the route has said so with a code of its own
            if let_in:
                # Without what authentication has taken out of it.
                await self._keep(run, run.to_create or record, hibernated)
        except RecordTooLarge:
            let_in = False
            raise
        finally:
            if run.published and not let_in:
                # Others could find it before this was known.
                await self._registry.delete(run.connection_id, holder=invocation.id)
        return answer

    async def _keep(self, run: Run, record: Record, hibernated: Hibernated | None) -> None:
        """Write the record of a connection that is let in, or what has changed since others could find it.

        Only then it asks for wakes, which would find no record before. If this invocation dies in between, nobody was
        let in.
        """
        if run.published is None:
            await self._registry.create(record.after(run.changes(hibernated)))
        else:
            seen = 0
            while came := await self._registry.release(
                run.published, run.changes(hibernated), seen=seen, now=self._clock()
            ):
                run.feed(came)
                seen += len(came)
        if run.outbox or run.rest or hibernated is None:
            await self._wakes.ask(run.connection_id)
        if hibernated is not None and hibernated.due is not None:
            await self._wakes.ask(run.connection_id, hibernated.due)

    async def message(self, event: Message, invocation: Invocation) -> None:
        """Wake the route for a message, unless another invocation has the connection and will see to it."""
        entry = Entry("message", event.message_id, event.text)
        try:
            taken = await self._enter(event.connection_id, entry, invocation)
        except InboxFull as error:
            logger.warning("%s; message %s is lost and the connection is closed", error, event.message_id)
            await self._endings.close(event.connection_id)
            return
        except UnreadableRecord as error:
            await self.refuse(error)
            return
        if taken is None:
            logger.warning(
                "connection %s sent message %s but has no record: it expired, or its route has ended; it is closed",
                event.connection_id,
                event.message_id,
            )
            await self._endings.close(event.connection_id)

    async def disconnect(self, event: Disconnect, invocation: Invocation) -> None:
        """Wake the route for its end, after whatever came before."""
        entry = Entry("disconnect", event.request_id, event.reason, event.code)
        await self._leave(event.connection_id, entry, invocation)

    async def expire(self, record: Record, change_id: str, invocation: Invocation) -> None:
        """Wake the route of a connection for its end that nobody told of: *record* has expired and was deleted.

        It is put back for the time that this takes, so that it is the same as for any other disconnect: one holder, the
        messages that still waited first, and another try if the holder dies. A change that the stream brings once more
        after the record was forgotten is the one case in which the route ends twice.
        """
        # 1006, "abnormal closure": no close frame was seen (RFC 6455, section 7.1.5).
        entry = Entry("disconnect", change_id, code=1006)
        expires_at = self._clock() // 1000 + self._settings.record_seconds
        taken = await self._registry.restore(record, entry, invocation.lease, expires_at=expires_at)
        if taken is None:
            await self._leave(record.connection_id, entry, invocation)
        else:
            await self._wake(taken, invocation)

    async def _leave(self, connection_id: str, entry: Entry, invocation: Invocation) -> None:
        """Put the last entry of a connection into its inbox, and make sure that somebody sees to it."""
        try:
            taken = await self._enter(connection_id, entry, invocation)
        except UnreadableRecord as error:
            await self.refuse(error)
            return
        if taken is None:
            # The ordinary end of a connection that its route closed.
            logger.debug("connection %s has left and has no record", connection_id)
        elif isinstance(taken, Busy):
            await self._wakes.look_again(connection_id, taken)

    async def wake(self, event: Wake, invocation: Invocation) -> None:
        """Deliver what is held back for a connection, go on with what another invocation left, and with what is due.

        A route is never woken by a wake but by its record: one that comes late or twice finds another *due* there, and
        nothing to do. What must not happen is that the last wake of a timer is gone while the timer waits. So a wake
        that finds a holder comes again when that one's lease is over, and one that is too early is followed by another
        (see `_hold`).
        """
        entry = Entry("wake", event.message_id, "" if event.due is None else str(event.due))
        try:
            taken = await self._enter(event.connection_id, entry, invocation)
        except InboxFull as error:
            logger.debug("%s, and its holder is there; wake %s isn't needed", error, event.message_id)
            taken = busy(entry, invocation.lease, self._clock())
        except UnreadableRecord as error:
            await self.refuse(error)
            return
        if taken is None:
            logger.debug("connection %s had ended before its wake came", event.connection_id)
        elif isinstance(taken, Busy):
            await self._wakes.look_again(event.connection_id, taken, event.due)

    async def _enter(self, connection_id: str, entry: Entry, invocation: Invocation) -> Taken | Busy | None:
        """Put *entry* into the inbox and see to it, if nobody else does; return what the registry answered."""
        # Where one process serves many events at once, as an emulator's does, what came first is put down first. Lambda
        # gives a process one event at a time; between processes only the registry's order counts.
        arrival = self._arrivals.setdefault(connection_id, asyncio.Lock())
        async with arrival:
            taken = await self._registry.take(connection_id, entry, invocation.lease, now=self._clock())
        if isinstance(taken, Taken):
            await self._wake(taken, invocation)
        return taken

    async def _wake(self, taken: Taken, invocation: Invocation) -> None:
        """Run the route on the inbox until the inbox is empty and the lease is given up, or until the route ends.

        Without much time left, the lease is given up before that, and a wake goes on.
        """
        record = taken.record
        conversation = Conversation(record.connection_id, State.OPEN, binary=self._settings.binary is not None)
        run = self._run(conversation, record.expires_at, record, invocation)
        try:
            left = await self._hold(run, taken, invocation)
        except LeaseLost as error:
            logger.warning("%s; what this one would have written is left to it", error)
            return
        if left:
            # Only now: a wake that came before would leave it to this invocation.
            await self._wakes.ask(run.connection_id)

    async def _hold(self, run: Run, taken: Taken, invocation: Invocation) -> bool:
        """Run the route for as long as the lease is held; return whether there is a rest for somebody else.

        As long as a record has a *due*, a wake for it is on its way: *expected* is the one that is. It is asked for
        before the release, because a holder that dies between the two would leave a record that waits for nothing. If
        it dies there, the wake finds the *due* of before and does nothing; the wake of before comes again, for who dies
        of a wake leaves it to the queue, and who died of a message left it under way. A wake that is faster than the
        release is among the entries that have come, and is asked for again if it was too early.
        """
        record = taken.record
        hibernated, entries, seen = _stored(record), record.inbox, 0
        expected = record.due
        try:
            while True:
                run.feed(entries)
                seen += len(entries)
                if any(entry.kind == "wake" and entry.body == str(expected) for entry in entries):
                    expected = None
                if isinstance(taken, GiveUp):
                    await self._endings.give_up(run, record)
                if isinstance(taken, Forget):
                    hibernated = None
                hibernated, failed = await self._drain(run, record, invocation, hibernated)
                if hibernated is None:
                    await self._endings.end(run, 1011 if failed else 1000, holder=invocation.id)
                    return False
                if hibernated.due is not None and hibernated.due != expected:
                    await self._wakes.ask(run.connection_id, expected := hibernated.due)
                entries = await self._registry.release(record, run.changes(hibernated), seen=seen, now=self._clock())
                if not entries:
                    return bool(run.rest) and not hibernated.asleep
        except SnapshotError as error:
            # 1012, "service restart": the client comes back to the code of today. The codes are IANA's,
            # https://www.iana.org/assignments/websocket/websocket.xml#close-code-number.
            await self._endings.abandon(run, 1012, error, holder=invocation.id)
        except RecordTooLarge as error:
            await self._endings.abandon(run, 1011, error, holder=invocation.id)
        return False

    async def _drain(
        self, run: Run, record: Record, invocation: Invocation, hibernated: Hibernated | None
    ) -> tuple[Hibernated | None, bool]:
        """Let the route receive all that there is, or that there is time for; return as `_activate` does."""
        failed = False
        await run.deliver()
        while hibernated is not None and self._goes_on(run, hibernated):
            hibernated, failed = await self._activate(run, scope.load(record.scope), invocation, hibernated.snapshot)
            await run.deliver()
        if hibernated is not None and run.unannounced:
            # A post found that the client has left. That is one more entry, like the disconnect that API Gateway may
            # still send: the release that follows finds it, behind whatever came first.
            entry = Entry("disconnect", invocation.id, code=1006)
            await self._registry.take(run.connection_id, entry, invocation.lease, now=self._clock())
        return hibernated, failed

    def _goes_on(self, run: Run, hibernated: Hibernated) -> bool:
        """Whether there is something for the route: a message, or its time, or so little of it that it waits here."""
        if run.waiting and not hibernated.asleep:
            return True
        if hibernated.due is None:
            return False
        seconds = (hibernated.due - self._clock()) / 1000
        return seconds <= 0 or run.stays(seconds, receiving=not hibernated.asleep)

    async def _activate(
        self, run: Run, connection_scope: scope.Scope, invocation: Invocation, snapshot: bytes | None
    ) -> tuple[Hibernated | None, bool]:
        """Run the route; return what it is to be woken with, None if it has ended, and whether an error ended it."""
        connection_scope.update(invocation.scope)
        connection_scope["state"] = dict(invocation.scope["state"])
        connection_scope[SCOPE_KEY] = run
        observed = observation.ongoing()
        next_message: Callable[[], MutableMapping[str, Any] | None] = run.next_message
        if observed is not None:
            next_message = observed.run_begins(
                connection_scope,
                next_message,
                route=self._blueprint.route_of(connection_scope["path"]),
                snapshot=snapshot,
            )
        hibernated: Hibernated | None = None
        token = current_connection.set(run)
        try:
            with backend.use(self._backend):
                hibernated = await hibernation.run(
                    self._app,
                    connection_scope,
                    next_message,
                    run.send,
                    blueprint=self._blueprint,
                    snapshot=snapshot,
                    clock=self._clock,
                    stays=run.stays,
                )
        except SnapshotError:
            raise
        except Exception as error:
            logger.exception("connection %s: the route ended with an error", run.connection_id)
            self._on_error(error)
            return None, True
        finally:
            current_connection.reset(token)
            if observed is not None:
                observed.run_ends(None if hibernated is None else hibernated.snapshot)
        return hibernated, False

    async def refuse(self, error: UnreadableRecord) -> None:
        """Close a connection whose record this release can't read, and forget it; its route isn't woken."""
        run = self._run(Conversation(error.connection_id, State.OPEN), expires_at=0)
        run.live = True  # Its client has sent something, or was woken before.
        await self._endings.abandon(run, 1012, error, holder=None)

    def _run(
        self,
        conversation: Conversation,
        expires_at: int,
        record: Record | None = None,
        invocation: Invocation | None = None,
        unwritten: Record | None = None,
    ) -> Run:
        def has_time() -> bool:
            # Without a waker there is nobody to leave the rest to.
            return invocation is None or not self._wakes.possible or invocation.has_time(self._clock())

        # Of a route that ended at the handshake, the outbox has told the client already.
        told = record is not None and record.snapshot is None
        return Run(
            conversation,
            self._registry,
            self._gateway,
            expires_at=expires_at,
            close_message=self._settings.close_message and not told,
            record=record,
            unwritten=unwritten,
            has_time=has_time,
            sleep=self._sleep,
            clock=self._clock,
        )


def _stored(record: Record) -> Hibernated | None:
    """What *record* keeps of a route that waits; None if none does."""
    return None if record.snapshot is None else Hibernated(record.snapshot, record.due, record.asleep)
