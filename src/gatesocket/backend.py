"""What a process reaches connections through, so that one manager works in a route, in a job and in a script."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from gatesocket.aws import AsyncioClient, AWSClient, Boto3Client
from gatesocket.clock import Clock, milliseconds
from gatesocket.exceptions import ConfigurationError
from gatesocket.gateway.base import GatewayClient
from gatesocket.gateway.management_api import ManagementAPI, region_in
from gatesocket.gateway.sockets import SocketGateway
from gatesocket.queues import Queue, SQSQueue
from gatesocket.registry.base import Registry
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import FANOUT_ABOVE, Settings, settings
from gatesocket.values import frozen
from gatesocket.waker import QueueWaker, Waker

__all__ = [
    "Backend",
    "current",
    "default_client",
    "default_fanout",
    "default_gateway",
    "default_jobs",
    "default_registry",
    "default_waker",
    "in_use",
    "jobs",
    "use",
]


@frozen
class Backend:
    """Where connections are kept, what posts to them, what wakes a handler for them, and what takes jobs elsewhere."""

    registry: Registry
    gateway: GatewayClient
    waker: Waker | None = None
    """None where nothing has to be held back: a socket that this process holds is live at once."""
    jobs: Queue | None = None
    """None runs jobs in the background of this process."""
    clock: Clock = milliseconds
    fanout: Queue | None = None
    """Takes what is too much for one broadcast, and what has failed of it. None leaves all to the broadcast."""
    fanout_above: int = FANOUT_ABOVE
    """How many connections a broadcast posts to itself."""


_used: ContextVar[Backend | None] = ContextVar("gatesocket.backend", default=None)


@contextmanager
def use(backend: Backend) -> Iterator[None]:
    """Make managers use *backend* in this context and in the tasks started in it."""
    token = _used.set(backend)
    try:
        yield
    finally:
        _used.reset(token)


def in_use() -> Backend | None:
    """Return the backend that `use` chose for this context; None leaves it to this process's settings."""
    return _used.get()


def current() -> Backend:
    """Return the backend of this context: the one in use, else the one that this process's settings name.

    Raises:
        ConfigurationError: the settings name a table but no endpoint.
    """
    return _used.get() or _of_process()


def jobs() -> Queue | None:
    """Return the queue of this context's jobs; None runs them in the background of this process.

    Unlike `current` it asks for nothing else: who enqueues need not be able to send.
    """
    used = in_use()
    return _jobs_of_process() if used is None else used.jobs


@cache
def _of_process() -> Backend:
    chosen = settings()
    if chosen.table is None:
        # Without a fan-out queue: whoever reads one can't reach the sockets of this process.
        return Backend(default_registry(chosen), SocketGateway(), jobs=_jobs_of_process())
    if chosen.endpoint is None:
        raise ConfigurationError(
            "GATESOCKET_TABLE is set but GATESOCKET_ENDPOINT isn't, so that nothing can be sent outside of a WebSocket "
            "handler. Set it to https://{api}.execute-api.{region}.amazonaws.com/{stage}, as template.yaml does"
        )
    return Backend(
        default_registry(chosen),
        default_gateway(chosen, chosen.endpoint),
        default_waker(chosen),
        _jobs_of_process(),
        fanout=default_fanout(chosen),
        fanout_above=chosen.fanout_above,
    )


@cache
def _jobs_of_process() -> Queue | None:
    return default_jobs(settings())


def default_registry(chosen: Settings) -> Registry:
    """Make the registry that the settings name: DynamoDB with a table, else the memory of this process."""
    if chosen.table is None:
        return MemoryRegistry()
    return DynamoDBRegistry(chosen.table, client=default_client(chosen, "dynamodb"), shards=chosen.group_shards)


def default_gateway(chosen: Settings, endpoint: str) -> GatewayClient:
    """Make the gateway client that the settings name, for the stage at *endpoint*."""
    region = region_in(endpoint) or chosen.region
    client = default_client(chosen, "apigatewaymanagementapi", region=region, endpoint_url=endpoint)
    return ManagementAPI(client=client)


def default_waker(chosen: Settings) -> Waker | None:
    """Make the waker that the settings name; None without a queue."""
    return QueueWaker(chosen.wake_queue, client=default_client(chosen, "sqs")) if chosen.wake_queue else None


def default_jobs(chosen: Settings) -> Queue | None:
    """Make the queue of jobs that the settings name; None without one."""
    return SQSQueue(chosen.jobs_queue, client=default_client(chosen, "sqs")) if chosen.jobs_queue else None


def default_fanout(chosen: Settings) -> Queue | None:
    """Make the fan-out queue that the settings name; None without one."""
    return SQSQueue(chosen.fanout_queue, client=default_client(chosen, "sqs")) if chosen.fanout_queue else None


def default_client(
    chosen: Settings, service: str, *, region: str | None = None, endpoint_url: str | None = None
) -> AWSClient:
    """Make the client of an AWS service that the settings name, in their region unless *region* is given."""
    region = region or chosen.region
    if chosen.aws_client == "boto3":
        return Boto3Client(service, region=region, endpoint_url=endpoint_url)
    return AsyncioClient(service, region=region, endpoint_url=endpoint_url)
