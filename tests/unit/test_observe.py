"""What an observer is told of each event, and what must not be told."""

import asyncio
import inspect
import io
import itertools
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import Metrics
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager, GatewayError
from gatesocket.backend import Backend, current, use
from gatesocket.batches import Batch
from gatesocket.exceptions import ConfigurationError, ConnectionGone
from gatesocket.fanout import FanoutHandler
from gatesocket.gateway.fake import FakeGateway
from gatesocket.jobs import JobsHandler
from gatesocket.observation import Observers, count, ongoing, request_id, route_failed
from gatesocket.observe import ConnectionFields, EmbeddedMetrics, Observation, ObservedFunction, ObservedGateway
from gatesocket.queue_handler import QueueHandler
from gatesocket.queues import MemoryQueue
from gatesocket.registry.base import Record
from gatesocket.registry.memory import MemoryRegistry
from support.cloud import NOW, Cloud, Context, end_all
from support.lambda_events import CONNECTION, connect, disconnect, forwarded, message, removal


@pytest.fixture(autouse=True)
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


def echo() -> FastAPI:
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/ws")
    async def route(websocket: WebSocket, token: str = "") -> None:
        if token == "wrong":
            await websocket.close()
            return
        await manager.connect(websocket)
        try:
            while True:
                text = await websocket.receive_text()
                if text == "fail":
                    raise RuntimeError("the route's own")
                await websocket.send_text(text)
                await manager.broadcast(text)
        except WebSocketDisconnect:
            await manager.disconnect(websocket)

    return app


async def test_each_event_of_a_connection_is_told_with_what_became_of_it() -> None:
    told: list[Observation] = []
    cloud = Cloud(echo(), observer=told.append)
    await cloud(connect("/ws"))
    await cloud(message("hello"))
    await cloud(disconnect())
    assert [(each.event, each.connection_id, each.status, each.posts) for each in told] == [
        ("connect", CONNECTION, 200, 0),
        ("message", CONNECTION, None, 2),  # an echo, and a broadcast
        ("disconnect", CONNECTION, None, 0),
    ]
    assert all(each.milliseconds > 0 and each.request_id.startswith("request-") for each in told)


async def test_an_observation_says_where_the_route_waited_and_where_it_waits() -> None:
    told: list[Observation] = []
    cloud = Cloud(echo(), observer=told.append)
    for event in (connect("/ws"), message("hello"), disconnect()):
        await cloud(event)
    here = inspect.getsourcelines(echo)[1] + 12
    waits = f"{__name__}:echo.<locals>.route:{here}"
    assert [(each.route, each.woken_at, each.waits_at) for each in told] == [
        ("/ws", None, waits),
        ("/ws", waits, waits),
        ("/ws", waits, None),
    ]
    assert [(each.wakes, each.messages, each.ended) for each in told] == [(0, 0, 0), (1, 1, 0), (1, 0, 1)]
    assert [each.broadcasts for each in told] == [0, 1, 0]


async def test_waking_and_running_are_timed_apart() -> None:
    told: list[Observation] = []
    cloud = Cloud(echo(), observer=told.append)
    await cloud(connect("/ws"))
    await cloud(message("hello"))
    for each in told:
        assert each.waking is not None
        assert each.running is not None
        assert 0 < each.waking + each.running <= each.milliseconds


async def test_all_that_others_left_to_an_event_is_counted_and_only_the_first_ends_the_waking() -> None:
    observation = Observation("message", "c", "r")
    left: Iterator[dict[str, Any] | None] = iter([{"type": "websocket.receive"}, {"type": "websocket.receive"}, None])
    times = itertools.count(10.0, 0.25)
    with Observers(timer=lambda: next(times)).watching(observation) as now:
        receive = now.run_begins({}, lambda: next(left), route="/ws", snapshot=None)
        while receive() is not None:
            pass
        now.run_ends(None)
    assert (observation.messages, observation.waking, observation.running) == (2, 500, 250)


async def test_a_route_that_a_timer_wakes_receives_nothing_first() -> None:
    told: list[Observation] = []
    app = FastAPI()

    @app.websocket("/")
    async def ticker(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(60)
        await websocket.close()

    cloud = Cloud(app, observer=told.append)
    await cloud(connect("/"))
    cloud.now += 60_000
    await cloud.wake()
    item, batch = told[1:]
    assert (item.event, item.connection_id, item.waking, item.ended) == ("wake", CONNECTION, None, 1)
    assert item.running is not None
    assert (batch.event, batch.connection_id, batch.running, batch.ended) == ("batch", None, None, 0)
    assert item.request_id == batch.request_id


async def test_each_message_of_a_queue_is_told_by_itself_and_what_failed_with_the_batch() -> None:
    told: list[Observation] = []
    cloud = Cloud(echo(), observer=told.append)
    await cloud(connect("/ws"))
    await cloud({"Records": [forwarded("hello"), {"messageId": "m", "eventSource": "aws:sqs", "body": "?"}]})
    item, batch = told[1:]
    assert (item.event, item.message_id, item.messages) == ("message", "m1", 1)
    assert (batch.event, batch.message_id, batch.messages) == ("batch", None, 0)
    assert batch.failures == 1


async def test_a_connection_that_expired_is_told_by_its_id() -> None:
    told: list[Observation] = []
    cloud = Cloud(echo(), observer=told.append)
    await cloud(connect("/ws"))
    record = await cloud.record()
    assert record is not None
    cloud.now = record.expires_at * 1000
    await cloud.registry.delete(CONNECTION)  # as DynamoDB does
    await cloud({"Records": [removal(record)]})
    assert (told[1].event, told[1].connection_id, told[1].ended) == ("expiry", CONNECTION, 1)


async def test_a_route_that_is_not_there_any_more_has_no_path() -> None:
    told: list[Observation] = []
    await Cloud(echo(), observer=told.append)(connect("/elsewhere"))
    assert (told[0].route, told[0].status, told[0].waits_at) == (None, 403, None)


async def test_a_refused_handshake_is_told_with_its_status() -> None:
    told: list[Observation] = []
    await Cloud(echo(), observer=told.append)(connect("/ws", query={"token": "wrong"}))
    assert (told[0].status, told[0].route_errors) == (403, 0)


async def test_a_routes_error_is_counted_and_the_event_is_answered_all_the_same() -> None:
    told: list[Observation] = []
    cloud = Cloud(echo(), observer=told.append)
    await cloud(connect("/ws"))
    await cloud(message("fail"))
    assert (told[-1].route_errors, told[-1].route_error, told[-1].error) == (1, "RuntimeError", None)
    assert [str(error) for error in cloud.errors] == ["the route's own"]


async def test_a_route_that_cannot_be_woken_is_counted_by_the_class_of_its_error() -> None:
    told: list[Observation] = []
    cloud = Cloud(echo(), observer=told.append)
    await cloud(connect("/ws"))
    record = await cloud.record()
    assert record is not None
    await cloud.registry.delete(CONNECTION)
    await cloud.registry.create(replace(record, snapshot=b"damaged"))
    await cloud(message("hello"))
    assert (told[-1].route_error, told[-1].route_errors, told[-1].ended) == ("SnapshotError", 1, 1)
    assert (told[-1].wakes, told[-1].error) == (0, None)


async def test_an_event_that_fails_is_told_with_the_class_of_its_error() -> None:
    """Not with its text, which may hold anything."""
    told: list[Observation] = []

    class Broken(FakeGateway):
        async def close(self, connection_id: str) -> None:
            raise KeyError("secret")

    cloud = Cloud(echo(), observer=told.append)
    cloud.handler._gateway = Broken()
    with pytest.raises(KeyError):
        await cloud(message("from nobody"))  # whose connection is closed
    assert told[0].error == "KeyError"


async def test_a_batch_is_about_no_single_connection() -> None:
    told: list[Observation] = []
    await Cloud(echo(), observer=told.append).handler.invoke({"Records": []}, None)
    assert (told[0].event, told[0].connection_id, told[0].request_id) == ("batch", None, "")


async def test_without_an_observer_nothing_is_wrapped() -> None:
    app = FastAPI()
    gateways: list[Any] = []

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        from gatesocket import backend

        gateways.append(backend.current().gateway)
        await websocket.close()

    cloud = Cloud(app)
    await cloud(connect("/"))
    assert gateways == [cloud.gateway]


async def test_nobody_who_watches_is_nothing_to_do() -> None:
    assert Observers.of(None, None) is None
    assert ongoing() is None
    count("retries")  # of nothing
    assert request_id(object()) == ""


class Letters(QueueHandler):
    """Sends each letter to a connection; "bad" ones fail."""

    async def _serve(self, body: str, context: object) -> bool:
        await ConnectionManager().send_to("ann=", body)
        return body != "bad"


def letters(*bodies: str) -> dict[str, Any]:
    return {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}


class TestOtherFunctions:
    @pytest.fixture
    def gateway(self) -> FakeGateway:
        gateway = FakeGateway()
        gateway.open("ann=")
        return gateway

    async def test_a_batch_of_a_queue_is_told_with_its_posts_and_with_what_failed(self, gateway: FakeGateway) -> None:
        told: list[Observation] = []
        with use(Backend(MemoryRegistry(), gateway)):
            answer = await Letters("post", "letter", observer=told.append).invoke(letters("good", "bad"), None)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
        assert [(each.event, each.posts, each.failures) for each in told] == [("post", 2, 1)]
        assert gateway.sent["ann="] == ["good", "bad"]

    async def test_without_an_observer_posts_of_a_queue_are_not_wrapped(self, gateway: FakeGateway) -> None:
        gateways: list[Any] = []

        class Looking(QueueHandler):
            async def _serve(self, body: str, context: object) -> bool:
                gateways.append(current().gateway)
                return True

        with use(Backend(MemoryRegistry(), gateway)):
            await Looking("post", "letter").invoke(letters("one"), None)
            await Looking("post", "letter", observer=lambda _: None).invoke(letters("one"), None)
        assert [type(gateway) for gateway in gateways] == [FakeGateway, ObservedGateway]

    @pytest.mark.parametrize("make", [JobsHandler, FanoutHandler])
    async def test_jobs_and_broadcasts_can_be_observed(self, make: Any) -> None:
        told: list[Observation] = []
        await make(observer=told.append).invoke({"Records": []}, Context())
        assert [(each.event, each.failures) for each in told] == [
            ({JobsHandler: "jobs", FanoutHandler: "fan-out"}[make], 0)
        ]

    async def test_what_the_fan_out_function_puts_back_is_counted(self, gateway: FakeGateway) -> None:
        told: list[Observation] = []
        put: list[str] = []

        async def on_put(body: str) -> None:
            put.append(body)

        gateway.open("bob=")
        gateway.refuse("bob=", 429)
        batch = Batch(text="aGk=", group=None, connections=("ann=", "bob=")).body()
        with use(Backend(MemoryRegistry(), gateway, fanout=MemoryQueue(on_put))):
            await FanoutHandler(observer=told.append).invoke(letters(batch), None)
        assert len(put) == 1
        assert (told[0].posts, told[0].failed, told[0].queued) == (1, 1, 1)

    async def test_what_a_broadcast_leaves_to_the_queue_is_counted(self) -> None:
        async def on_put(body: str) -> None: ...

        registry = MemoryRegistry()
        for name in ("ann=", "bob=", "eve="):
            await registry.create(Record(name, b"", 0, NOW, b"waits", live=True))
        gateway = FakeGateway()
        observation = Observation("http", None, "")
        through = Backend(registry, gateway, fanout=MemoryQueue(on_put), fanout_above=0)
        with use(through), Observers().watching(observation):
            await ConnectionManager().broadcast("hello")
        assert (observation.broadcasts, observation.queued) == (1, 3)

    async def test_a_function_of_somebody_elses_is_told_with_what_it_sent(self, gateway: FakeGateway) -> None:
        told: list[Observation] = []

        def announce(event: dict[str, str], context: object) -> str:
            asyncio.run(ConnectionManager().send_to("ann=", event["text"]))
            return "answer"

        observed = ObservedFunction(announce, event="announcement", observer=told.append)
        with use(Backend(MemoryRegistry(), gateway)):
            assert await asyncio.to_thread(observed, {"text": "hello"}, Context()) == "answer"
        assert (told[0].event, told[0].posts, told[0].request_id[:8]) == ("announcement", 1, "request-")
        assert gateway.sent["ann="] == ["hello"]

    async def test_a_function_that_cannot_send_as_things_are_set_up_is_observed_all_the_same(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nothing_to_send_through() -> Backend:
            raise ConfigurationError("no endpoint")

        monkeypatch.setattr("gatesocket.backend.current", nothing_to_send_through)
        told: list[Observation] = []
        assert ObservedFunction(lambda event, _: event, observer=told.append)(7, None) == 7
        assert [each.event for each in told] == ["http"]


class TestPosts:
    async def test_those_that_were_taken_and_those_that_were_not_are_counted_apart(self) -> None:
        inner = FakeGateway()
        inner.open("slow=")
        inner.connecting("gone=")
        gateway = ObservedGateway(inner)
        observation = Observation("message", "c", "r")
        with Observers().watching(observation):
            await gateway.post("slow=", "taken")
            inner.refuse("slow=", 429)
            with pytest.raises(GatewayError):
                await gateway.post("slow=", "refused")
            with pytest.raises(ConnectionGone):
                await gateway.post("gone=", "text")
        assert (observation.posts, observation.gone, observation.failed) == (1, 1, 1)

    async def test_outside_of_an_event_it_is_the_gateway_that_it_wraps(self) -> None:
        inner = FakeGateway()
        inner.open("c=")
        gateway = ObservedGateway(inner)
        await gateway.post("c=", "text")
        route_failed(RuntimeError())  # counted nowhere
        assert await gateway.info("c=") == await inner.info("c=")
        await gateway.close("c=")
        with pytest.raises(ConnectionGone):
            await gateway.post("c=", "text")
        await gateway.aclose()


async def test_an_event_takes_the_time_from_its_begin_to_its_end() -> None:
    told: list[Observation] = []
    times = itertools.count(10.0, 0.25)
    with Observers(told.append, timer=lambda: next(times)).watching(Observation("message", "c", "r")):
        assert told == []
    assert told[0].milliseconds == 250


async def test_logs_of_a_route_name_its_connection_in_the_json_of_powertools() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LambdaPowertoolsFormatter())
    handler.addFilter(ConnectionFields())
    logger = logging.getLogger("chat.of.this.test")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    app = FastAPI()

    @app.websocket("/ws/{room}")
    async def route(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        logger.info("in a route")
        await websocket.receive_text()
        logger.info("woken")

    cloud = Cloud(app, observer=lambda _: None)
    await cloud(connect("/ws/lobby"))
    await cloud(message("hello"))
    logger.info("elsewhere")
    logger.removeHandler(handler)
    inside, woken, outside = map(json.loads, stream.getvalue().splitlines())
    assert (inside["message"], inside["event"], inside["connection_id"]) == ("in a route", "connect", CONNECTION)
    assert inside["request_id"].startswith("request-")
    assert (inside["route"], "hibernation_point" in inside) == ("/ws/{room}", False)
    assert (woken["message"], woken["event"], woken["route"]) == ("woken", "message", "/ws/{room}")
    assert re.fullmatch(r".*:.*route:\d+", woken["hibernation_point"])
    assert outside["message"] == "elsewhere"
    assert "connection_id" not in outside


class TestEmbeddedMetrics:
    def line_of(self, observation: Observation) -> dict[str, Any]:
        stream = io.StringIO()
        EmbeddedMetrics("Chat", stream=stream, clock=lambda: NOW)(observation)
        assert stream.getvalue().endswith("}\n")
        [line] = stream.getvalue().splitlines()
        written: dict[str, Any] = json.loads(line)
        return written

    async def test_a_line_has_the_metrics_that_it_declares(self) -> None:
        line = self.line_of(Observation("connect", "c", "r", status=403, milliseconds=1.23456, posts=2, gone=1))
        directive = line.pop("_aws")
        assert directive["Timestamp"] == NOW
        [metrics] = directive["CloudWatchMetrics"]
        assert (metrics["Namespace"], metrics["Dimensions"]) == ("Chat", [[], ["Event"]])
        assert {metric["Name"] for metric in metrics["Metrics"]} == line.keys() - {"Event", "ConnectionId", "RequestId"}
        assert line == {
            "Event": "connect",
            "ConnectionId": "c",
            "RequestId": "r",
            "Events": 1,
            "Errors": 0,
            "RouteErrors": 0,
            "Failures": 0,
            "Opened": 0,
            "Refused": 1,
            "Ended": 0,
            "Messages": 0,
            "Wakes": 0,
            "Posts": 2,
            "Gone": 1,
            "FailedPosts": 0,
            "Broadcasts": 0,
            "Queued": 0,
            "Retries": 0,
            "Duration": 1.235,
        }

    async def test_a_route_that_ran_is_in_the_line_with_its_times(self) -> None:
        observation = Observation("message", "c", "r", trace_id="t", route="/ws", woken_at="m:f:1", waits_at="m:f:2")
        observation.waking, observation.running = 1.0, 2.0
        line = self.line_of(observation)
        assert (line["WakeTime"], line["RunTime"]) == (1.0, 2.0)
        assert [line[name] for name in ("TraceId", "Route", "WokenAt", "WaitsAt")] == ["t", "/ws", "m:f:1", "m:f:2"]
        [metrics] = line["_aws"]["CloudWatchMetrics"]
        assert {"Name": "WakeTime", "Unit": "Milliseconds"} in metrics["Metrics"]

    async def test_an_opened_connection_is_counted_by_its_status(self) -> None:
        line = self.line_of(Observation("connect", "c", "r", status=200))
        assert (line["Opened"], line["Refused"]) == (1, 0)

    async def test_what_is_unknown_is_left_out(self) -> None:
        line = self.line_of(Observation("batch", None, "", error="KeyError"))
        assert "ConnectionId" not in line
        assert (line["Error"], line["Errors"], line["Refused"]) == ("KeyError", 1, 0)

    async def test_the_form_is_that_of_powertools(self) -> None:
        """Which CloudWatch reads: the same keys with values of the same types."""
        metrics = Metrics(namespace="Chat")
        metrics.add_dimension("Event", "connect")
        metrics.add_metric("Posts", "Count", 2)
        theirs = metrics.serialize_metric_set()
        ours = self.line_of(Observation("connect", "c", "r"))["_aws"]
        assert theirs["_aws"].keys() == ours.keys()
        [one], [other] = theirs["_aws"]["CloudWatchMetrics"], ours["CloudWatchMetrics"]
        assert one.keys() == other.keys()
        assert {key for metric in one["Metrics"] for key in metric} >= {"Name", "Unit"}

    async def test_standard_output_is_where_lambda_takes_lines_from(self, capsys: pytest.CaptureFixture[str]) -> None:
        EmbeddedMetrics("Chat")(Observation("message", "c", "r"))
        assert json.loads(capsys.readouterr().out)["Event"] == "message"

    async def test_nothing_secret_is_in_a_line(self) -> None:
        stream = io.StringIO()
        cloud = Cloud(echo(), observer=EmbeddedMetrics("Chat", stream=stream))
        headers = {"Authorization": "Bearer s3cret-header", "Cookie": "session=s3cret-cookie"}
        await cloud(connect("/ws", query={"token": "s3cret-query"}, headers=headers))
        await cloud(message("s3cret-text"))
        await cloud(message("fail"))
        lines = stream.getvalue()
        assert len(lines.splitlines()) == 3
        assert "s3cret" not in lines
        assert "the route's own" not in lines
