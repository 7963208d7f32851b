"""The sample events of local/events: of the shape that AWS sends, and with the effect that their page promises."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayProxyEventV2Model,
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
    SqsModel,
)
from mangum import Mangum
from pydantic import BaseModel

from chat.app import app
from gatesocket import WebSocketHandler
from gatesocket.backend import Backend, use
from gatesocket.gateway.fake import FakeGateway
from gatesocket.queues import MemoryQueue
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.waker import MemoryWaker

CONTEXT: Any = None  # neither entry point needs Lambda's context
EVENTS = Path(__file__).parents[2] / "local" / "events"

MODELS: dict[str, type[BaseModel]] = {
    "announce.json": APIGatewayProxyEventV2Model,
    "connect-wrong-token.json": APIGatewayWebSocketConnectEventModel,
    "connect.json": APIGatewayWebSocketConnectEventModel,
    "disconnect.json": APIGatewayWebSocketDisconnectEventModel,
    "fanout.json": SqsModel,
    "job.json": SqsModel,
    "message.json": APIGatewayWebSocketMessageEventModel,
    "wake.json": SqsModel,
}


def sample(name: str) -> Any:
    return json.loads((EVENTS / name).read_text())


@pytest.fixture
def http() -> Iterator[Mangum]:
    """The HTTP entry point, in a thread that has an event loop of its own: Mangum makes one and never closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    from chat.entry import http

    yield http
    asyncio.set_event_loop(None)
    loop.close()


def test_every_sample_is_listed_with_its_model_and_in_the_table_of_the_page() -> None:
    names = {path.name for path in EVENTS.glob("*.json")}
    page = (EVENTS / "README.md").read_text()
    assert names == set(MODELS) == {name for name in MODELS if f"| `{name}` |" in page}


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_has_the_shape_that_aws_sends(name: str) -> None:
    MODELS[name].model_validate(sample(name))


def test_an_announcement_by_the_http_entry_point_is_answered_with_its_counts(http: Mangum) -> None:
    answer = http(sample("announce.json"), CONTEXT)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"sent": 0, "gone": 0, "queued": 0, "failed": 0}


@pytest.mark.parametrize("path", ["/", "/static/chat.js", "/client/connection.js", "/static/chat.css"])
def test_the_page_passes_through_the_http_entry_point_as_text(http: Mangum, path: str) -> None:
    event = sample("announce.json")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = "GET"
    answer = http(event, CONTEXT)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)


async def test_the_websocket_samples_are_the_life_of_one_connection() -> None:
    registry, gateway = MemoryRegistry(), FakeGateway()
    woken: list[Any] = []

    async def on_wake(event: Any, _delay: float) -> None:
        woken.append(event)

    handler = WebSocketHandler(app, registry=registry, gateway=gateway, waker=MemoryWaker(on_wake))
    connection = sample("connect.json")["requestContext"]["connectionId"]
    gateway.connecting(connection)

    assert await handler.invoke(sample("connect.json"), CONTEXT) == {"statusCode": 200}
    assert gateway.sent[connection] == []
    gateway.open(connection)

    [wake] = woken
    sampled = sample("wake.json")
    assert [record["body"] for record in sampled["Records"]] == [
        json.dumps(json.loads(record["body"])) for record in wake["Records"]
    ]
    assert await handler.invoke(sampled, CONTEXT) == {"batchItemFailures": []}
    assert [json.loads(text)["type"] for text in gateway.sent[connection]] == ["welcome"]

    await handler.invoke(sample("message.json"), CONTEXT)
    said = json.loads(gateway.sent[connection][-1])
    assert said.pop("cursor")
    assert said == {"type": "said", "data": {"name": "Ann", "text": "Hello", "number": 1}}

    gateway.gone(connection)
    await handler.invoke(sample("disconnect.json"), CONTEXT)
    assert await registry.get(connection, now=0) is None


async def test_a_job_by_the_jobs_entry_point_sends_its_progress_and_its_result() -> None:
    from chat.entry import jobs

    connection = sample("connect.json")["requestContext"]["connectionId"]
    gateway = FakeGateway()
    gateway.open(connection)

    with use(Backend(MemoryRegistry(), gateway)):
        assert await jobs.invoke(sample("job.json"), CONTEXT) == {"batchItemFailures": []}

    answers = [json.loads(text) for text in gateway.sent[connection]]
    assert [answer["type"] for answer in answers] == ["progress"] * 4 + ["done"]
    assert answers[-1] == {"type": "done", "id": "w1", "data": {"below": 1000, "primes": 168}}


async def test_a_batch_by_the_fan_out_entry_point_is_posted_to() -> None:
    from chat.fanout import handler

    connection = sample("connect.json")["requestContext"]["connectionId"]
    gateway = FakeGateway()
    gateway.open(connection)

    async def never(body: str) -> None:
        raise AssertionError(f"nothing has failed, but {body} is put back")

    with use(Backend(MemoryRegistry(), gateway, fanout=MemoryQueue(never))):
        assert await handler.invoke(sample("fanout.json"), CONTEXT) == {"batchItemFailures": []}

    assert [json.loads(text)["type"] for text in gateway.sent[connection]] == ["announced"]


async def test_a_wrong_token_is_answered_with_403() -> None:
    handler = WebSocketHandler(app, registry=MemoryRegistry(), gateway=FakeGateway())
    answer = await handler.invoke(sample("connect-wrong-token.json"), CONTEXT)
    assert answer["statusCode"] == 403
