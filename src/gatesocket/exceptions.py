"""The errors of Gatesocket, by whose fault they are.

::

    GatesocketError
    ├── ConfigurationError            the deployer's: settings, the template, an app that isn't one
    │   └── CannotHibernate           the route's author's: it holds something that can't be saved
    ├── ProtocolError
    │   ├── ApplicationProtocolError  the app's: it sent ASGI messages that don't fit
    │   └── UnexpectedEvent           the caller's: a Lambda event that this handler doesn't know
    ├── SnapshotError                 nobody's or an attacker's: a stored snapshot that can't be woken
    ├── RegistryError                 the registry's: DynamoDB refused or can't be reached
    │   ├── InboxFull                 the client's: it sends faster than its route takes
    │   ├── LeaseLost                 nobody's: another invocation took the connection over
    │   ├── RecordTooLarge            the route's author's: it keeps more than one record can hold
    │   ├── UnreadableHistory         nobody's or an attacker's: another release wrote it, or it was damaged
    │   └── UnreadableRecord          the same, of a connection's record
    ├── GatewayError                  the gateway's: the Management API refused or can't be reached
    │   └── InvalidConnectionId       the sender's: what was named can't be a connection id
    ├── InvalidArguments              the enqueuer's: what a job was enqueued with doesn't fit it
    ├── QueueError                    the queue's: SQS refused or can't be reached
    ├── MessageTooLarge               the sender's: more than API Gateway carries
    ├── OutboxFull                    the sender's: it says more than can wait until its client is connected again
    ├── ConnectionEnded               the server's or the caller's own: a client's connection is over for good
    └── ConnectionGone                the peer's: the client has left (an OSError, as ASGI asks)
"""

from gatesocket.values import frozen

__all__ = [
    "ApplicationProtocolError",
    "CannotHibernate",
    "ConfigurationError",
    "ConnectionEnded",
    "ConnectionGone",
    "Finding",
    "GatesocketError",
    "GatewayError",
    "InboxFull",
    "InvalidArguments",
    "InvalidConnectionId",
    "LeaseLost",
    "MessageTooLarge",
    "OutboxFull",
    "ProtocolError",
    "QueueError",
    "RecordTooLarge",
    "RegistryError",
    "SnapshotError",
    "UnexpectedEvent",
    "UnreadableHistory",
    "UnreadableRecord",
]


class GatesocketError(Exception):
    """Base class of every error that Gatesocket raises on its own account."""


class ConfigurationError(GatesocketError):
    """What was configured or deployed can't work; the message names the remedy."""


@frozen
class Finding:
    """One place in a user's code, what is wrong with it, and what to do."""

    file: str
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}. {self.remedy}"


class CannotHibernate(ConfigurationError):
    """A route can't be left at its receive and woken elsewhere.

    Raised when the handler is made for what the source shows, and when a route hibernates for a value that only then
    turns out to be one that can't be saved.
    """

    def __init__(self, *findings: Finding) -> None:
        super().__init__(*findings)
        self.findings = findings
        """Every reason found, in the order of file and line."""

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


class ProtocolError(GatesocketError):
    """One side broke the rules of the conversation."""


class ApplicationProtocolError(ProtocolError):
    """The ASGI application sent or awaited something that the ASGI specification doesn't allow at that point."""


class UnexpectedEvent(ProtocolError):
    """The Lambda event has a shape that API Gateway, SQS or DynamoDB never sends to this handler."""


class SnapshotError(GatesocketError):
    """A stored snapshot can't be woken: damaged, planted, or written by other code."""


class RegistryError(GatesocketError):
    """The registry can't do what was asked; the cause is chained."""


class InboxFull(RegistryError):
    """A connection's inbox can't take another entry; the entry was not stored."""

    def __init__(self, connection_id: str, entries: int, size: int) -> None:
        super().__init__(connection_id, entries, size)
        self.connection_id = connection_id
        self.entries = entries
        """How many entries wait."""
        self.size = size
        """Bytes that they take."""

    def __str__(self) -> str:
        return (
            f"the inbox of connection {self.connection_id!r} is full: {self.entries} entries of {self.size} "
            "bytes wait for its route. Let the route do long work elsewhere, or slow the client down"
        )


class LeaseLost(RegistryError):
    """Another invocation took the connection over, so that nothing of this one may be written."""

    def __init__(self, connection_id: str) -> None:
        super().__init__(connection_id)
        self.connection_id = connection_id

    def __str__(self) -> str:
        return (
            f"the lease on connection {self.connection_id!r} is lost: it expired and another invocation took it, or "
            "the connection was deleted"
        )


class RecordTooLarge(RegistryError):
    """What is to be kept of a connection doesn't fit into its record; nothing was written."""

    def __init__(self, connection_id: str, size: int, limit: int) -> None:
        super().__init__(connection_id, size, limit)
        self.connection_id = connection_id
        self.size = size
        """Bytes of scope, snapshot, outbox, groups and user."""
        self.limit = limit
        """Bytes that a record has for them."""

    def __str__(self) -> str:
        return (
            f"connection {self.connection_id!r} can't be stored: it keeps {self.size} bytes, but a record has "
            f"room for {self.limit}. Keep less in the route's local variables, or send less before its first "
            "receive"
        )


class UnreadableRecord(RegistryError):
    """What is stored of a connection was written by another release, was damaged, or was planted."""

    def __init__(self, connection_id: str, why: str) -> None:
        super().__init__(connection_id, why)
        self.connection_id = connection_id
        self.why = why

    def __str__(self) -> str:
        return f"the record of connection {self.connection_id!r} can't be read: {self.why}"


class UnreadableHistory(RegistryError):
    """What is stored of a group's history was written by another release, was damaged, or was planted."""

    def __init__(self, group: str, why: str) -> None:
        super().__init__(group, why)
        self.group = group
        self.why = why

    def __str__(self) -> str:
        return f"the history of group {self.group!r} can't be read: {self.why}"


class GatewayError(GatesocketError):
    """The gateway's Management API refused a call or can't be reached; the cause is chained."""

    def __init__(self, message: str, *, connection_id: str, status: int | None = None) -> None:
        super().__init__(message)
        self.connection_id = connection_id
        self.status = status
        """The HTTP status of the refusal; None if there was no answer."""


class InvalidConnectionId(GatewayError):
    """What was named as a connection id can't be one; API Gateway answers 400 (facts sheet, section 4)."""


class InvalidArguments(GatesocketError):
    """What a job was enqueued with doesn't fit it, or can't be sent; the job doesn't run."""


class QueueError(GatesocketError):
    """A queue refused a message or can't be reached; the cause is chained."""


class MessageTooLarge(GatesocketError):
    """A message is larger than API Gateway carries; it was not sent."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(size, limit)
        self.size = size
        """Bytes of the message."""
        self.limit = limit
        """Bytes that API Gateway carries at the most."""

    def __str__(self) -> str:
        return (
            f"a message of {self.size} bytes can't be sent: API Gateway carries at most {self.limit} bytes. "
            "Split it, or send the address of where it can be fetched"
        )


class OutboxFull(GatesocketError):
    """As many messages as may wait for a client's next socket already; this one was neither sent nor kept."""

    def __init__(self, waiting: int) -> None:
        super().__init__(waiting)
        self.waiting = waiting
        """How many messages wait."""

    def __str__(self) -> str:
        return (
            f"a message can't be kept until there is a connection: {self.waiting} wait already. Say less while the "
            "connection's state isn't open, or let more wait: Connection(…, unsent=…)"
        )


class ConnectionEnded(GatesocketError):
    """A client's connection is over for good: it was closed here, or the server doesn't want it."""

    def __init__(self, code: int, reason: str = "", status: int | None = None) -> None:
        super().__init__(code, reason, status)
        self.code = code
        """The close code; 1006 if there was none."""
        self.reason = reason
        """The reason of the close, or what went wrong."""
        self.status = status
        """The HTTP status that refused the handshake; None if it was the connection that was ended."""

    def __str__(self) -> str:
        how = f"with {self.code}" if self.status is None else f"by the handshake's status {self.status}"
        return f"the connection was ended {how}: {self.reason or 'no reason was given'}"


class ConnectionGone(GatesocketError, OSError):
    """The client has left; nothing can be sent to it any more.

    An ``OSError``, as the ASGI specification asks of a send to a disconnected client, so that Starlette turns it into
    ``WebSocketDisconnect(1006)`` in the route.
    """

    def __init__(self, connection_id: str) -> None:
        super().__init__(connection_id)
        self.connection_id = connection_id

    def __str__(self) -> str:
        return f"connection {self.connection_id!r} is gone"
