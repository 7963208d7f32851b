"""Spans of OpenTelemetry: how they hang together, beside FastAPI's own, and when they get out."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from gatesocket import ConnectionManager, scope
from gatesocket.backend import Backend, use
from gatesocket.exceptions import UnexpectedEvent
from gatesocket.gateway.fake import FakeGateway
from gatesocket.jobs import JobsHandler
from gatesocket.observe import Observation, ObservedFunction
from gatesocket.observe.tracing import Tracing
from gatesocket.registry.memory import MemoryRegistry
from support.cloud import Cloud, end_all
from support.lambda_events import CONNECTION, connect, disconnect, forwarded, message

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
"""The client's, as in https://www.w3.org/TR/trace-context/#examples-of-http-traceparent-headers."""


@pytest.fixture(autouse=True)
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


class Spans:
    """A tracer provider, and what it has exported."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def __iter__(self) -> Iterator[ReadableSpan]:
        return iter(self.exporter.get_finished_spans())

    def __getitem__(self, name: str) -> ReadableSpan:
        [found] = [span for span in self if span.name == name]
        return found

    @property
    def names(self) -> list[str]:
        return [span.name for span in self]


@pytest.fixture
def spans() -> Spans:
    return Spans()


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "fail":
            raise RuntimeError("s3cret")
        if text == "traceparent":
            await websocket.send_text(websocket.headers.get("traceparent", "none"))
        else:
            await websocket.send_text(text)


def app() -> Starlette:
    return Starlette(routes=[WebSocketRoute("/ws/{room}", echo)])


def identity(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


class TestAConnection:
    async def test_each_event_is_a_trace_of_its_own_with_a_link_to_the_handshake(self, spans: Spans) -> None:
        cloud = Cloud(app(), tracing=Tracing(spans.provider))
        await cloud(connect("/ws/lobby"))
        await cloud(message("hello"))
        await cloud(message("again"))
        await cloud(disconnect())

        handshake, *frames = spans
        assert spans.names == ["connect /ws/{room}", *["message /ws/{room}"] * 2, "disconnect /ws/{room}"]
        assert (handshake.parent, links(handshake)) == (None, [])
        assert [(frame.parent, links(frame)) for frame in frames] == [(None, [identity(handshake)])] * 3
        assert len({identity(span)[0] for span in spans}) == 4

    async def test_the_clients_trace_goes_on_with_the_handshake_only(self, spans: Spans) -> None:
        cloud = Cloud(app(), tracing=Tracing(spans.provider))
        await cloud(connect("/ws/lobby", headers={"Traceparent": TRACEPARENT}))
        await cloud(message("hello"))

        handshake, frame = spans
        assert handshake.parent is not None
        assert (handshake.parent.trace_id, handshake.parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
        assert identity(handshake)[0] == int(TRACE, 16)
        assert (frame.parent, links(frame)) == (None, [identity(handshake)])

    async def test_a_client_that_is_not_to_decide_what_is_sampled_is_only_linked_to(self, spans: Spans) -> None:
        await Cloud(app(), tracing=Tracing(spans.provider, continues=False))(
            connect("/ws/lobby", headers={"traceparent": TRACEPARENT})
        )

        [handshake] = spans
        assert (handshake.parent, links(handshake)) == (None, [(int(TRACE, 16), int(SPAN, 16))])

    async def test_under_lambdas_own_span_events_are_in_its_trace(self, spans: Spans) -> None:
        """As its instrumentation makes one around the handler."""
        cloud = Cloud(app(), tracing=Tracing(spans.provider))
        with spans.provider.get_tracer("lambda").start_as_current_span("invocation") as invocation:
            await cloud(connect("/ws/lobby", headers={"traceparent": TRACEPARENT}))
            assert trace.get_current_span() is invocation
            await cloud(message("hello"))

        handshake, frame, _ = spans
        assert handshake.parent == frame.parent == invocation.get_span_context()
        assert links(handshake) == [(int(TRACE, 16), int(SPAN, 16))]
        assert links(frame) == [identity(handshake)]

    async def test_the_record_keeps_the_handshakes_place_and_nothing_if_nobody_traces(self, spans: Spans) -> None:
        kept = []
        for tracing in (Tracing(spans.provider), None):
            cloud = Cloud(app(), tracing=tracing)
            await cloud(connect("/ws/lobby", headers={"x-other": "1"}))
            record = await cloud.record()
            assert record is not None
            kept.append(dict(scope.load(record.scope)["headers"]))

        trace_id, span_id = identity(spans["connect /ws/{room}"])
        [traceparent] = [value for name, value in kept[0].items() if name == b"traceparent"]
        assert traceparent.decode().split("-")[1:3] == [f"{trace_id:032x}", f"{span_id:016x}"]
        assert kept[1] == {b"x-other": b"1"}

    async def test_while_a_route_runs_its_headers_have_the_place_of_the_event(self, spans: Spans) -> None:
        cloud = Cloud(app(), tracing=Tracing(spans.provider))
        await cloud(connect("/ws/lobby", headers={"traceparent": TRACEPARENT, "tracestate": "vendor=1"}))
        await cloud(message("traceparent"))

        trace_id, span_id = identity(spans["message /ws/{room}"])
        assert cloud.sent[0].split("-")[1:3] == [f"{trace_id:032x}", f"{span_id:016x}"]

    async def test_a_route_makes_its_spans_under_the_events(self, spans: Spans) -> None:
        """Also those of a block that it waits in, which ends with each event and begins again with the next."""
        tracer = spans.provider.get_tracer("app")

        async def working(websocket: WebSocket) -> None:
            await websocket.accept()
            with tracer.start_as_current_span("conversation"):
                async for text in websocket.iter_text():
                    with tracer.start_as_current_span(text):
                        pass

        cloud = Cloud(Starlette(routes=[WebSocketRoute("/", working)]), tracing=Tracing(spans.provider))
        await cloud(connect("/"))
        await cloud(message("work"))
        await cloud(disconnect())

        assert spans.names == [
            "conversation",
            "connect /",
            "work",
            "conversation",
            "message /",
            "conversation",
            "disconnect /",
        ]
        by_id = {identity(span)[1]: span.name for span in spans}
        parents = [(span.name, by_id[span.parent.span_id]) for span in spans if span.parent is not None]
        assert parents == [
            ("conversation", "connect /"),
            ("work", "conversation"),
            ("conversation", "message /"),
            ("conversation", "disconnect /"),
        ]

    async def test_a_clients_baggage_reaches_the_route(self, spans: Spans) -> None:
        seen: list[object] = []

        async def looking(websocket: WebSocket) -> None:
            seen.append((baggage.get_baggage("tenant"), websocket.headers["baggage"]))
            await websocket.accept()
            await websocket.receive_text()
            seen.append(websocket.headers["baggage"])

        cloud = Cloud(Starlette(routes=[WebSocketRoute("/", looking)]), tracing=Tracing(spans.provider))
        await cloud(connect("/", headers={"Baggage": "tenant=acme"}))
        await cloud(message("hello"))
        assert seen == [("acme", "tenant=acme"), "tenant=acme"]

    async def test_the_processs_propagator_says_which_header_it_is(
        self, spans: Spans, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(propagate, "get_global_textmap", Amazons)
        monkeypatch.setattr(propagate, "extract", Amazons().extract)
        monkeypatch.setattr(propagate, "inject", Amazons().inject)
        seen: list[tuple[str, str]] = []

        async def looking(websocket: WebSocket) -> None:
            seen.extend(websocket.headers.items())
            await websocket.accept()

        silence = Starlette(routes=[WebSocketRoute("/", looking)])
        headers = {"X-Amzn-Trace-Id": f"{TRACE}/{SPAN}", "Traceparent": TRACEPARENT}
        await Cloud(silence, tracing=Tracing(spans.provider))(connect("/", headers=headers))

        [span] = spans
        assert span.parent is not None
        assert span.parent.span_id == int(SPAN, 16)
        assert seen == [("traceparent", TRACEPARENT), ("x-amzn-trace-id", f"{TRACE}/{identity(span)[1]:016x}")]


class Amazons(TextMapPropagator):
    """Names places in traces by a header of another kind, as X-Ray's does."""

    @property
    def fields(self) -> set[str]:
        return {"X-Amzn-Trace-Id"}

    def extract(self, carrier: Any, context: Context | None = None, getter: Getter[Any] = default_getter) -> Context:
        assert "X-Amzn-Trace-Id" in getter.keys(carrier)
        [value] = getter.get(carrier, "x-amzn-trace-id") or [""]
        trace_id, span_id = value.split("/")
        named = trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, trace.TraceFlags(1))
        return trace.set_span_in_context(trace.NonRecordingSpan(named), context)

    def inject(self, carrier: Any, context: Context | None = None, setter: Setter[Any] = default_setter) -> None:
        named = trace.get_current_span(context).get_span_context()
        setter.set(carrier, "X-Amzn-Trace-Id", f"{named.trace_id:032x}/{named.span_id:016x}")


class TestASpan:
    async def test_a_handshakes_is_a_servers(self, spans: Spans) -> None:
        told: list[Observation] = []
        await Cloud(app(), tracing=Tracing(spans.provider), observer=told.append)(connect("/ws/lobby"))
        [span] = spans
        found = attributes(span)
        assert span.kind is SpanKind.SERVER
        assert found.pop("gatesocket.wake_time") > 0
        assert found.pop("gatesocket.run_time") > 0
        assert found == {
            "gatesocket.connection_id": CONNECTION,
            "gatesocket.waits_at": told[0].waits_at,
            "faas.invocation_id": told[0].request_id,
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "http.route": "/ws/{room}",
            "network.protocol.name": "websocket",
        }
        assert told[0].trace_id == f"{identity(span)[0]:032x}"

    async def test_a_messages_is_a_consumers(self, spans: Spans) -> None:
        told: list[Observation] = []
        cloud = Cloud(app(), tracing=Tracing(spans.provider), observer=told.append)
        await cloud(connect("/ws/lobby"))
        await cloud(message("hello", message_id="m1"))
        span = spans["message /ws/{room}"]
        found = attributes(span)
        assert span.kind is SpanKind.CONSUMER
        assert {name: found[name] for name in found if name.partition(".")[0] == "messaging"} == {
            "messaging.system": "aws_api_gateway",
            "messaging.operation.type": "process",
            "messaging.operation.name": "message",
            "messaging.message.id": "m1",
        }
        assert (found["gatesocket.woken_at"], found["gatesocket.waits_at"]) == (told[1].woken_at, told[1].waits_at)
        counts = {name: value for name, value in found.items() if isinstance(value, int)}
        assert counts == {"gatesocket.wakes": 1, "gatesocket.messages": 1, "gatesocket.posts": 1}

    async def test_one_of_a_batch_is_under_the_batch_and_linked_to_its_handshake(self, spans: Spans) -> None:
        cloud = Cloud(app(), tracing=Tracing(spans.provider))
        await cloud(connect("/ws/lobby"))
        await cloud({"Records": [forwarded("hello")]})
        item, batch = spans["message /ws/{room}"], spans["batch"]
        assert item.parent == batch.context
        assert links(item) == [identity(spans["connect /ws/{room}"])]
        assert "messaging.system" not in attributes(batch)  # a queue's, or a stream's

    async def test_a_routes_error_is_the_spans_by_its_class_only(self, spans: Spans) -> None:
        cloud = Cloud(app(), tracing=Tracing(spans.provider))
        await cloud(connect("/ws/lobby"))
        await cloud(message("fail"))
        span = spans["message /ws/{room}"]
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
        assert (attributes(span)["error.type"], span.events) == ("RuntimeError", ())
        assert attributes(span)["gatesocket.route_errors"] == 1

    @pytest.mark.parametrize(("path", "status", "error"), [("/nowhere", 403, None), ("/silent", 500, "500")])
    async def test_a_refused_handshake_is_an_error_only_if_the_server_is_to_blame(
        self, spans: Spans, path: str, status: int, error: str | None
    ) -> None:
        async def silent(websocket: WebSocket) -> None:
            """Ends without an answer."""

        await Cloud(Starlette(routes=[WebSocketRoute("/silent", silent)]), tracing=Tracing(spans.provider))(
            connect(path)
        )
        [span] = spans
        assert attributes(span)["http.response.status_code"] == status
        assert attributes(span).get("error.type") == error
        assert (span.status.status_code is StatusCode.ERROR) is (error is not None)

    async def test_an_event_that_fails_is_an_error_and_leaves_no_current_span(self, spans: Spans) -> None:
        cloud = Cloud(app(), tracing=Tracing(spans.provider))

        async def lost(*_: Any, **__: Any) -> None:
            raise OSError("s3cret")

        cloud.registry.take = lost  # type: ignore[method-assign]
        with pytest.raises(OSError, match="s3cret"):
            await cloud(message("hello"))
        assert attributes(spans["message"])["error.type"] == "OSError"
        assert not trace.get_current_span().get_span_context().is_valid

    async def test_what_is_not_sampled_costs_no_attributes_and_is_told_its_trace(self) -> None:
        spans, told = Spans(sampler=ALWAYS_OFF), list[Observation]()
        await Cloud(app(), tracing=Tracing(spans.provider), observer=told.append)(connect("/ws/lobby"))
        assert spans.names == []
        assert told[0].trace_id is not None

    async def test_without_a_provider_there_is_nothing(self) -> None:
        told: list[Observation] = []
        cloud = Cloud(app(), tracing=Tracing(), observer=told.append)
        await cloud(connect("/ws/lobby", headers={"x-other": "1"}))
        await cloud(message("traceparent"))
        assert cloud.sent == ["none"]
        assert [each.trace_id for each in told] == [None, None]


class TestBesideFastAPIsOwn:
    """FastAPI makes a span for each run of an app that has a provider, by the headers of the scope."""

    @staticmethod
    def chat(spans: Spans) -> FastAPI:
        fastapi = FastAPI(telemetry={"tracer_provider": spans.provider})

        @fastapi.websocket("/ws/{room}")
        async def chat(websocket: WebSocket, room: str) -> None:
            await websocket.accept()
            async for text in websocket.iter_text():
                await websocket.send_text(text)

        return fastapi

    async def test_its_spans_are_under_ours_one_for_each_event(self, spans: Spans) -> None:
        cloud = Cloud(self.chat(spans), tracing=Tracing(spans.provider))
        await cloud(connect("/ws/lobby", headers={"traceparent": TRACEPARENT}))
        await cloud(message("hello"))
        await cloud(disconnect())
        assert cloud.sent == ["hello"]

        known = {identity(span): span for span in spans}
        assert len(known) == len(spans.names)
        ours = [span for span in spans if not span.name.startswith(("WS", "fastapi."))]
        theirs = [span for span in spans if span.name == "WS /ws/{room}"]
        assert len(ours) == len(theirs) == 3
        assert [span.parent and (span.parent.trace_id, span.parent.span_id) for span in theirs] == list(
            map(identity, ours)
        )
        for span in spans:
            # Nobody's parent is missing but the client's.
            if span.parent is not None and span.parent.span_id != int(SPAN, 16):
                assert (span.parent.trace_id, span.parent.span_id) in known
            assert span.status.status_code is StatusCode.UNSET

    async def test_without_ours_its_spans_are_all_in_the_clients_trace(self, spans: Spans) -> None:
        """Which is why the docs say so."""
        cloud = Cloud(self.chat(spans))
        await cloud(connect("/ws/lobby", headers={"traceparent": TRACEPARENT}))
        await cloud(message("hello"))
        theirs = [span for span in spans if span.name == "WS /ws/{room}"]
        assert [identity(span)[0] for span in theirs] == [int(TRACE, 16)] * 2

    async def test_switched_off_it_leaves_ours(self, spans: Spans) -> None:
        fastapi = FastAPI(telemetry={"tracer_provider": spans.provider, "tracing": False})
        fastapi.router.routes.append(WebSocketRoute("/ws/{room}", echo))
        await Cloud(fastapi, tracing=Tracing(spans.provider))(connect("/ws/lobby"))
        assert spans.names == ["connect /ws/{room}"]


class Exporter(SpanExporter):
    """Exports when a test lets it."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.exported: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.may.wait(10)
        self.exported += [span.name for span in spans]
        return SpanExportResult.SUCCESS


class Collected(TracerProvider):
    """Collects spans, and exports them when it is told to, as a batch processor does."""

    def __init__(self, *, fails: Exception | None = None, gives_up: bool = False) -> None:
        super().__init__(shutdown_on_exit=False)
        self.exporter = Exporter()
        self.memory = InMemorySpanExporter()
        self.add_span_processor(SimpleSpanProcessor(self.memory))
        self.asked = 0
        self._fails = fails
        self._gives_up = gives_up

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.asked += 1
        if self._fails:
            raise self._fails
        self.exporter.export(self.memory.get_finished_spans())
        self.memory.clear()
        return not self._gives_up


@contextmanager
def exporting(provider: Collected) -> Iterator[Exporter]:
    """Let it export in the end, whatever becomes of the test."""
    try:
        yield provider.exporter
    finally:
        provider.exporter.may.set()


class TestFlushing:
    async def test_spans_are_exported_before_an_event_is_answered(self) -> None:
        provider = Collected()
        provider.exporter.may.set()
        cloud = Cloud(app(), tracing=Tracing(provider))
        await cloud(connect("/ws/lobby"))
        assert provider.exporter.exported == ["connect /ws/{room}"]
        await cloud({"Records": [forwarded("one"), forwarded("two", message_id="m2")]})
        assert provider.exporter.exported[1:] == [*["message /ws/{room}"] * 2, "batch"]
        assert provider.asked == 2

    async def test_an_event_that_fails_is_exported_too(self) -> None:
        provider = Collected()
        provider.exporter.may.set()
        with pytest.raises(UnexpectedEvent):
            await JobsHandler(tracing=Tracing(provider)).invoke({}, None)
        assert provider.exporter.exported == ["jobs"]

    async def test_nobody_waits_for_an_exporter_longer_than_allowed(self, caplog: pytest.LogCaptureFixture) -> None:
        provider = Collected()
        tracing = Tracing(provider, flush=0.01)
        with exporting(provider) as exporter:
            await tracing.flush()
            await tracing.flush()  # while the first is still at it
            assert provider.asked == 1
            exporter.may.set()
        await asyncio.to_thread(tracing._exporting.result)  # type: ignore[union-attr]
        told = [record.getMessage() for record in caplog.records]
        assert told == ["spans weren't exported: it takes longer than 0.01 s"] * 2
        await tracing.flush()
        assert provider.asked == 2

    @pytest.mark.parametrize(
        ("options", "why"),
        [({"fails": OSError("s3cret")}, "OSError"), ({"gives_up": True}, "the span processor gave up")],
    )
    async def test_an_exporter_that_fails_fails_no_event(
        self, caplog: pytest.LogCaptureFixture, options: dict[str, Any], why: str
    ) -> None:
        provider = Collected(**options)
        provider.exporter.may.set()
        assert (await Cloud(app(), tracing=Tracing(provider))(connect("/ws/lobby")))["statusCode"] == 200
        assert [record.getMessage() for record in caplog.records] == [f"spans weren't exported: {why}"]

    @pytest.mark.parametrize(
        "tracing", [lambda: Tracing(Collected(), flush=None), Tracing], ids=["told not to", "without a provider"]
    )
    async def test_there_may_be_nothing_to_wait_for(self, tracing: Callable[[], Tracing]) -> None:
        made = tracing()
        await made.flush()
        made.flush_here()
        assert made._exporting is None

    async def test_another_function_is_flushed_after_each_event(self) -> None:
        provider = Collected()
        provider.exporter.may.set()
        tracer = provider.get_tracer("app")

        def served(event: object, _: object) -> object:
            with tracer.start_as_current_span("GET /"):
                return event

        with use(Backend(MemoryRegistry(), FakeGateway())):
            observed = ObservedFunction(served, tracing=Tracing(provider))
            assert await asyncio.to_thread(observed, 7, None) == 7
        assert provider.exporter.exported == ["GET /"]


class TestSilence:
    @pytest.mark.parametrize(
        ("observer", "absent"),
        [
            ("None", "('opentelemetry', 'gatesocket.observe', 'gatesocket.whereabouts')"),
            ("print", "('opentelemetry',)"),
        ],
        ids=["nobody observes", "somebody does"],
    )
    async def test_what_is_not_asked_for_is_not_imported(self, observer: str, absent: str) -> None:
        """By Starlette's own app, here: FastAPI imports OpenTelemetry's API by itself."""
        script = (
            "import sys\n"
            "from starlette.applications import Starlette\n"
            "from gatesocket import ConnectionManager, WebSocketHandler\n"
            "from gatesocket.fanout import FanoutHandler\n"
            "from gatesocket.jobs import JobsHandler\n"
            f"WebSocketHandler(Starlette(), observer={observer})\n"
            f"JobsHandler(observer={observer})({{'Records': []}}, None)\n"
            f"sys.exit(sorted(name for name in sys.modules if name.startswith({absent})) or 0)"
        )
        run = [sys.executable, "-Ic", script]
        done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    async def test_nothing_of_it_runs_for_an_app_that_does_not_trace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor of whatever else observes."""
        from gatesocket import observation

        def never(*_: Any, **__: Any) -> Any:
            raise AssertionError("something is observed")

        monkeypatch.setattr(observation, "Observation", never)
        monkeypatch.setattr(observation.Observers, "watching", never)
        monkeypatch.setattr(observation.Ongoing, "__init__", never)
        monkeypatch.setattr(context, "attach", never)
        cloud = Cloud(app())
        await cloud(connect("/ws/lobby"))
        await cloud(message("hello"))
        with use(cloud.backend):
            await ConnectionManager().send_to(CONNECTION, "more")
        await cloud(disconnect())
        assert cloud.sent == ["hello", "more"]
