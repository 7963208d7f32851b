"""What a registry keeps of each connection, and what every registry promises."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

from gatesocket.values import frozen

__all__ = [
    "EVERYONE",
    "REMEMBERED_SECONDS",
    "START",
    "Busy",
    "Changes",
    "Entry",
    "EntryKind",
    "Forget",
    "GiveUp",
    "Kept",
    "Lease",
    "Member",
    "Place",
    "Record",
    "Registry",
    "Replay",
    "Taken",
]

EVERYONE = "*"
"""The group that every connection belongs to."""

REMEMBERED_SECONDS: Final = 24 * 60 * 60
"""Seconds for which it is known how far a group's history had come, at least; what is older may be forgotten."""

EntryKind = Literal["message", "disconnect", "post", "wake"]
"""What an inbox holds: something of the client, its end, a text of somebody else for it, a call to go on."""


@frozen
class Entry:
    """One thing that waits in a connection's inbox.

    A message and a disconnect are for its route. A post is for its client: a text that came from elsewhere before the
    socket was live. A wake is for nobody; it makes an invocation take the lease and do what is due.
    """

    kind: EntryKind
    id: str
    """The gateway's message id or request id, for logs and for the count of attempts."""
    body: str = ""
    """The text of a message or a post, the reason of a disconnect; of a timer's wake the *due* that it is for."""
    code: int = 0
    """The close code of a disconnect."""


@frozen
class Lease:
    """The right to run a connection: held by one invocation, over at *expires_at* whatever has become of it."""

    holder: str
    """Names the invocation, and no other one."""
    expires_at: int
    """Milliseconds since the epoch; later than the holder's own time limit."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a text stands in a group's history; a later one is greater."""

    run: int
    """When this count began, in seconds since the epoch. It begins anew once nothing is remembered any more."""
    index: int
    """Counts the texts of the run, from 1 and without a gap."""

    @property
    def before(self) -> "Place":
        """The place before this one, in the same run."""
        return replace(self, index=self.index - 1)

    @property
    def next(self) -> "Place":
        """The place after this one, in the same run."""
        return replace(self, index=self.index + 1)


START: Final = Place(0, 0)
"""Before everything that any group keeps."""


@frozen
class Kept:
    """A text in a group's history."""

    place: Place
    text: str
    """Without its cursor."""
    at: int
    """When it was kept, in seconds since the epoch."""
    until: int
    """From when on nobody is to get it any more, in seconds since the epoch; its place is remembered for longer."""


@frozen
class Replay:
    """What is to be read of some groups' histories and sent to a client, when its turn comes."""

    groups: tuple[str, ...]
    after: str
    """What the client has given as its cursor; empty if it has none yet."""
    messages: int
    """Texts of each group at the most."""


@frozen
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
    """Where the route waits; None before its first receive, and once it has ended, when all that is left is to deliver
    the outbox and to close."""
    due: int | None = None
    """When the route goes on by itself, in milliseconds since the epoch; None if only a message wakes it."""
    asleep: bool = False
    """Whether it waits for that time only, so that messages stay in the inbox until then."""
    inbox: tuple[Entry, ...] = ()
    outbox: tuple[str | Replay, ...] = ()
    """Texts sent before the socket was live, and what is to be read then, in order."""
    live: bool = False
    """Whether the socket is known to be open: a post was accepted or a message came."""
    lease: Lease | None = None
    attempts: int = 0
    """How often a lease was taken since one was last given up; above 1 an earlier holder has died."""
    version: int = 0
    """Goes up with every lease taken and every release."""
    groups: frozenset[str] = frozenset({EVERYONE})
    user: str | None = None

    @property
    def waits(self) -> bool:
        """Whether texts that its route sent wait for the socket, so that nothing from elsewhere may be sent before.

        A route that hasn't come to its first receive may send some yet.
        """
        return bool(self.outbox) or (self.snapshot is None and not self.live)

    def expired(self, now: int) -> bool:
        """Whether readers treat this record as absent."""
        return self.expires_at * 1000 <= now

    def leased(self, now: int) -> bool:
        """Whether somebody holds an unexpired lease."""
        return self.lease is not None and self.lease.expires_at > now

    def held_by(self, holder: str) -> bool:
        """Whether the last lease is *holder*'s, expired or not."""
        return self.lease is not None and self.lease.holder == holder

    def after(self, changes: "Changes") -> "Record":
        """Return this record as a release with *changes* leaves it."""
        return replace(
            self,
            snapshot=changes.snapshot,
            due=changes.due,
            asleep=changes.asleep,
            inbox=changes.inbox,
            outbox=changes.outbox,
            live=changes.live,
            lease=None,
            attempts=0,
            version=self.version + 1,
            groups=(self.groups | changes.joined) - changes.left,
            user=changes.user,
        )


@frozen
class Member:
    """One membership in a group, with what is read together with it."""

    connection_id: str
    user: str | None
    """The person behind the connection, as it was when the membership was written; None for nobody."""
    waits: bool = False
    """Whether to hold back what is sent to it, behind what its route has sent; it may have been delivered since."""


@frozen
class Taken:
    """The lease is ours; *record* is as it stands now, the new entry at the end of its inbox."""

    record: Record


@frozen
class GiveUp(Taken):
    """The lease is ours, but too many have died of what is in the inbox: drop it, and let the route end."""


@frozen
class Forget(GiveUp):
    """The lease is ours, but as many again have died of the route's end: let the connection go without it."""


@frozen
class Busy:
    """Another invocation holds the lease; the entry is in the inbox and that holder will come to it."""

    look_again: int | None = None
    """Milliseconds until somebody is to look whether it has; None if something else will come to the connection."""


@frozen
class Changes:
    """What a release writes into the record."""

    snapshot: bytes | None
    """Where the route waits from now on; None if it has ended."""
    outbox: tuple[str | Replay, ...] = ()
    """What is still to be delivered; replaces the record's."""
    live: bool = False
    joined: frozenset[str] = field(default_factory=frozenset)
    left: frozenset[str] = field(default_factory=frozenset)
    user: str | None = None
    """The person behind the connection from now on; None for nobody."""
    inbox: tuple[Entry, ...] = ()
    """What the holder leaves to the next one, of what it has seen; replaces the record's."""
    due: int | None = None
    asleep: bool = False

    def __post_init__(self) -> None:
        if both := self.joined & self.left:
            raise ValueError(f"a release either joins a group or leaves it, but {sorted(both)} are in both")


class Registry(Protocol):
    """Where connections, group memberships and people's connections are kept.

    Guarantees, the same for every implementation and tested by one contract suite:

    * `take` and `release` are each one atomic conditional write. At any time at most one unexpired lease exists for a
      connection.
    * An entry that `take` accepted (`Taken` or `Busy`) is in the inbox until a `release` by a holder that has seen it
      and doesn't leave it there, or until the record is deleted. Entries keep the order in which they were accepted.
    * A write whose answer is lost may be repeated by the store's client. An entry that waits is known again by its id
      and body, a lease by its holder, so that a repeated write of either changes nothing.
    * Members are read consistently: a membership whose write has returned is seen by every later read. A membership
      that is written while its connection is deleted may stay until its own ``expires_at``.
    * A member `waits` as long as its record does, and until the `release` after which it doesn't has returned. So
      whoever reads it as one that doesn't wait may post to it: all that was sent before is delivered.
    * Whatever is past its ``expires_at`` is treated as absent, whether or not the store has deleted it yet.
    * A group's history has one order, and is read without a hole: what stands before a text that `recent` returns was
      kept before it. So whoever has seen one, and then asks for what is later, misses nothing, however many write at
      once. A `keep` is one write: whoever dies at it has kept the whole text or nothing, and stops nobody.
    * `recent` sees every `keep` that has returned. So does a member's own look at the history everything that was sent
      to the group by somebody who didn't yet see it as a member.

    Clocks are the caller's: *now* is milliseconds since the epoch. Every method raises `RegistryError` when the store
    refuses or can't be reached; `ConfigurationError` when the table doesn't exist or there are no credentials;
    ``ValueError`` when a group's or user's name is empty or longer than `bounds.NAME_BYTES`.
    """

    async def create(self, record: Record) -> None:
        """Store the record of a new connection, then the memberships that its *groups* and *user* name.

        Raises:
            RegistryError: there is one of that connection, and it isn't this one.
            RecordTooLarge: it keeps more than a record can hold.
        """
        ...

    async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
        """Append *entry* to the inbox, and take the lease if nobody holds an unexpired one.

        Taking raises *attempts* and *version* by one. Returns None if there is no such connection.

        Raises:
            InboxFull: the entry wasn't stored. A disconnect always is, and so is a wake that takes the lease: a full
                inbox must not keep everybody from working it off.
            UnreadableRecord: the entry wasn't stored, as what is there wasn't written by this release.
        """
        ...

    async def release(self, record: Record, changes: Changes, *, seen: int, now: int) -> tuple[Entry, ...]:
        """Write *changes*, leave what they leave in the inbox and give the lease up, if the inbox holds *seen* entries.

        *record* is what `take` returned; *seen* counts its entries and those that earlier calls returned. If more
        have come, nothing is written, and the entries beyond *seen* are returned: run them, then release again.
        Returns an empty tuple when released. Memberships are written before the lease is given up.

        Raises:
            LeaseLost: the lease is no longer *record*'s, or the record is gone.
            RecordTooLarge: the changes keep more than a record can hold; the lease stays.
            ValueError: *record* has no lease, or *seen* is more than the inbox holds.
        """
        ...

    async def restore(self, record: Record, entry: Entry, lease: Lease, *, expires_at: int) -> Taken | None:
        """Put a record back that the store deleted because it had expired, as `take` would leave it.

        Its memberships stay gone. *expires_at* is in seconds since the epoch. Returns None, and writes nothing, if
        there is a record of that connection.
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

        Raises:
            InboxFull: the entry wasn't stored.
        """
        ...

    async def join(self, connection_id: str, group: str, *, user: str | None, expires_at: int) -> bool:
        """Add the connection to the group now; joining twice is harmless.

        Returns whether there is such a connection; without one, nothing is joined. *expires_at* is in seconds since
        the epoch, as the record's.
        """
        ...

    async def leave(self, connection_id: str, group: str) -> bool:
        """Remove the connection from the group now; leaving a group that it isn't in is harmless.

        Returns whether it was in it; of several calls at once, to one of them. False without a record, whose
        memberships may outlive it, and if this very call is a repetition whose first answer was lost.
        """
        ...

    def members(self, group: str, *, now: int) -> AsyncIterator[Member]:
        """Iterate over the connections in *group*, page by page, in no particular order."""
        ...

    def connections(self, user: str, *, now: int) -> AsyncIterator[Member]:
        """Iterate over the connections of *user*."""
        ...

    async def count(self, group: str, *, now: int) -> int:
        """Count the members of *group* without reading their ids into memory."""
        ...

    async def keep(self, group: str, text: str, *, id: str, seconds: int, messages: int, now: int) -> Kept:  # noqa: A002
        """Put *text* at the end of *group*'s history.

        Its place is remembered for `REMEMBERED_SECONDS` at least, whatever *seconds* is.

        Args:
            group: whose history.
            text: what to keep.
            id: names this call, and no other one: a write that the store's client repeats is known again by it.
            seconds: for how long somebody may get it.
            messages: how many texts of the group are wanted at the most; a registry may forget more.
            now: milliseconds since the epoch.

        Raises:
            RegistryError: others were faster, again and again; or one of the causes that every method has. Then it may
                have been kept all the same.
        """
        ...

    async def recent(self, group: str, *, since: Place, most: int, now: int) -> list[Kept]:
        """Return what *group*'s history holds from *since* on, that place included, oldest first: the newest *most*.

        What nobody is to get any more is among it for as long as its place is remembered.

        Raises:
            UnreadableHistory: what is there wasn't written by this release.
        """
        ...

    async def aclose(self) -> None:
        """Let go of network connections and threads; the registry can't be used afterwards."""
        ...
