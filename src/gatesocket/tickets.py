"""One-time tickets: an authenticated HTTP route issues one, and the next handshake spends it.

::

    tickets = Tickets(User)
    Guest = Annotated[User, Depends(Authenticate(tickets.spend, InQuery("ticket")))]


    @app.post("/tickets")
    async def ticket(user: CurrentUser) -> str:
        return await tickets.issue(user)


    @app.websocket("/ws")
    async def chat(websocket: WebSocket, user: Guest) -> None: ...

A ticket may stand in an address, and in every log that the address gets into: it is good for one handshake, and for
half a minute.
"""

import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter

from gatesocket import backend
from gatesocket.aws import AWSClient, Refused, Unreachable
from gatesocket.exceptions import ConfigurationError, RegistryError
from gatesocket.registry.base import Registry
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.items import number, ticket_key
from gatesocket.registry.memory import MemoryRegistry

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["DynamoDBTickets", "MemoryTickets", "TicketStore", "Tickets"]

S = TypeVar("S")

BYTES: Final = 32
"""Random bytes of a ticket: nobody guesses one of 2**256 within half a minute."""


class TicketStore(Protocol):
    """Keeps what tickets stand for, until they are spent.

    Of any number of `take`s of one key, whatever process they come from, at most one gets the value. What has expired
    is treated as absent.
    """

    async def put(self, key: str, value: bytes, *, expires_at: int) -> None:
        """Keep *value* until *expires_at*, in seconds since the epoch.

        Raises:
            RegistryError: it couldn't be kept.
        """
        ...

    async def take(self, key: str, *, now: int) -> bytes | None:
        """Return the value and forget it; None if there is none, or none any more.

        Raises:
            RegistryError: it can't be told.
        """
        ...


class Tickets(Generic[S]):
    """Issues tickets, and says whom they stand for.

    They are kept where connections are: in the memory of this process under uvicorn, in the table in the cloud, as the
    hash of a ticket and what it stands for. Who can read the table can't spend them.

    Args:
        kind: what a ticket stands for: a text, a pydantic model, whatever pydantic can write as JSON.
        valid_for: seconds in which it has to be spent.
        store: where tickets are kept; None for where connections are.
    """

    def __init__(self, kind: "TypeForm[S]", *, valid_for: int = 30, store: TicketStore | None = None) -> None:
        self._adapter: TypeAdapter[S] = TypeAdapter(kind)
        self._valid_for = valid_for
        self._store = store

    async def issue(self, subject: S) -> str:
        """Make a ticket for *subject*: 43 letters, digits, ``-`` and ``_``.

        Raises:
            ConfigurationError: connections are kept in a registry of the app's own, and no store is given.
            RegistryError: it couldn't be kept.
        """
        ticket = secrets.token_urlsafe(BYTES)
        through = backend.current()
        store = self._store or store_of(through.registry)
        expires_at = through.clock() // 1000 + self._valid_for
        await store.put(_key(ticket), self._adapter.dump_json(subject), expires_at=expires_at)
        return ticket

    async def spend(self, ticket: str) -> S | None:
        """Return whom *ticket* stands for; None if it was spent, has expired, or is none.

        Raises:
            ConfigurationError: connections are kept in a registry of the app's own, and no store is given.
            RegistryError: it can't be told.
            ValidationError: it was issued for another *kind*.
        """
        through = backend.current()
        store = self._store or store_of(through.registry)
        found = await store.take(_key(ticket), now=through.clock() // 1000)
        return None if found is None else self._adapter.validate_json(found)


def _key(ticket: str) -> str:
    return sha256(ticket.encode()).hexdigest()


class MemoryTickets:
    """Keeps tickets in this process; each call is atomic among the tasks of one event loop."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, int]] = {}

    async def put(self, key: str, value: bytes, *, expires_at: int) -> None:
        """See `TicketStore.put`."""
        self._kept[key] = value, expires_at

    async def take(self, key: str, *, now: int) -> bytes | None:
        """See `TicketStore.take`."""
        # Those that nobody has spent are what may pile up.
        self._kept = {each: kept for each, kept in self._kept.items() if kept[1] > now}
        value, _ = self._kept.pop(key, (None, 0))
        return value


class DynamoDBTickets:
    """Keeps tickets in a DynamoDB table, whose time to live removes those that nobody spends.

    Args:
        table: the table's name.
        client: calls DynamoDB.
    """

    def __init__(self, table: str, client: AWSClient) -> None:
        self._table = table
        self._client = client

    async def put(self, key: str, value: bytes, *, expires_at: int) -> None:
        """See `TicketStore.put`."""
        item = ticket_key(key) | {"subject": {"B": value}, "expires_at": number(expires_at)}
        try:
            await self._client.call("PutItem", {"TableName": self._table, "Item": item})
        except (Refused, Unreachable) as error:
            raise RegistryError(f"a ticket couldn't be kept: {error}") from error

    async def take(self, key: str, *, now: int) -> bytes | None:
        """See `TicketStore.take`."""
        try:
            answer = await self._client.call(
                "DeleteItem",
                {
                    "TableName": self._table,
                    "Key": ticket_key(key),
                    # Deleted by one of any number who try, and not too late: DynamoDB's own deletion may take days.
                    "ConditionExpression": "expires_at > :now",
                    "ExpressionAttributeValues": {":now": number(now)},
                    "ReturnValues": "ALL_OLD",
                },
            )
        except Refused as error:
            if error.code == "ConditionalCheckFailedException":
                return None
            raise RegistryError(f"a ticket couldn't be spent: {error}") from error
        except Unreachable as error:
            raise RegistryError(f"a ticket couldn't be spent: {error}") from error
        subject: bytes = answer["Attributes"]["subject"]["B"]
        return subject


_stores: WeakKeyDictionary[Registry, TicketStore] = WeakKeyDictionary()


def store_of(registry: Registry) -> TicketStore:
    """Return where the tickets beside *registry*'s connections are kept.

    Raises:
        ConfigurationError: it is none of Gatesocket's own.
    """
    store = _stores.get(registry)
    if store is None:
        if isinstance(registry, MemoryRegistry):
            store = MemoryTickets()
        elif isinstance(registry, DynamoDBRegistry):
            store = DynamoDBTickets(registry.table, registry.client)
        else:
            raise ConfigurationError(
                f"connections are kept in a {type(registry).__name__}, beside which no tickets can be. Say where they "
                "are to be kept: Tickets(…, store=…)"
            )
        _stores[registry] = store
    return store
