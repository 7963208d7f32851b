"""Spans of OpenTelemetry: one for each event of a connection, linked to the one of its handshake.

::

    websocket = WebSocketHandler(app, tracing=Tracing())

**Each event is a trace of its own**, or a part of the trace that its Lambda invocation is in already, and has a link to
the handshake's span. The handshake continues the trace of the client, if that sent a ``traceparent``. It could be one
trace for the whole connection instead. But a connection lasts for up to two hours and thousands of messages: hardly a
viewer shows such a trace; X-Ray keeps 100 KB of one whose spans come one at a time; collectors that decide by whole
traces what to keep wait for seconds and not for hours; and one decision at the handshake would keep every message of
some people and none of the others. OpenTelemetry's conventions say the same of messages in general: what processes one
has a link to what it came from, by default.
https://repost.aws/knowledge-center/x-ray-trace-quota-error
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/

The handshake's place in its trace is kept in the connection's record, where the client's would be otherwise: it is the
``traceparent`` of the stored scope. While the app is called for an event, its scope has that event's own, as behind any
proxy that takes part in tracing. So what makes spans by that header, as FastAPI does, makes them under ours.

A span has ids, counts, times, the route's path, and where it waits: no texts, no headers, no addresses.

It needs ``opentelemetry-api``, the extra ``otel``. Spans come from whatever tracer provider the process has; without
one they are nothing.
"""

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from gatesocket.observation import Headers, Observation

__all__ = ["Tracing"]

logger = logging.getLogger("gatesocket")

SYSTEMS: Final = {
    "message": "aws_api_gateway",
    "disconnect": "aws_api_gateway",
    "wake": "aws_sqs",
    "jobs": "aws_sqs",
    "fan-out": "aws_sqs",
}
"""What brings an event: ``messaging.system``. The conventions don't name API Gateway; a batch may be a stream's."""

SERVER_ERROR: Final = 500
"""From here on a handshake's status is an error of the server's, and of its span."""

COUNTS: Final = (
    "wakes",
    "messages",
    "posts",
    "gone",
    "failed",
    "broadcasts",
    "queued",
    "retries",
    "failures",
    "route_errors",
)
"""What of an observation is an attribute of its name, if there was any."""


class Tracing:
    """Follow events with OpenTelemetry: a `gatesocket.observation.Tracer`.

    Args:
        provider: makes the spans; None takes the process's global one, when the first event comes.
        continues: whether a handshake's span is under the one that the client names. False begins a new trace, with a
            link to it: for clients that anybody can write, who would decide otherwise what is sampled.
        flush: seconds that each Lambda event waits, before it is answered, for the spans that are collected to be
            exported. Lambda stops the process with the answer, and may never go on with it. None doesn't wait: right
            for a span processor that exports each span as it ends, and for a process that Lambda doesn't stop.
    """

    def __init__(
        self, provider: TracerProvider | None = None, *, continues: bool = True, flush: float | None = 1.0
    ) -> None:
        self._provider = provider
        self._continues = continues
        self._seconds = flush
        self._tracer = trace.get_tracer("gatesocket", version("gatesocket"), tracer_provider=provider)
        self._exporting: concurrent.futures.Future[str | None] | None = None
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None

    def begin(self, observation: Observation, headers: Headers) -> "EventSpan":
        """Begin an event's span, and make it the current one of this task."""
        around = context.get_current()
        named = _named(headers)
        parent, links = around, []
        if trace.get_current_span(around).get_span_context().is_valid or not self._continues:
            # Lambda's instrumentation has taken the client's trace up already, if it is to.
            links = [Link(named)] if named.is_valid else []
        else:
            parent = propagate.extract(headers, around, _GETTER)
        is_handshake = observation.event == "connect"
        span = self._tracer.start_span(
            observation.event,
            parent,
            kind=SpanKind.SERVER if is_handshake else SpanKind.CONSUMER,
            attributes=known(observation),
            links=links,
        )
        own = span.get_span_context()
        observation.trace_id = trace.format_trace_id(own.trace_id) if own.is_valid else None
        return EventSpan(span, trace.set_span_in_context(span, parent), named if is_handshake else None)

    async def flush(self) -> None:
        """Have what is collected exported, and wait for that for as long as `Tracing` was told to."""
        exporting = self._export()
        if exporting is not None:
            await asyncio.wait([asyncio.wrap_future(exporting)], timeout=self._seconds)
            self._report(exporting)

    def flush_here(self) -> None:
        """Do the same where no event loop runs."""
        exporting = self._export()
        if exporting is not None:
            concurrent.futures.wait([exporting], timeout=self._seconds)
            self._report(exporting)

    def _export(self) -> "concurrent.futures.Future[str | None] | None":
        """Begin to export, in a thread: exporters block, and some for longer than they are allowed to."""
        if self._seconds is None:
            return None
        # The API's own provider, which makes no spans, has nothing to flush.
        force_flush = getattr(self._provider or trace.get_tracer_provider(), "force_flush", None)
        if force_flush is None:
            return None
        if self._exporting is None or self._exporting.done():
            self._thread = self._thread or concurrent.futures.ThreadPoolExecutor(1, "gatesocket-tracing")
            self._exporting = self._thread.submit(_attempt, force_flush, int(self._seconds * 1000))
        return self._exporting

    def _report(self, exporting: "concurrent.futures.Future[str | None]") -> None:
        why = exporting.result() if exporting.done() else f"it takes longer than {self._seconds:g} s"
        if why is not None:
            # An observer fails no event; and what is still collected goes out with a later one.
            logger.warning("spans weren't exported: %s", why)


def _attempt(force_flush: Callable[[int], bool], milliseconds: int) -> str | None:
    """Export what is collected; return why that failed, None if it didn't."""
    try:
        return None if force_flush(milliseconds) else "the span processor gave up"
    except Exception as error:  # an exporter may raise what it likes
        return type(error).__name__


class EventSpan:
    """An event's span: a `gatesocket.observation.Trace`.

    Args:
        span: the span.
        around: the context in which it is the current one.
        linked: of a handshake, what the client has named, so that no link to itself is added; None for other events.
    """

    def __init__(self, span: Span, around: Context, linked: SpanContext | None) -> None:
        self._span = span
        self._around = around
        self._linked = linked
        self._token = context.attach(around)

    def headers(self, headers: Headers) -> Headers:
        """Return *headers* with this span as the place in a trace that they name."""
        own: dict[str, str] = {}
        propagate.inject(own, self._around)
        # Baggage is the client's, and stays.
        replaced = {name.lower() for name in propagate.get_global_textmap().fields - {"baggage"}} | {
            name.lower() for name in own
        }
        kept = [(name, value) for name, value in headers if name.lower() not in replaced]
        return (*kept, *((name.lower(), value) for name, value in own.items()))

    def belongs_to(self, headers: Headers) -> None:
        """Link the span to the one that *headers* name, once; a handshake's is the one that others link to."""
        if self._linked is not None:
            return
        self._linked = _named(headers)
        if self._linked.is_valid:
            self._span.add_link(self._linked)

    def end(self, observation: Observation) -> None:
        """End the span, and make the one that it is under the current one again."""
        context.detach(self._token)
        span = self._span
        if span.is_recording():
            if observation.route is not None:
                span.update_name(f"{observation.event} {observation.route}")
            span.set_attributes(outcome(observation))
            failure = _failure(observation)
            if failure is not None:
                # The class only: an exception's text may hold what a client sent.
                span.set_attribute("error.type", failure)
                span.set_status(Status(StatusCode.ERROR))
        span.end()


def _named(headers: Headers) -> SpanContext:
    """Return the place in a trace that *headers* name; an invalid one if they name none."""
    return trace.get_current_span(propagate.extract(headers, Context(), _GETTER)).get_span_context()


def known(observation: Observation) -> dict[str, AttributeValue]:
    """Return the attributes that an event has from its beginning; a sampler sees them."""
    attributes: dict[str, AttributeValue | None] = {
        "gatesocket.connection_id": observation.connection_id,
        "faas.invocation_id": observation.request_id or None,
    }
    if observation.event == "connect":
        attributes |= {"http.request.method": "GET", "network.protocol.name": "websocket"}
    else:
        attributes |= {
            "messaging.system": SYSTEMS.get(observation.event),
            "messaging.operation.type": "process",
            "messaging.operation.name": observation.event,
            "messaging.message.id": observation.message_id,
        }
    return _without_none(attributes)


def outcome(observation: Observation) -> dict[str, AttributeValue]:
    """Return the attributes that an event has in the end."""
    attributes: dict[str, AttributeValue | None] = {
        "http.route": observation.route,
        "http.response.status_code": observation.status,
        "gatesocket.woken_at": observation.woken_at,
        "gatesocket.waits_at": observation.waits_at,
        "gatesocket.wake_time": None if observation.waking is None else observation.waking / 1000,
        "gatesocket.run_time": None if observation.running is None else observation.running / 1000,
    }
    attributes |= {f"gatesocket.{name}": getattr(observation, name) or None for name in COUNTS}
    return _without_none(attributes)


def _failure(observation: Observation) -> str | None:
    """Return what went wrong, for ``error.type``; None if nothing did."""
    if observation.error is not None or observation.route_error is not None:
        return observation.error or observation.route_error
    if observation.status is not None and observation.status >= SERVER_ERROR:
        return str(observation.status)
    return None


def _without_none(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}


class _HeadersGetter(Getter[Headers]):
    """Reads headers, whose names have no case (RFC 9110, section 5.1)."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        """Return the values of a header; None if there is none."""
        return [value for name, value in carrier if name.lower() == key.lower()] or None

    def keys(self, carrier: Headers) -> list[str]:
        """Return the headers' names."""
        return [name for name, _ in carrier]


_GETTER: Final = _HeadersGetter()
