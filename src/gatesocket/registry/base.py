"""What a registry keeps of each connection, and what every registry promises."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

__all__ = [
    "EVERYONE",
    "Busy",
    "Changes",
    "Entry",
    "Lease",
    "Record",
    "Registry",
    "Taken",
]

EVERYONE = "*"
"""The group that every connection belongs to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that waits in a connection's inbox.

    A message and a disconnect are for its route. A post is for its client: a text that came from elsewhere before the
    socket was live. A wake is for nobody; it makes an invocation take the lease and do what is due.
    """

    kind: Literal["message", "disconnect", "post", "wake"]
    id: str
    """The gateway's message id or request id, for logs and for the count of attempts."""
    body: str = ""
    """The text of a message or a post, the reason of a disconnect."""
    code: int = 0
    """The close code of a disconnect."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a connection: held by one invocation, over at *expires_at* whatever has become of it."""

    holder: str
    expires_at: int
    """Milliseconds since the epoch; later than the holder's own time limit."""


@dataclass(frozen=True, slots=True)
class Record:
    """All that is stored of one connection."""

    connection_id: str
    scope: bytes
    """The ASGI scope, as `gatesocket.scope.dump` wrote it; never changed after the handshake."""
    connected_at: int
    """Milliseconds since the epoch, as API Gateway counts them."""
    expires_at: int
    """Seconds since the epoch, DynamoDB's TTL unit; readers treat a record past it as absent."""
    snapshot: bytes | None = None
    """Where the route waits; None once it has ended, when all that is left is to deliver the outbox and to close."""
    inbox: tuple[Entry, ...] = ()
    outbox: tuple[str, ...] = ()
    """Texts sent before the socket was live, in order."""
    live: bool = False
    """Whether the socket is known to be open: a post was accepted or a message came."""
    lease: Lease | None = None
    attempts: int = 0
    """How often a lease was taken since the inbox was last emptied; above 1 an earlier holder has died."""
    version: int = 0
    """Goes up with every lease taken and every release."""
    groups: frozenset[str] = frozenset({EVERYONE})
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The lease is ours; *record* is as it stands now, the new entry at the end of its inbox."""

    record: Record


@dataclass(frozen=True, slots=True)
class Busy:
    """Another invocation holds the lease; the entry is in the inbox and that holder will come to it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a release writes into the record."""

    snapshot: bytes
    outbox: tuple[str, ...] = ()
    """What is still to be delivered; replaces the record's."""
    live: bool = False
    joined: frozenset[str] = field(default_factory=frozenset)
    left: frozenset[str] = field(default_factory=frozenset)
    user: str | None = None
    """The person behind the connection from now on; None for nobody."""


class Registry(Protocol):
    """Where connections, group memberships and people's connections are kept.

    Guarantees, the same for every implementation and tested by one contract suite:

    * `take` and `release` are each one atomic conditional write. At any time at most one unexpired lease exists for a
      connection.
    * An entry that `take` accepted (`Taken` or `Busy`) is in the inbox until a `release` by a holder that has seen it,
      or until the record is deleted. Entries keep the order in which the registry accepted them.
    * Members are read consistently: a membership whose write has returned is seen by every later read.
    * Whatever is past its ``expires_at`` is treated as absent, whether or not the store has deleted it yet.

    Clocks are the caller's: *now* is milliseconds since the epoch. Every method raises `RegistryError` when the store
    refuses or can't be reached; `ConfigurationError` when the table doesn't exist or there are no credentials.
    """

    async def create(self, record: Record) -> None:
        """Store the record of a new connection with the memberships that its *groups* and *user* name."""
        ...

    async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
        """Append *entry* to the inbox, and take the lease if nobody holds an unexpired one.

        Taking raises *attempts* and *version* by one. Returns None if there is no such connection.
        """
        ...

    async def release(
        self, record: Record, changes: Changes, *, seen: int, now: int
    ) -> tuple[Entry, ...]:
        """Write *changes*, empty the inbox and give the lease up, if the inbox holds *seen* entries as *record* did.

        If more have come, nothing is written, the lease stays, and the entries beyond *seen* are returned: run them,
        then release again. Returns an empty tuple when released. Memberships are written before the lease is given up.

        Raises:
            LeaseLost: the lease is no longer *record*'s.
        """
        ...

    async def delete(self, connection_id: str, *, holder: str | None = None) -> bool:
        """Remove the connection with all of its memberships; return whether it was there.

        With *holder*, only if that holder has the lease; otherwise `LeaseLost` is raised.
        """
        ...

    async def get(self, connection_id: str, *, now: int) -> Record | None:
        """Read a record consistently; None if there is none."""
        ...

    async def hold_back(self, connection_id: str, entry: Entry, *, now: int) -> bool:
        """Append *entry* to the inbox of a connection that isn't live yet, without taking its lease.

        Returns False, and writes nothing, if it is live or if there is no such connection.
        """
        ...

    async def join(self, connection_id: str, group: str, *, expires_at: int) -> None:
        """Add the connection to the group now; joining twice is harmless."""
        ...

    async def leave(self, connection_id: str, group: str) -> None:
        """Remove the connection from the group now; leaving a group that it isn't in is harmless."""
        ...

    def members(self, group: str, *, now: int) -> AsyncIterator[str]:
        """Iterate over the ids of the connections in *group*, page by page, in no particular order."""
        ...

    def connections(self, user: str, *, now: int) -> AsyncIterator[str]:
        """Iterate over the ids of the connections of *user*."""
        ...

    async def count(self, group: str, *, now: int) -> int:
        """Count the members of *group* without reading their ids into memory."""
        ...

    async def aclose(self) -> None:
        """Let go of network connections and threads; the registry can't be used afterwards."""
        ...


