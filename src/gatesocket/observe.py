"""What a handler did with each Lambda event, told to whoever wants to know.

::

    websocket = WebSocketHandler(app, observer=EmbeddedMetrics("Chat"))

Without an observer nothing is measured and nothing wrapped. What is told are ids, counts and times: no texts, no
headers, no addresses, so that no token gets into a log by this.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TextIO

from gatesocket.clock import Clock, milliseconds
from gatesocket.exceptions import ConnectionGone, GatewayError
from gatesocket.gateway.base import ConnectionInfo, GatewayClient

__all__ = [
    "ConnectionFields",
    "EmbeddedMetrics",
    "Observation",
    "ObservedGateway",
    "Observer",
    "observing",
    "route_failed",
]


@dataclass(slots=True)
class Observation:
    """One Lambda event, and what became of it."""

    event: str
    """``connect``, ``message`` or ``disconnect``; ``batch`` for what a queue or a stream brought."""
    connection_id: str | None
    """None for a batch, which may be about many."""
    request_id: str
    """Lambda's; empty outside of Lambda."""
    status: int | None = None
    """The answer to a handshake, where one was given."""
    milliseconds: float = 0.0
    """From the event to the answer, the app's start-up included."""
    posts: int = 0
    """What the gateway has taken, for this connection and for others."""
    gone: int = 0
    """Posts to connections that had left, or whose handshake wasn't over."""
    failed: int = 0
    """Posts that the gateway refused after all tries."""
    route_errors: int = 0
    """Exceptions that a route let out, and routes that couldn't be woken any more."""
    error: str | None = None
    """The class of the exception that the event itself ended with; None if it was answered."""


Observer = Callable[[Observation], None]
"""Is told of each event when it is over, before it is answered; it should be quick, and what it raises fails that."""

_current: ContextVar[Observation | None] = ContextVar("gatesocket.observation", default=None)


@contextmanager
def observing(
    observer: Observer, observation: Observation, *, timer: Callable[[], float] = time.perf_counter
) -> Iterator[Observation]:
    """Have everything that happens inside, and in the tasks started there, counted in *observation*."""
    token = _current.set(observation)
    began = timer()
    try:
        yield observation
    except Exception as error:
        observation.error = type(error).__name__
        raise
    finally:
        _current.reset(token)
        observation.milliseconds = (timer() - began) * 1000
        observer(observation)


def route_failed() -> None:
    """Count an exception that a route let out, if anybody is observing."""
    observation = _current.get()
    if observation is not None:
        observation.route_errors += 1


class ObservedGateway:
    """A gateway client whose posts are counted; as the one that it wraps in everything else."""

    def __init__(self, inner: GatewayClient) -> None:
        self._inner = inner

    async def post(self, connection_id: str, text: str) -> None:
        """See `GatewayClient.post`."""
        observation = _current.get()
        if observation is None:
            await self._inner.post(connection_id, text)
            return
        try:
            await self._inner.post(connection_id, text)
        except ConnectionGone:
            observation.gone += 1
            raise
        except GatewayError:
            observation.failed += 1
            raise
        observation.posts += 1

    async def close(self, connection_id: str) -> None:
        """See `GatewayClient.close`."""
        await self._inner.close(connection_id)

    async def info(self, connection_id: str) -> ConnectionInfo:
        """See `GatewayClient.info`."""
        return await self._inner.info(connection_id)

    async def aclose(self) -> None:
        """See `GatewayClient.aclose`."""
        await self._inner.aclose()


class ConnectionFields(logging.Filter):
    """Add to every log record of an observed event whose it is: ``connection_id``, ``request_id`` and ``event``.

    For a logging handler whose formatter writes what records have besides, as aws-lambda-powertools' does. It lets
    every record through, and those outside of an event as they are::

        handler.addFilter(ConnectionFields())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields."""
        observation = _current.get()
        if observation is not None:
            record.connection_id = observation.connection_id
            record.request_id = observation.request_id
            record.event = observation.event
        return True


_METRICS: Final = (
    ("Events", "Count"),
    ("Errors", "Count"),
    ("RouteErrors", "Count"),
    ("Refused", "Count"),
    ("Posts", "Count"),
    ("Gone", "Count"),
    ("FailedPosts", "Count"),
    ("Duration", "Milliseconds"),
)


class EmbeddedMetrics:
    """Write each observation as one line of CloudWatch's embedded metric format.

    CloudWatch makes metrics of the lines in a function's log, without a call and without an agent; by ``Event`` and in
    all. Connection and request id are in the line as well, to be searched for, and are no dimensions, which cost money
    by their values.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

    Args:
        namespace: of the metrics, such as the app's name.
        stream: where the lines go; None is standard output, which is a Lambda function's log.
        clock: returns milliseconds since the epoch.
    """

    def __init__(self, namespace: str, *, stream: TextIO | None = None, clock: Clock = milliseconds) -> None:
        self._clock = clock
        self._stream = stream
        self._directive = {
            "Namespace": namespace,
            "Dimensions": [[], ["Event"]],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in _METRICS],
        }

    def __call__(self, observation: Observation) -> None:
        """Write one line."""
        line = {
            "_aws": {"Timestamp": self._clock(), "CloudWatchMetrics": [self._directive]},
            "Event": observation.event,
            "ConnectionId": observation.connection_id,
            "RequestId": observation.request_id,
            "Error": observation.error,
            "Events": 1,
            "Errors": int(observation.error is not None),
            "RouteErrors": observation.route_errors,
            "Refused": int(observation.status not in {None, 200}),
            "Posts": observation.posts,
            "Gone": observation.gone,
            "FailedPosts": observation.failed,
            "Duration": round(observation.milliseconds, 3),
        }
        # In one write: lines of two threads must not end up in each other.
        (self._stream or sys.stdout).write(json.dumps({k: v for k, v in line.items() if v is not None}) + "\n")
