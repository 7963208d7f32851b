"""What a stack on one machine consists of: plain values, every reference resolved to what it is here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gatesocket.emulator.api import Api
from gatesocket.emulator.http_api import HttpRoute
from gatesocket.emulator.mapping import MappingTemplate

__all__ = [
    "ACCOUNT",
    "Addresses",
    "EventSource",
    "Forwarding",
    "Function",
    "Note",
    "Queue",
    "Resources",
    "StreamSource",
    "Table",
]

ACCOUNT: Final = "123456789012"
"""The account that moto's server works for."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where things are on this machine, without a slash at the end."""

    gateway: str
    """Where the emulated API Gateway listens: ``http://127.0.0.1:8000``."""
    aws: str
    """Where the stand-in for DynamoDB and SQS listens."""
    certificate: Path | None = None
    """What functions have to trust to reach the gateway over TLS too; None if they can't."""


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function with Python code."""

    logical_id: str
    name: str
    arn: str
    code: Path
    """The directory that is the function's import root."""
    handler: str
    """``package.module.attribute``."""
    environment: Mapping[str, str]
    timeout: int
    """Seconds."""
    memory: int
    """Megabytes."""


@dataclass(frozen=True, slots=True)
class Table:
    """One DynamoDB table."""

    name: str
    definition: Mapping[str, Any]
    """The arguments of CreateTable."""
    ttl_attribute: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """One SQS queue."""

    name: str
    attributes: Mapping[str, str]
    """As CreateQueue takes them; without the redrive policy."""
    redrive_policy: str | None
    """JSON; set once every queue exists."""


@dataclass(frozen=True, slots=True)
class Forwarding:
    """An integration that puts a WebSocket API's messages into a queue."""

    queue: str
    """The queue's name."""
    template: MappingTemplate
    """Writes the form that SQS gets."""


@dataclass(frozen=True, slots=True)
class EventSource:
    """A queue whose messages invoke a function."""

    queue: str
    """The queue's name."""
    function: str
    """The function's logical id."""
    batch_size: int
    reports_failures: bool
    """Whether the function answers with the messages that it could not process (ReportBatchItemFailures)."""


@dataclass(frozen=True, slots=True)
class StreamSource:
    """A table whose changes invoke a function."""

    table: str
    """The table's name."""
    function: str
    """The function's logical id."""
    starting_position: str
    """``TRIM_HORIZON``, the oldest change, or ``LATEST``, the next one."""
    batch_size: int
    filters: tuple[Mapping[str, Any], ...]
    """Patterns of which a change must match one; without any, every change is passed on."""
    retries: int
    """How often a batch that failed is tried again; -1 for ever."""
    reports_failures: bool
    """Whether the function answers with the changes that it could not process (ReportBatchItemFailures)."""


@dataclass(frozen=True, slots=True)
class Note:
    """A resource of the template that this machine can't run, and what that means."""

    logical_id: str
    what: str

    def __str__(self) -> str:
        return f"{self.logical_id}: {self.what}"


@dataclass(frozen=True, slots=True)
class Resources:
    """All that a stack consists of."""

    api: Api | None
    """None if the template has no WebSocket API."""
    http_routes: tuple[HttpRoute, ...]
    functions: Mapping[str, Function]
    """By logical id."""
    forwardings: Mapping[str, Forwarding]
    """By the integration's logical id, which routes have in a function's place."""
    tables: tuple[Table, ...]
    queues: tuple[Queue, ...]
    sources: tuple[EventSource, ...]
    streams: tuple[StreamSource, ...]
    notes: tuple[Note, ...]
