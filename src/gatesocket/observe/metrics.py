"""Metrics, by lines in a function's log."""

import json
import sys
from typing import Any, Final, TextIO

from gatesocket.clock import Clock, milliseconds
from gatesocket.observation import Observation

__all__ = ["EmbeddedMetrics"]

UNITS: Final = {
    "Events": "Count",
    "Errors": "Count",
    "RouteErrors": "Count",
    "Failures": "Count",
    "Opened": "Count",
    "Refused": "Count",
    "Ended": "Count",
    "Messages": "Count",
    "Wakes": "Count",
    "Posts": "Count",
    "Gone": "Count",
    "FailedPosts": "Count",
    "Broadcasts": "Count",
    "Queued": "Count",
    "Retries": "Count",
    "Duration": "Milliseconds",
    "WakeTime": "Milliseconds",
    "RunTime": "Milliseconds",
}

OK: Final = 200


class EmbeddedMetrics:
    """Write each observation as one line of CloudWatch's embedded metric format.

    CloudWatch makes metrics of the lines in a function's log, without a call and without an agent; by ``Event`` and in
    all. Ids, the route and where it waits are in the line as well, to be searched for, and are no dimensions, which
    cost money by their values.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

    Args:
        namespace: of the metrics, such as the app's name.
        stream: where the lines go; None is standard output, which is a Lambda function's log.
        clock: returns milliseconds since the epoch.
    """

    def __init__(self, namespace: str, *, stream: TextIO | None = None, clock: Clock = milliseconds) -> None:
        self._namespace = namespace
        self._clock = clock
        self._stream = stream

    def __call__(self, observation: Observation) -> None:
        """Write one line."""
        metrics = _without_none(_metrics(observation))
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [[], ["Event"]],
            # Only of what is in the line: it would be an error otherwise.
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in metrics],
        }
        line = {
            "_aws": {"Timestamp": self._clock(), "CloudWatchMetrics": [directive]},
            **_without_none(_properties(observation)),
            **metrics,
        }
        # In one write: lines of two threads must not end up in each other.
        (self._stream or sys.stdout).write(json.dumps(line) + "\n")


def _metrics(observation: Observation) -> dict[str, float | None]:
    return {
        "Events": 1,
        "Errors": int(observation.error is not None),
        "RouteErrors": observation.route_errors,
        "Failures": observation.failures,
        "Opened": int(observation.status == OK),
        "Refused": int(observation.status not in {None, OK}),
        "Ended": observation.ended,
        "Messages": observation.messages,
        "Wakes": observation.wakes,
        "Posts": observation.posts,
        "Gone": observation.gone,
        "FailedPosts": observation.failed,
        "Broadcasts": observation.broadcasts,
        "Queued": observation.queued,
        "Retries": observation.retries,
        "Duration": round(observation.milliseconds, 3),
        "WakeTime": None if observation.waking is None else round(observation.waking, 3),
        "RunTime": None if observation.running is None else round(observation.running, 3),
    }


def _properties(observation: Observation) -> dict[str, str | None]:
    return {
        "Event": observation.event,
        "ConnectionId": observation.connection_id,
        "RequestId": observation.request_id,
        "TraceId": observation.trace_id,
        "Route": observation.route,
        "WokenAt": observation.woken_at,
        "WaitsAt": observation.waits_at,
        "RouteError": observation.route_error,
        "Error": observation.error,
    }


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
