"""Large broadcasts through a queue: what the other function does with a batch."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from hypothesis import given
from hypothesis import strategies as st

from gatesocket import ConnectionManager, backend
from gatesocket.backend import Backend, use
from gatesocket.batches import Batch
from gatesocket.exceptions import (
    ConfigurationError,
    ConnectionGone,
    GatesocketError,
    GatewayError,
    InvalidConnectionId,
    QueueError,
    RegistryError,
    UnexpectedEvent,
)
from gatesocket.fanout import HAND_OVER_MILLISECONDS, FanoutHandler, run
from gatesocket.gateway.fake import FakeGateway
from gatesocket.patience import in_context
from gatesocket.presence import Presence
from gatesocket.queues import MemoryQueue, Queue
from gatesocket.registry.base import EVERYONE, Entry, Record
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from gatesocket.testing import GatewayTestClient

FAR = 1 << 40
ANN, BOB, EVE = "AAAAAAAAAAAAAAA=", "BBBBBBBBBBBBBBB=", "EEEEEEEEEEEEEEE="


class Gateway(FakeGateway):
    """Fails as a test says: an error for so many posts to a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: dict[str, tuple[Exception, int]] = {}

    def fail(self, connection_id: str, error: Exception | None = None, *, times: int = 1) -> None:
        self.errors[connection_id] = (
            error or GatewayError("busy", connection_id=connection_id, status=503),
            times,
        )

    async def post(self, connection_id: str, text: str) -> None:
        error, times = self.errors.get(connection_id, (None, 0))
        if error and times:
            self.errors[connection_id] = (error, times - 1)
            raise error
        await super().post(connection_id, text)


class Deployment:
    """A registry, a gateway, and a fan-out queue that a test works off."""

    def __init__(self, *, above: int = 0) -> None:
        self.registry = MemoryRegistry()
        self.gateway = Gateway()
        self.bodies: list[str] = []
        self.backend = Backend(self.registry, self.gateway, fanout=MemoryQueue(self._put), fanout_above=above)
        self.handler = FanoutHandler()

    async def _put(self, body: str) -> None:
        self.bodies.append(body)

    async def connect(self, *connection_ids: str, user: str | None = None) -> None:
        for connection_id in connection_ids:
            groups = frozenset({EVERYONE, "lobby"})
            await self.registry.create(
                Record(connection_id, b"", 0, FAR, b"snapshot", live=True, groups=groups, user=user)
            )
            self.gateway.open(connection_id)

    async def work(self, context: Any = None) -> list[bool]:
        """Let the function have each message that is on the queue now; return which of them are done."""
        bodies, self.bodies = self.bodies, []
        event = {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}
        with use(self.backend):
            answer = await self.handler.invoke(event, context)
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [str(number) not in failed for number in range(len(bodies))]

    @property
    def waiting(self) -> list[tuple[str, ...]]:
        return [Batch.read(body)[0].connections for body in self.bodies]


def batch(*connection_ids: str, group: str | None = "lobby") -> str:
    return Batch(text="aGVsbG8=", group=group, connections=connection_ids).body()


async def test_a_broadcast_posts_to_the_first_and_hands_the_others_over() -> None:
    deployment = Deployment(above=1)
    await deployment.connect(ANN, BOB, EVE)

    with use(deployment.backend):
        delivery = await ConnectionManager().broadcast("hello", group="lobby")

    assert (delivery.sent, delivery.queued) == (1, 2)
    assert deployment.waiting == [(BOB, EVE)]
    assert await deployment.work() == [True]
    assert deployment.gateway.sent == {ANN: ["hello"], BOB: ["hello"], EVE: ["hello"]}


async def test_what_a_broadcast_could_not_deliver_is_tried_again_by_the_function() -> None:
    deployment = Deployment(above=10)
    await deployment.connect(ANN, BOB)
    deployment.gateway.fail(ANN)

    with use(deployment.backend):
        delivery = await ConnectionManager().broadcast("hello", group="lobby")
        assert (delivery.sent, delivery.queued, delivery.failed) == (1, 1, 0)

    assert deployment.waiting == [(ANN,)]
    assert await deployment.work() == [True]
    assert deployment.gateway.sent == {ANN: ["hello"], BOB: ["hello"]}


async def test_a_person_is_tried_again_as_well() -> None:
    deployment = Deployment(above=10)
    await deployment.connect(ANN, user="ann")
    deployment.gateway.fail(ANN)

    with use(deployment.backend):
        assert (await ConnectionManager().send_to_user("ann", "hello")).queued == 1

    assert await deployment.work() == [True]
    assert deployment.gateway.sent == {ANN: ["hello"]}


async def test_only_those_who_failed_are_put_back_so_that_nobody_gets_it_twice() -> None:
    deployment = Deployment()
    await deployment.connect(ANN, BOB, EVE)
    deployment.gateway.fail(BOB)
    deployment.bodies = [batch(ANN, BOB, EVE)]

    assert await deployment.work() == [True]
    assert deployment.waiting == [(BOB,)]
    assert await deployment.work() == [True]

    assert deployment.gateway.sent == {ANN: ["hello"], BOB: ["hello"], EVE: ["hello"]}
    assert deployment.waiting == []


async def test_a_batch_that_reached_nobody_is_left_to_sqs_as_it_is() -> None:
    """Which brings it again after its visibility timeout, and in the end takes it to the dead-letter queue."""
    deployment = Deployment()
    await deployment.connect(ANN, BOB)
    deployment.gateway.fail(ANN, GatewayError("no permission", connection_id=ANN, status=403))
    deployment.gateway.fail(BOB)
    deployment.bodies = [batch(ANN, BOB)]

    assert await deployment.work() == [False]
    assert deployment.waiting == []


async def test_what_never_was_a_connection_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    deployment = Deployment()
    await deployment.connect(ANN)
    deployment.gateway.fail("no id", InvalidConnectionId("no id can't be an id", connection_id="no id", status=400))
    deployment.bodies = [batch("no id", ANN)]

    assert await deployment.work() == [True]
    assert deployment.waiting == []
    assert "connection no id: a message was not delivered: no id can't be an id" in caplog.messages


async def test_who_turns_out_to_be_gone_is_pruned_from_the_group() -> None:
    deployment = Deployment()
    await deployment.connect(ANN, BOB)
    deployment.gateway.gone(BOB)
    deployment.bodies = [batch(ANN, BOB), batch(BOB, group=None)]

    assert await deployment.work() == [True, True]

    assert [member.connection_id async for member in deployment.registry.members("lobby", now=0)] == [ANN]
    assert await deployment.registry.count(EVERYONE, now=0) == 2, "only where the message was for"


async def test_a_batch_is_nobody_elses_failure() -> None:
    deployment = Deployment()
    await deployment.connect(ANN)
    deployment.bodies = ["hello", batch(ANN)]

    assert await deployment.work() == [False, True]
    assert deployment.gateway.sent == {ANN: ["hello"]}


async def test_the_function_tries_for_as_long_as_the_gateway_client_does() -> None:
    """It makes nobody wait, and what it gives up comes back to it."""
    deployment = Deployment()
    await deployment.connect(ANN)
    given: list[float | None] = []

    class Patient(Gateway):
        async def post(self, connection_id: str, text: str) -> None:
            given.append(in_context())

    with use(replace(deployment.backend, gateway=Patient())):
        assert await run(batch(ANN))

    assert given == [None]


async def test_what_there_is_no_time_for_is_put_back() -> None:
    deployment = Deployment()
    await deployment.connect(ANN, BOB)
    deployment.bodies = [batch(ANN, BOB)]

    class Context:
        remaining = iter([HAND_OVER_MILLISECONDS + 1, HAND_OVER_MILLISECONDS])

        def get_remaining_time_in_millis(self) -> int:
            return next(self.remaining)

    assert await deployment.work(Context()) == [True]

    assert deployment.gateway.sent == {ANN: ["hello"], BOB: []}
    assert deployment.waiting == [(BOB,)]


async def test_what_can_not_be_put_back_comes_again_with_the_whole_batch() -> None:
    class Full:
        async def put(self, body: str) -> None:
            raise QueueError("full")

    deployment = Deployment()
    await deployment.connect(ANN, BOB)
    deployment.gateway.fail(BOB)
    full: Queue = Full()

    with use(Backend(deployment.registry, deployment.gateway, fanout=full)), pytest.raises(QueueError):
        await run(batch(ANN, BOB))


async def test_without_a_queue_to_put_anything_back_on_nothing_is_posted() -> None:
    deployment = Deployment()
    await deployment.connect(ANN)

    with (
        use(Backend(deployment.registry, deployment.gateway)),
        pytest.raises(ConfigurationError, match="Set GATESOCKET_FANOUT_QUEUE to the queue's URL"),
    ):
        await run(batch(ANN))

    assert deployment.gateway.sent == {ANN: []}


async def test_those_who_are_found_gone_are_announced_to_who_is_left() -> None:
    def tell(event: Presence) -> str:
        return f"{event.user} {event.kind} {event.group}"

    deployment = Deployment()
    await deployment.connect(ANN)
    await deployment.connect(BOB, user="bob")
    await deployment.connect(EVE, user="eve")
    deployment.gateway.gone(BOB)
    deployment.gateway.gone(EVE)
    await deployment.registry.delete(EVE)  # whose route has ended, and told of it
    deployment.handler = FanoutHandler(presence=tell)
    deployment.bodies = [batch(ANN, BOB, EVE)]

    assert await deployment.work() == [True]
    assert deployment.waiting == [(ANN,)], "the announcement is a broadcast, which goes by the queue here"
    assert await deployment.work() == [True]

    assert deployment.gateway.sent[ANN] == ["hello", "bob left lobby"]


async def test_the_person_behind_a_connection_without_a_record_is_not_known() -> None:
    class Forgetful(MemoryRegistry):
        async def get(self, connection_id: str, *, now: int) -> None:
            return None

    deployment = Deployment()
    deployment.registry = Forgetful()
    deployment.backend = Backend(deployment.registry, deployment.gateway, fanout=deployment.backend.fanout)
    await deployment.connect(ANN)
    await deployment.connect(BOB, user="bob")
    deployment.gateway.gone(BOB)
    deployment.handler = FanoutHandler(presence=lambda event: f"{event.user} left")
    deployment.bodies = [batch(BOB)]

    assert await deployment.work() == [True]

    assert deployment.gateway.sent[ANN] == ["None left"]


async def test_an_announcement_that_fails_is_no_reason_to_post_again(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Presence) -> str:
        raise ZeroDivisionError

    deployment = Deployment()
    await deployment.connect(ANN, BOB)
    deployment.gateway.gone(BOB)
    deployment.handler = FanoutHandler(presence=broken)
    deployment.bodies = [batch(ANN, BOB)]

    assert await deployment.work() == [True]

    assert deployment.gateway.sent[ANN] == ["hello"]
    assert "group 'lobby' wasn't told of some who left" in caplog.messages


async def test_a_batch_of_nobody_is_done() -> None:
    deployment = Deployment()
    deployment.bodies = [batch()]

    assert await deployment.work() == [True]
    assert deployment.waiting == []


async def test_an_event_that_is_no_batch_is_refused() -> None:
    with pytest.raises(
        UnexpectedEvent, match=r"expected a batch of the fan-out queue.*got an event with the keys \['x'"
    ):
        await FanoutHandler().invoke({"x": 1}, None)


def chat() -> FastAPI:
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"])
        async for text in websocket.iter_text():
            delivery = await manager.broadcast(text, group="lobby")
            await websocket.send_json([delivery.sent, delivery.queued])

    @app.post("/announce")
    async def announce(text: str) -> int:
        return (await manager.broadcast(text)).queued

    return app


def test_the_test_client_fans_out_as_the_cloud_does() -> None:
    with (
        GatewayTestClient(chat(), settings=Settings(fanout_above=0)) as client,
        client.websocket_connect("/ws") as ann,
        client.websocket_connect("/ws") as bob,
    ):
        ann.send_text("hello")
        assert ann.receive_text() == "hello"
        assert ann.receive_json() == [1, 1]
        assert bob.receive_text() == "hello"

        assert client.post("/announce?text=news").json() == 2
        assert ann.receive_text(timeout=10) == bob.receive_text(timeout=10) == "news"


class Unreachable(MemoryRegistry):
    """Can't say whether a connection's handshake is over, once somebody asks."""

    async def hold_back(self, connection_id: str, entry: Entry, *, now: int) -> bool:
        raise RegistryError("throttled")


def test_a_batch_that_reaches_nobody_is_an_error_of_the_route_that_made_it(caplog: pytest.LogCaptureFixture) -> None:
    """And of nobody, but in the log, if it wasn't a route of a connection."""
    registry = Unreachable()
    settings = Settings(fanout_above=0)
    with (
        GatewayTestClient(chat(), registry=registry, settings=settings) as client,
        client.websocket_connect("/ws") as ann,
    ):
        planted = Record(BOB, b"", 0, FAR, b"snapshot", live=True, groups=frozenset({EVERYONE, "lobby"}))
        assert client.portal is not None
        client.portal.call(registry.create, planted)
        client.post("/announce?text=news")
        assert ann.receive_text(timeout=10) == "news"
        ann.send_text("hello")
        assert ann.receive_text() == "hello"
        assert ann.receive_json() == [1, 1]
        with pytest.raises(GatesocketError, match="nobody of a broadcast's batch was reached"):
            ann.receive_text()

    assert caplog.messages.count("a broadcast's batch failed") == 2


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a function of the template."""
    monkeypatch.setenv("GATESOCKET_TABLE", "connections")
    monkeypatch.setenv("GATESOCKET_ENDPOINT", "https://api.execute-api.eu-west-1.amazonaws.com/prod")
    monkeypatch.setenv("GATESOCKET_FANOUT_QUEUE", "https://sqs.eu-west-1.amazonaws.com/123456789012/fanout")
    monkeypatch.setenv("GATESOCKET_FANOUT_ABOVE", "50")


def test_lambda_calls_the_handler_without_an_event_loop(deployed: None, caplog: pytest.LogCaptureFixture) -> None:
    """And without anything but settings: what is not a batch of ours fails before AWS is asked for anything."""
    handler = FanoutHandler()
    with caplog.at_level(logging.CRITICAL, "gatesocket"):
        answer = handler({"Records": [{"messageId": "1", "body": json.dumps({"text": 1})}]}, None)
    handler._loop.close()

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert backend.current().fanout is not None
    assert backend.current().fanout_above == 50


@given(
    fates=st.lists(st.sampled_from(["well", "gone", "once", "twice", "never"]), max_size=60), above=st.integers(0, 70)
)
async def test_whatever_fails_everybody_who_can_be_reached_gets_it_once(fates: list[str], above: int) -> None:
    """A broadcast and the batches that come of it, until all that is left can't be delivered."""
    deployment = Deployment(above=above)
    ids = {f"{number}-{fate}": fate for number, fate in enumerate(fates)}
    await deployment.connect(*ids)
    for connection_id, fate in ids.items():
        if fate == "gone":
            deployment.gateway.fail(connection_id, ConnectionGone(connection_id), times=9)
        elif fate != "well":
            deployment.gateway.fail(connection_id, times={"once": 1, "twice": 2, "never": 10**6}[fate])

    with use(deployment.backend):
        await ConnectionManager().broadcast("hello", group="lobby")
    dead: list[str] = []
    while deployment.bodies:
        bodies = list(deployment.bodies)
        receives = await deployment.work()
        for body, done in zip(bodies, receives, strict=True):
            if not done:  # SQS brings it twice more
                deployment.bodies.append(body)
                dead.append(body)
        for body in [body for body in dead if dead.count(body) > 2]:
            deployment.bodies = [waiting for waiting in deployment.bodies if waiting != body]

    expected = {i: ([] if fate in {"gone", "never"} else ["hello"]) for i, fate in ids.items()}
    assert deployment.gateway.sent == expected
    members = {member.connection_id async for member in deployment.registry.members("lobby", now=0)}
    assert members == {i for i, fate in ids.items() if fate != "gone"}
