"""Runs an app's route for one event of one connection, until it hibernates or ends, and performs what it asked for.

The driver is the cloud life's counterpart of an ASGI server's connection class. What is different follows from the
platform: it meets a connection anew for every event, finds out from the registry whether it may run it, and leaves
behind a record that any other process can go on from.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from starlette.types import ASGIApp

from gatesocket import backend, hibernation, scope
from gatesocket.connection import SCOPE_KEY, current_connection
from gatesocket.events import Connect, Disconnect, Message
from gatesocket.exceptions import (
    ConfigurationError,
    ConnectionGone,
    GatewayError,
    InboxFull,
    LeaseLost,
    RecordTooLarge,
    SnapshotError,
)
from gatesocket.registry.base import Entry, Lease, Record, Taken
from gatesocket.run import Run
from gatesocket.session import Session, State
from gatesocket.settings import Settings

__all__ = ["Answer", "Driver", "Invocation"]

logger = logging.getLogger("gatesocket")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one call of the Lambda function brings besides its event."""

    id: str
    """The request id: the holder of the leases that it takes."""
    deadline: int
    """Milliseconds since the epoch by which Lambda ends it."""
    scope: Mapping[str, Any]
    """What every scope gets: ``aws.event``, ``aws.context`` and the lifespan's ``state``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a handshake."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


LEASE_MARGIN = 1_000
"""Milliseconds by which a lease outlives its holder's time limit, for clocks that differ between two Lambda hosts."""


class Driver:
    """Runs one app's routes over one backend.

    Args:
        app: the ASGI app, prepared by `hibernation.prepare`.
        blueprint: what that returned.
        through: where connections are kept, what posts to them, and what brings an invocation back to them; a backend
            without a waker makes that an error where it is needed.
        settings: the deployment's settings.
        on_error: is told of every exception that a route let out, after it was logged.
    """

    def __init__(
        self,
        app: ASGIApp,
        blueprint: hibernation.Blueprint,
        through: backend.Backend,
        settings: Settings,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._app = app
        self._blueprint = blueprint
        self._backend = through
        self._registry = through.registry
        self._gateway = through.gateway
        self._waker = through.waker
        self._settings = settings
        self._clock = through.clock
        self._on_error = on_error
        self._arrivals: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        only = blueprint.routes[0].path if len(blueprint.routes) == 1 else "/"
        # An app with one route that needs no parameters needs no path either.
        self._default_path = "/" if "{" in only else only

    async def connect(self, event: Connect, invocation: Invocation) -> Answer:
        """Run the route from its start to its first receive, and answer the handshake.

        Raises:
            RegistryError: the connection couldn't be recorded; API Gateway answers 502.
            ConfigurationError: the route sent something that there is no wake queue to deliver.
        """
        session = Session(event.connection_id, binary=self._settings.binary is not None)
        expires_at = event.connected_at // 1000 + self._settings.record_seconds
        run = self._run(session, expires_at)
        run.connect()
        stored = scope.build(event, path_parameter=self._settings.path_parameter, default_path=self._default_path)
        data = scope.dump(stored)
        snapshot, failed = await self._activate(run, stored, invocation, None)
        session = run.session
        if session.state is State.REFUSED:
            return Answer(session.status, session.headers, session.body)
        if session.state in {State.CONNECTING, State.DENYING}:
            if not failed:
                logger.error("connection %s: the route ended without answering the handshake", event.connection_id)
            return Answer(500)
        if snapshot is None and not run.outbox:
            # Nothing was said and nothing can be any more: the client isn't let in at all.
            return Answer(500 if failed else 403)
        await self._registry.create(
            Record(
                connection_id=event.connection_id,
                scope=data,
                connected_at=event.connected_at,
                expires_at=expires_at,
                snapshot=snapshot,
                outbox=tuple(run.outbox),
                groups=run.groups,
                user=run.user,
            )
        )
        if run.outbox:
            await self._ask_for_wake(event.connection_id)
        return Answer(200, session.headers)

    async def message(self, event: Message, invocation: Invocation) -> None:
        """Wake the route for a message, unless another invocation has the connection and will see to it."""
        entry = Entry("message", event.message_id, event.text)
        try:
            known = await self._enter(event.connection_id, entry, invocation)
        except InboxFull as error:
            logger.warning("%s; message %s is lost and the connection is closed", error, event.message_id)
            await self._close(event.connection_id)
            return
        if not known:
            logger.warning(
                "connection %s sent message %s but has no record: it expired, or its route has ended; it is closed",
                event.connection_id,
                event.message_id,
            )
            await self._close(event.connection_id)

    async def disconnect(self, event: Disconnect, invocation: Invocation) -> None:
        """Wake the route for its end, after whatever came before."""
        entry = Entry("disconnect", event.request_id, event.reason, event.code)
        if not await self._enter(event.connection_id, entry, invocation):
            # The ordinary end of a connection that its route closed.
            logger.debug("connection %s has left and has no record", event.connection_id)

    async def wake(self, connection_id: str, wake_id: str, invocation: Invocation) -> None:
        """Deliver what is held back for a connection."""
        if not await self._enter(connection_id, Entry("wake", wake_id), invocation):
            logger.debug("connection %s had ended before its wake came", connection_id)

    async def _enter(self, connection_id: str, entry: Entry, invocation: Invocation) -> bool:
        """Put *entry* into the inbox and see to it, if nobody else does; return whether the connection is known."""
        lease = Lease(invocation.id, invocation.deadline + LEASE_MARGIN)
        # Where one process serves many events at once, as an emulator's does, what came first is put down first. Lambda
        # gives a process one event at a time; between processes only the registry's order counts.
        arrival = self._arrivals.setdefault(connection_id, asyncio.Lock())
        async with arrival:
            taken = await self._registry.take(connection_id, entry, lease, now=self._clock())
        if isinstance(taken, Taken):
            await self._wake(taken.record, invocation)
        return taken is not None

    async def _wake(self, record: Record, invocation: Invocation) -> None:
        """Run the route on the inbox until the inbox is empty and the lease is given up, or until the route ends."""
        session = Session(record.connection_id, State.OPEN, binary=self._settings.binary is not None)
        run = self._run(session, record.expires_at, record)
        snapshot, entries, seen = record.snapshot, record.inbox, 0
        try:
            while True:
                await run.feed(entries)
                seen += len(entries)
                failed = False
                if snapshot is not None and run.waiting:
                    snapshot, failed = await self._activate(run, scope.load(record.scope), invocation, snapshot)
                if snapshot is None:
                    # 1011, "internal error", is what a client sees of it with `close_message`.
                    await run.close(1011 if failed else 1000)
                    await self._registry.delete(record.connection_id, holder=invocation.id)
                    return
                changes = run.changes(snapshot)
                entries = await self._registry.release(record, changes, seen=seen, now=self._clock())
                if not entries:
                    return
        except LeaseLost as error:
            logger.warning("%s; what this one would have written is left to it", error)
        except SnapshotError as error:
            # 1012, "service restart": the client comes back to the code of today. The codes are IANA's,
            # https://www.iana.org/assignments/websocket/websocket.xml#close-code-number.
            await self._abandon(run, invocation, 1012, error)
        except RecordTooLarge as error:
            await self._abandon(run, invocation, 1011, error)

    async def _activate(
        self, run: Run, connection_scope: scope.Scope, invocation: Invocation, snapshot: bytes | None
    ) -> tuple[bytes | None, bool]:
        """Run the route; return the snapshot to wake it with, None if it has ended, and whether an error ended it."""
        connection_scope.update(invocation.scope)
        connection_scope["state"] = dict(invocation.scope["state"])
        connection_scope[SCOPE_KEY] = run
        token = current_connection.set(run)
        try:
            with backend.use(self._backend):
                snapshot = await hibernation.run(
                    self._app,
                    connection_scope,
                    run.next_message,
                    run.send,
                    blueprint=self._blueprint,
                    snapshot=snapshot,
                )
        except SnapshotError:
            raise
        except Exception as error:
            logger.exception("connection %s: the route ended with an error", run.connection_id)
            self._on_error(error)
            return None, True
        finally:
            current_connection.reset(token)
        return snapshot, False

    async def _abandon(self, run: Run, invocation: Invocation, code: int, error: Exception) -> None:
        """Close a connection whose route can't be woken any more."""
        logger.error("connection %s can't go on and is closed: %s", run.connection_id, error)
        await run.close(code)
        await self._registry.delete(run.connection_id, holder=invocation.id)
        self._on_error(error)

    async def _close(self, connection_id: str) -> None:
        """Close a connection that this invocation doesn't run."""
        try:
            await self._gateway.close(connection_id)
        except ConnectionGone:
            logger.debug("connection %s had left before it was closed", connection_id)
        except GatewayError:
            logger.exception("connection %s could not be closed", connection_id)

    async def _ask_for_wake(self, connection_id: str) -> None:
        if self._waker is None:
            raise ConfigurationError(
                "the route sent a message before its first receive, which can be delivered only once the handshake is "
                "over, and there is no wake queue to do it. Set GATESOCKET_WAKE_QUEUE, as template.yaml does"
            )
        await self._waker.wake(connection_id)

    def _run(self, session: Session, expires_at: int, record: Record | None = None) -> Run:
        return Run(
            session,
            self._registry,
            self._gateway,
            expires_at=expires_at,
            close_message=self._settings.close_message,
            record=record,
        )
