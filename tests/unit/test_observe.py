"""What an observer is told of each event, and what must not be told."""

import io
import itertools
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import Metrics
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager, GatewayError
from gatesocket.exceptions import ConnectionGone
from gatesocket.gateway.fake import FakeGateway
from gatesocket.observe import (
    ConnectionFields,
    EmbeddedMetrics,
    Observation,
    ObservedGateway,
    observing,
    route_failed,
)
from support.cloud import NOW, Cloud, end_all
from support.lambda_events import CONNECTION, connect, disconnect, message


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


async def test_a_refused_handshake_is_told_with_its_status() -> None:
    told: list[Observation] = []
    await Cloud(echo(), observer=told.append)(connect("/ws", query={"token": "wrong"}))
    assert (told[0].status, told[0].route_errors) == (403, 0)


async def test_a_routes_error_is_counted_and_the_event_is_answered_all_the_same() -> None:
    told: list[Observation] = []
    cloud = Cloud(echo(), observer=told.append)
    await cloud(connect("/ws"))
    await cloud(message("fail"))
    assert (told[-1].route_errors, told[-1].error) == (1, None)
    assert [str(error) for error in cloud.errors] == ["the route's own"]


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


class TestPosts:
    async def test_those_that_were_taken_and_those_that_were_not_are_counted_apart(self) -> None:
        inner = FakeGateway()
        inner.open("slow=")
        inner.connecting("gone=")
        gateway = ObservedGateway(inner)
        with observing(lambda _: None, Observation("message", "c", "r")) as observation:
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
        route_failed()  # counted nowhere
        assert await gateway.info("c=") == await inner.info("c=")
        await gateway.close("c=")
        with pytest.raises(ConnectionGone):
            await gateway.post("c=", "text")
        await gateway.aclose()


async def test_an_event_takes_the_time_from_its_begin_to_its_end() -> None:
    told: list[Observation] = []
    times = itertools.count(10.0, 0.25)
    with observing(told.append, Observation("message", "c", "r"), timer=lambda: next(times)):
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

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        logger.info("in a route")
        await websocket.close()

    await Cloud(app, observer=lambda _: None)(connect("/"))
    logger.info("elsewhere")
    logger.removeHandler(handler)
    inside, outside = map(json.loads, stream.getvalue().splitlines())
    assert (inside["message"], inside["event"], inside["connection_id"]) == ("in a route", "connect", CONNECTION)
    assert inside["request_id"].startswith("request-")
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
            "Refused": 1,
            "Posts": 2,
            "Gone": 1,
            "FailedPosts": 0,
            "Duration": 1.235,
        }

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
