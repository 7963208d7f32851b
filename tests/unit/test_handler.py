"""The Lambda callable: from events to a route that never left, as far as it can tell."""

import asyncio
import base64
import copy
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gatesocket import CannotHibernate, ConfigurationError, ConnectionManager, WebSocketHandler, backend
from gatesocket.events import parse
from gatesocket.exceptions import GatewayError, LeaseLost, RecordTooLarge, RegistryError, UnexpectedEvent
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.base import EVERYONE, Busy, Changes, Entry, Lease, Record, Taken
from gatesocket.registry.bounds import Bounds
from gatesocket.registry.items import decode
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from gatesocket.waker import wake_event
from support.cloud import MADE, NOW, Cloud, Context, end_all
from support.lambda_events import CONNECTION, connect, disconnect, forwarded, message, removal


@pytest.fixture(autouse=True)
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of the machine out of the tests."""
    for name in ("GATESOCKET_TABLE", "GATESOCKET_ENDPOINT", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


def chat() -> FastAPI:
    """The app of the design: a count and a name that live across messages."""
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/ws/{room}")
    async def route(websocket: WebSocket, room: str, name: str = "guest") -> None:
        await manager.connect(websocket, groups=[room], user=name)
        count = 0
        try:
            while True:
                text = await websocket.receive_text()
                count += 1
                await manager.broadcast(f"{name} #{count}: {text}", group=room)
        except WebSocketDisconnect:
            manager.disconnect(websocket)
            await manager.broadcast(f"{name} left", group=room)

    return app


async def test_a_connection_lives_from_handshake_to_disconnect_with_its_locals() -> None:
    cloud = Cloud(chat())

    assert await cloud(connect("/ws/lobby", query={"name": "ann"})) == {"statusCode": 200}
    assert await cloud(message("hello")) == {"statusCode": 200}
    assert await cloud(message("again")) == {"statusCode": 200}
    assert cloud.sent == ["ann #1: hello", "ann #2: again"]

    assert await cloud(disconnect()) == {"statusCode": 200}
    assert await cloud.record() is None
    assert await cloud.registry.count(EVERYONE, now=NOW) == 0
    assert cloud.errors == []


async def test_members_of_a_group_hear_one_another_and_the_end() -> None:
    cloud = Cloud(chat())
    ann, bob = "AAAAAAAAAAAAAAA=", "BBBBBBBBBBBBBBB="
    await cloud(connect("/ws/lobby", query={"name": "ann"}, connection_id=ann))
    await cloud(connect("/ws/lobby", query={"name": "bob"}, connection_id=bob))

    await cloud(message("hello", connection_id=ann))
    await cloud(disconnect(connection_id=ann))

    assert cloud.gateway.sent == {
        CONNECTION: [],
        ann: ["ann #1: hello"],
        bob: ["ann #1: hello", "ann left"],
    }


async def test_what_the_handshake_brought_is_there_on_every_later_message() -> None:
    app = FastAPI()

    @app.websocket("/ws/{room}")
    async def route(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()
            client = websocket.client.host if websocket.client else None
            await websocket.send_json(
                [room, websocket.query_params["q"], websocket.headers["user-agent"], websocket.cookies["a"], client]
            )

    cloud = Cloud(app)
    await cloud(connect("/ws/lobby", query={"q": "1 & 2"}, headers={"User-Agent": "tester", "Cookie": "a=b"}))
    await cloud(message("who am I?"))

    assert cloud.sent == ['["lobby","1 & 2","tester","b","192.0.2.1"]']


async def test_the_lambda_event_and_context_of_each_frame_are_in_the_scope() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        kinds = [websocket.scope["aws.event"]["requestContext"]["eventType"]]
        await websocket.receive_text()
        kinds.append(websocket.scope["aws.event"]["requestContext"]["eventType"])
        await websocket.send_json([*kinds, websocket.scope["aws.context"].aws_request_id.partition("-")[0]])

    cloud = Cloud(app)
    await cloud(connect())
    await cloud(message("hi"))

    assert cloud.sent == ['["CONNECT","MESSAGE","request"]']


async def test_a_chosen_subprotocol_is_in_the_answer_to_the_handshake() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol=websocket.scope["subprotocols"][-1])
        await websocket.receive_text()

    cloud = Cloud(app)

    assert await cloud(connect(headers={"Sec-WebSocket-Protocol": "chat.v2, chat.v1"})) == {
        "statusCode": 200,
        "headers": {"Sec-WebSocket-Protocol": "chat.v1"},
    }


async def test_a_route_that_closes_before_accepting_refuses_with_403() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, token: str = "") -> None:
        if token != "right":
            raise WebSocketException(code=1008)
        await websocket.accept()
        await websocket.receive_text()

    cloud = Cloud(app)

    assert (await cloud(connect()))["statusCode"] == 403
    assert (await cloud(connect(query={"token": "right"})))["statusCode"] == 200


async def test_a_route_that_accepts_and_closes_at_once_refuses_with_403_too() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(code=1008)

    cloud = Cloud(app)

    assert await cloud(connect()) == {"statusCode": 403}
    assert await cloud.record() is None


async def test_a_route_that_accepts_and_returns_refuses_as_well() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()

    assert await Cloud(app)(connect()) == {"statusCode": 403}


@pytest.mark.parametrize("closes", [True, False])
async def test_a_route_that_accepts_and_closes_at_once_can_be_seen_to(*, closes: bool) -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="chat")
        if closes:
            await websocket.close(code=1008)

    cloud = Cloud(app, accept_then_close="open")

    assert await cloud(connect()) == {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "chat"}}
    assert cloud.gateway.closed == []
    assert await cloud.wake() == {"batchItemFailures": []}
    assert cloud.gateway.closed == [CONNECTION]
    assert (cloud.sent, await cloud.record()) == ([], None)


async def test_an_error_after_the_accept_is_a_refusal_all_the_same() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError

    cloud = Cloud(app, accept_then_close="open")

    assert await cloud(connect()) == {"statusCode": 500}
    assert await cloud.record() is None


async def test_a_close_right_after_the_accept_is_told_once() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(code=1008, reason="no token")

    cloud = Cloud(app, close_message=True, accept_then_close="open")

    assert await cloud(connect()) == {"statusCode": 200}
    await cloud.wake()
    assert cloud.sent == ['{"type": "close", "code": 1008, "reason": "no token"}']
    assert cloud.gateway.closed == [CONNECTION]


@pytest.mark.parametrize(("ending", "code"), [("close", 1008), ("return", 1000), ("raise", 1011)])
async def test_the_end_of_a_route_that_only_greets_is_told_once(ending: str, code: int) -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("welcome")
        match ending:
            case "close":
                await websocket.close(1008)
            case "raise":
                raise LookupError

    cloud = Cloud(app, close_message=True)

    assert await cloud(connect()) == {"statusCode": 200}
    await cloud.wake()
    assert cloud.sent == ["welcome", f'{{"type": "close", "code": {code}, "reason": ""}}']
    assert (cloud.gateway.closed, await cloud.record()) == ([CONNECTION], None)


async def test_a_path_that_no_route_has_is_refused_with_403() -> None:
    assert (await Cloud(chat())(connect("/elsewhere")))["statusCode"] == 403


async def test_a_denial_response_keeps_its_status_and_body() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.send_denial_response(JSONResponse({"detail": "who are you?"}, status_code=401))

    answer = await Cloud(app)(connect())

    assert (answer["statusCode"], answer["body"]) == (401, '{"detail":"who are you?"}')
    assert answer["headers"]["content-type"] == "application/json"


async def test_a_route_that_returns_without_an_answer_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        """Forget to accept."""

    assert await Cloud(app)(connect()) == {"statusCode": 500}
    assert "the route ended without answering the handshake" in caplog.text


async def test_an_error_before_the_accept_is_a_500_with_the_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        raise LookupError("no such room")

    cloud = Cloud(app)

    assert await cloud(connect()) == {"statusCode": 500}
    assert [str(error) for error in cloud.errors] == ["no such room"]
    assert "LookupError: no such room" in caplog.text


async def test_an_error_after_the_accept_with_nothing_said_is_a_500_too() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError("no such room")

    assert await Cloud(app)(connect()) == {"statusCode": 500}


async def test_an_error_in_a_message_closes_the_connection_and_forgets_it() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise LookupError("no such message")

    cloud = Cloud(app, close_message=True)
    await cloud(connect())

    assert await cloud(message("hi")) == {"statusCode": 200}
    assert cloud.sent == ['{"type": "close", "code": 1011, "reason": ""}']
    assert cloud.gateway.closed == [CONNECTION]
    assert await cloud.record() is None
    assert [str(error) for error in cloud.errors] == ["no such message"]


async def test_a_route_that_returns_closes_the_connection() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    cloud = Cloud(app)
    await cloud(connect())
    await cloud(message("bye"))

    assert (cloud.sent, cloud.gateway.closed, await cloud.record()) == (["bye"], [CONNECTION], None)


async def greet() -> tuple[Cloud, dict[str, Any]]:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("welcome")
        await websocket.send_text("say something")
        text = await websocket.receive_text()
        await websocket.send_text(f"you said {text}")
        await websocket.receive_text()

    cloud = Cloud(app)
    return cloud, await cloud(connect())


async def test_what_a_route_sends_first_is_delivered_by_a_wake_once_the_socket_is_live() -> None:
    cloud, answer = await greet()
    assert (answer, cloud.sent) == ({"statusCode": 200}, [])

    assert await cloud.wake() == {"batchItemFailures": []}

    assert cloud.sent == ["welcome", "say something"]
    record = await cloud.record()
    assert record is not None
    assert (record.outbox, record.live, record.lease) == ((), True, None)


async def test_a_message_that_is_sooner_than_the_wake_is_answered_after_what_was_held_back() -> None:
    cloud, _ = await greet()

    await cloud(message("hi"))
    await cloud.wake()

    assert cloud.sent == ["welcome", "say something", "you said hi"]


async def test_what_another_process_sends_comes_after_what_the_route_sent_first() -> None:
    """The handshake is over and the wake isn't there yet, when somebody elsewhere tells the room who has joined."""
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"], user="ann")
        await websocket.send_text("welcome")
        await websocket.receive_text()

    cloud = Cloud(app)
    await cloud(connect())
    with backend.use(cloud.backend):
        await manager.broadcast("ann has joined", group="lobby")
        await manager.send_to_user("ann", "only for you")
        assert cloud.sent == []
        await cloud.wake()
        await manager.broadcast("next", group="lobby")

    assert cloud.sent == ["welcome", "ann has joined", "only for you", "next"]
    assert len(cloud.wakes) == 2, "one for each that was held back"


async def test_a_wake_that_comes_twice_or_too_late_does_nothing() -> None:
    cloud, _ = await greet()
    wake = cloud.wakes[0]
    await cloud(wake)
    await cloud(wake)
    await cloud(disconnect())

    assert await cloud(wake) == {"batchItemFailures": []}
    assert cloud.sent == ["welcome", "say something"]


async def test_a_route_that_says_goodbye_at_once_is_heard_and_closed() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("we are closed")
        await websocket.close(code=1013)

    cloud = Cloud(app)
    assert await cloud(connect()) == {"statusCode": 200}
    await cloud.wake()

    assert (cloud.sent, cloud.gateway.closed) == (["we are closed"], [CONNECTION])
    assert await cloud.record() is None


async def test_a_message_to_a_route_that_has_ended_is_not_for_it() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("we are closed")

    cloud = Cloud(app)
    await cloud(connect())
    await cloud(message("are you?"))

    assert (cloud.sent, cloud.gateway.closed) == (["we are closed"], [CONNECTION])


async def test_a_greeting_without_a_wake_queue_is_refused_with_the_remedy() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("welcome")
        await websocket.receive_text()

    with pytest.raises(ConfigurationError, match="Set GATESOCKET_WAKE_QUEUE"):
        await Cloud(app, waker=False)(connect())


async def test_a_wake_that_fails_is_reported_and_the_others_of_its_batch_are_served() -> None:
    cloud, _ = await greet()
    cloud.gateway.refuse(CONNECTION, 500)
    batch = {"Records": [*cloud.wakes[0]["Records"], *wake_event("unknown")["Records"]]}

    answer = await cloud(batch)

    assert answer == {"batchItemFailures": [{"itemIdentifier": batch["Records"][0]["messageId"]}]}


def echo() -> FastAPI:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"{text} in {websocket.scope['aws.event']['body']}")

    return app


async def test_messages_that_come_through_a_fifo_queue_are_served_in_its_order() -> None:
    cloud = Cloud(echo())
    await cloud(connect())

    batch = {"Records": [forwarded("one", message_id="1"), forwarded("two", message_id="2")]}

    assert await cloud(batch) == {"batchItemFailures": []}
    assert cloud.sent == ["one in one", "two in two"]


async def test_what_comes_behind_a_message_that_failed_waits_for_it() -> None:
    """The rest of its connection's group is reported with it; other connections aren't held up."""

    class Refusing(MemoryRegistry):
        async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
            if entry.id == "2":
                raise RegistryError("throttled")
            return await super().take(connection_id, entry, lease, now=now)

    bob = "BBBBBBBBBBBBBBB="
    cloud = Cloud(echo(), registry=Refusing())
    await cloud(connect())
    await cloud(connect(connection_id=bob))

    answer = await cloud(
        {
            "Records": [
                forwarded("one", message_id="1"),
                forwarded("two", message_id="2"),
                forwarded("hello", message_id="b1", connection_id=bob),
                forwarded("three", message_id="3"),
            ]
        }
    )

    assert answer == {"batchItemFailures": [{"itemIdentifier": "sqs 2"}, {"itemIdentifier": "sqs 3"}]}
    assert (cloud.sent, cloud.gateway.sent[bob]) == (["one in one"], ["hello in hello"])


async def test_a_message_that_can_not_be_read_fails_alone_on_a_standard_queue(caplog: pytest.LogCaptureFixture) -> None:
    cloud, _ = await greet()
    garbage = {"messageId": "garbage", "body": "?", "eventSource": "aws:sqs"}

    answer = await cloud({"Records": [garbage, *cloud.wakes[0]["Records"]]})

    assert answer == {"batchItemFailures": [{"itemIdentifier": "garbage"}]}
    assert cloud.sent == ["welcome", "say something"]
    assert "garbage of a batch can't be read: expected an SQS record of the wake queue" in caplog.text


async def test_a_message_that_can_not_be_read_holds_up_what_is_behind_it_on_a_fifo_queue() -> None:
    """Its own group waits, until the dead-letter queue has taken it; others don't."""
    bob = "BBBBBBBBBBBBBBB="
    cloud = Cloud(echo())
    await cloud(connect())
    await cloud(connect(connection_id=bob))

    answer = await cloud(
        {
            "Records": [
                forwarded("one", message_id="1"),
                forwarded("?", message_id="2") | {"body": "?"},
                forwarded("hello", message_id="b1", connection_id=bob),
                forwarded("three", message_id="3"),
            ]
        }
    )

    assert answer == {"batchItemFailures": [{"itemIdentifier": "sqs 2"}, {"itemIdentifier": "sqs 3"}]}
    assert (cloud.sent, cloud.gateway.sent[bob]) == (["one in one"], ["hello in hello"])


SQS_RECORDS = st.builds(
    lambda number, group, fate: (
        forwarded(fate, message_id=str(number), connection_id=f"{group}AAAAAAAAAAAAAA=")
        | ({"body": "?"} if fate == "garbage" else {})
    ),
    st.integers(),
    st.sampled_from("ABC"),
    st.sampled_from(["passes", "passes", "fails", "garbage"]),
)


@given(st.lists(SQS_RECORDS, min_size=1, max_size=10, unique_by=lambda record: record["messageId"]))
async def test_failures_are_reported_as_powertools_reports_them(records: list[dict[str, Any]]) -> None:
    """Of AWS's own batch utility for Python, the processor for FIFO queues; it takes plain functions only."""

    class Refusing(MemoryRegistry):
        async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
            if entry.body == "fails":
                raise RegistryError("throttled")
            return await super().take(connection_id, entry, lease, now=now)

    def fate(record: SQSRecord) -> None:
        if base64.b64decode(record.json_body["body"]) == b"fails":
            raise RegistryError("throttled")

    event = {"Records": records}
    processor = SqsFifoPartialProcessor(skip_group_on_error=True)
    processor.raise_on_entire_batch_failure = False

    assert await Cloud(echo(), registry=Refusing())(event) == process_partial_response(
        event,
        fate,
        processor,
        Context(),  # type: ignore[arg-type]
    )


async def test_a_message_that_there_is_no_time_for_goes_back_to_its_queue() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()
            cloud.now += 8_000

    cloud = Cloud(app)
    await cloud(connect())

    answer = await cloud({"Records": [forwarded("one", message_id="1"), forwarded("two", message_id="2")]})

    assert answer == {"batchItemFailures": [{"itemIdentifier": "sqs 2"}]}


async def expire(registry: MemoryRegistry | None = None) -> tuple[Cloud, dict[str, Any], list[str]]:
    """A connection whose record is deleted when its time to live is over, with a message still in its inbox."""
    seen: list[str] = []
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"])
        try:
            while True:
                seen.append(await websocket.receive_text())
        except WebSocketDisconnect as left:
            seen.append(f"left with {left.code}")
            await manager.broadcast("somebody left", group="lobby")

    cloud = Cloud(app, registry=registry)
    await cloud(connect())
    await cloud.registry.take(CONNECTION, Entry("message", "m", "unheard"), Lease("dead", NOW + 1), now=NOW)
    record = await cloud.record()
    assert record is not None
    cloud.now = record.expires_at * 1000
    # As DynamoDB deletes it: the memberships by themselves, at some other time.
    assert isinstance(cloud.registry, MemoryRegistry)
    del cloud.registry._records[CONNECTION]
    cloud.gateway.gone(CONNECTION)
    return cloud, {"Records": [removal(record)]}, seen


async def test_a_connection_whose_disconnect_never_came_ends_when_it_expires() -> None:
    cloud, event, seen = await expire()

    assert await cloud(event) == {"batchItemFailures": []}

    assert seen == ["unheard", "left with 1006"]
    assert await cloud.record() is None
    assert await cloud.registry.count("lobby", now=NOW) == 0
    assert cloud.errors == []


async def test_an_expired_connection_whose_holder_died_is_taken_over_when_the_stream_brings_it_again() -> None:
    cloud, event, seen = await expire()
    [change] = event["Records"]
    record = decode(parse(event)[0].image)  # type: ignore[index,union-attr,arg-type]
    lease = Lease("dies", cloud.now + 1000)
    earlier = Entry("disconnect", change["dynamodb"]["SequenceNumber"], code=1006)
    await cloud.registry.restore(record, earlier, lease, expires_at=record.expires_at + 60)

    assert await cloud({"Records": [change]}) == {"batchItemFailures": []}
    assert (seen, cloud.delays) == ([], [12])

    cloud.now += 11_000
    await cloud.wake()
    assert seen == ["unheard", "left with 1006"]


async def test_after_a_change_that_failed_the_stream_is_read_again_from_there() -> None:
    class Refusing(MemoryRegistry):
        async def restore(self, record: Record, entry: Entry, lease: Lease, *, expires_at: int) -> Taken | None:
            raise RegistryError("throttled")

    cloud, event, seen = await expire(Refusing())
    [change] = event["Records"]
    later = copy.deepcopy(change)
    later["dynamodb"]["SequenceNumber"] = "112"

    answer = await cloud({"Records": [change, later]})

    assert answer == {"batchItemFailures": [{"itemIdentifier": "111"}, {"itemIdentifier": "112"}]}
    assert seen == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"schema": {"N": "99"}}, f"connection {CONNECTION} can't go on and is closed with 1012: the record"),
        ({"scope": {"B": "%"}}, "110 of a batch can't be read: expected an SQS record of the wake queue"),
    ],
)
async def test_a_change_that_nobody_can_read_holds_nothing_up(
    damage: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream is read again from the first failure, and in the end goes on behind the whole batch."""
    cloud, event, seen = await expire()
    [change] = event["Records"]
    strange = copy.deepcopy(change)
    strange["dynamodb"]["OldImage"] |= damage
    strange["dynamodb"]["SequenceNumber"] = "110"

    assert await cloud({"Records": [strange, change]}) == {"batchItemFailures": []}

    assert seen == ["unheard", "left with 1006"]
    assert said in caplog.text


async def test_a_message_while_another_invocation_runs_the_route_is_left_to_it() -> None:
    app = FastAPI()
    reached, go_on = asyncio.Event(), asyncio.Event()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            if text == "slow":
                reached.set()
                await go_on.wait()
            await websocket.send_text(text)

    cloud = Cloud(app)
    await cloud(connect())
    slow = asyncio.ensure_future(cloud(message("slow", message_id="1")))
    await reached.wait()
    await cloud(message("quick", message_id="2"))
    assert cloud.sent == []

    go_on.set()
    await slow

    assert cloud.sent == ["slow", "quick"]
    record = await cloud.record()
    assert record is not None
    assert (record.inbox, record.lease) == ((), None)


async def test_a_disconnect_does_not_overtake_the_message_before_it() -> None:
    app = FastAPI()
    reached, go_on = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                seen.append(await websocket.receive_text())
                reached.set()
                await go_on.wait()
        except WebSocketDisconnect as left:
            seen.append(f"left with {left.code}")

    cloud = Cloud(app)
    await cloud(connect())
    first = asyncio.ensure_future(cloud(message("slow", message_id="1")))
    await reached.wait()
    await cloud(message("last words", message_id="2"))
    await cloud(disconnect(1001))
    go_on.set()
    await first

    assert seen == ["slow", "last words", "left with 1001"]
    assert await cloud.record() is None


async def test_a_message_on_a_connection_without_a_record_is_logged_and_the_client_sent_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cloud = Cloud(chat())
    cloud.gateway.open(CONNECTION)

    assert await cloud(message("anybody?", message_id="lost")) == {"statusCode": 200}

    assert cloud.gateway.closed == [CONNECTION]
    assert "sent message lost but has no record" in caplog.text
    assert "anybody?" not in caplog.text


async def test_closing_an_unknown_connection_may_fail_without_failing_the_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cloud = Cloud(chat())
    await cloud(message("anybody?"))
    cloud.gateway.refuse(CONNECTION, 500)
    await cloud(message("anybody?"))

    assert "could not be closed" in caplog.text


async def test_a_disconnect_of_a_connection_without_a_record_is_nothing_special(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await Cloud(chat())(disconnect())

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_client_that_floods_is_sent_away_and_the_lost_message_named(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    reached, go_on = asyncio.Event(), asyncio.Event()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        reached.set()
        await go_on.wait()

    cloud = Cloud(app, registry=MemoryRegistry(bounds=Bounds(inbox_entries=2)))
    await cloud(connect())
    slow = asyncio.ensure_future(cloud(message("1", message_id="1")))
    await reached.wait()
    await cloud(message("2", message_id="2"))
    await cloud(message("3", message_id="3"))

    assert cloud.gateway.closed == [CONNECTION]
    assert "message 3 is lost" in caplog.text
    go_on.set()
    await slow


async def test_a_snapshot_that_can_not_be_woken_closes_with_1012(caplog: pytest.LogCaptureFixture) -> None:
    cloud = Cloud(chat(), close_message=True)
    await cloud(connect("/ws/lobby"))
    taken = await cloud.registry.take(CONNECTION, Entry("wake", "w"), Lease("h", NOW + 1), now=NOW)
    await cloud.registry.release(taken.record, Changes(b"planted", live=True), seen=1, now=NOW)  # type: ignore[union-attr]

    assert await cloud(message("hi")) == {"statusCode": 200}

    assert cloud.sent == ['{"type": "close", "code": 1012, "reason": ""}']
    assert await cloud.record() is None
    assert "can't go on and is closed" in caplog.text


async def test_what_does_not_fit_into_a_record_closes_the_connection() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        kept: list[str] = []
        while True:
            # Not one text many times, which would compress to nothing.
            kept.append(await websocket.receive_text())
            kept.extend(str(number * 7919 % 104_729) for number in range(100_000))

    cloud = Cloud(app)
    await cloud(connect())
    await cloud(message("hoard"))

    assert cloud.gateway.closed == [CONNECTION]
    [error] = cloud.errors
    assert isinstance(error, RecordTooLarge)
    assert await cloud.record() is None


async def test_an_invocation_that_has_lost_its_lease_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    reached, go_on = asyncio.Event(), asyncio.Event()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            if not reached.is_set():
                reached.set()
                await go_on.wait()
            await websocket.send_text(text)

    cloud = Cloud(app)
    await cloud(connect())
    stuck = asyncio.ensure_future(cloud(message("one", message_id="1")))
    await reached.wait()
    cloud.now += 60_000
    await cloud(message("two", message_id="2"))
    assert cloud.sent == ["one", "two"]

    go_on.set()
    await stuck

    assert str(LeaseLost(CONNECTION)) in caplog.text
    record = await cloud.record()
    assert record is not None
    assert record.inbox == ()


async def test_the_lifespan_runs_once_and_its_state_reaches_every_frame() -> None:
    starts: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        starts.append("start")
        yield {"greeting": "hello"}
        starts.append("end")

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"{websocket.state.greeting} {text}")

    cloud = Cloud(app)
    await cloud(connect())
    await cloud(message("ann"))
    await cloud(message("bob"))
    assert (cloud.sent, cloud.handler.state) == (["hello ann", "hello bob"], {"greeting": "hello"})

    await cloud.handler.shutdown()
    assert starts == ["start", "end"]


async def test_a_dependency_is_there_on_every_frame() -> None:
    app = FastAPI()

    def user(name: str = "nobody") -> str:
        return name.title()

    @app.websocket("/")
    async def route(websocket: WebSocket, who: str = Depends(user)) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(f"{who}: {await websocket.receive_text()}")

    cloud = Cloud(app)
    await cloud(connect(query={"name": "ann"}))
    await cloud(message("one"))
    await cloud(message("two"))

    assert cloud.sent == ["Ann: one", "Ann: two"]


async def test_bytes_travel_in_the_agreed_form_when_the_deployment_says_so() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_bytes((await websocket.receive_bytes())[::-1])
        await websocket.receive_text()

    cloud = Cloud(app, binary="base64")
    await cloud(connect())
    await cloud(message("data:;base64,AAH/"))

    assert cloud.sent == ["data:;base64,/wEA"]


def end(handler: WebSocketHandler) -> None:
    """End a handler that was called as Lambda calls it, on its own loop."""
    MADE.remove(handler)
    handler._loop.run(handler.shutdown())
    handler._loop.close()


async def test_lambda_calls_the_handler_on_one_loop_that_is_kept() -> None:
    app = FastAPI()
    loops: list[asyncio.AbstractEventLoop] = []

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            loops.append(asyncio.get_running_loop())
            await websocket.receive_text()

    cloud = Cloud(app)
    events = (connect(), message("one"), message("two"))
    answers = await asyncio.to_thread(lambda: [cloud.handler(event, Context()) for event in events])

    assert answers == [{"statusCode": 200}] * 3
    assert len(set(map(id, loops))) == 1
    await asyncio.to_thread(end, cloud.handler)


async def test_calls_from_several_threads_wait_for_one_another() -> None:
    app = FastAPI()
    running = 0
    most = 0

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.to_thread(running.bit_count)
        running -= 1
        await websocket.close()

    cloud = Cloud(app)
    calls = [asyncio.to_thread(cloud.handler, connect(), Context()) for _ in range(4)]

    assert await asyncio.gather(*calls) == [{"statusCode": 403}] * 4
    assert most == 1
    await asyncio.to_thread(end, cloud.handler)


async def test_an_event_of_somebody_else_is_refused() -> None:
    with pytest.raises(UnexpectedEvent, match="belong to Mangum's handler"):
        await Cloud(chat()).handler.invoke({"version": "2.0"}, None)


async def test_an_invocation_without_a_context_has_the_gateways_29_seconds() -> None:
    cloud = Cloud(chat())
    await cloud.handler.invoke(connect("/ws/lobby"), None)
    taken: list[Lease] = []
    take = cloud.registry.take

    async def watch(connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Any:
        taken.append(lease)
        return await take(connection_id, entry, lease, now=now)

    cloud.registry.take = watch  # type: ignore[method-assign]
    await cloud.handler.invoke(disconnect(), None)

    assert taken[0].expires_at == NOW + 29_000 + 1_000


async def test_what_is_not_an_app_is_refused_when_the_handler_is_made() -> None:
    with pytest.raises(ConfigurationError):
        WebSocketHandler("chat.app:app", registry=MemoryRegistry())  # type: ignore[arg-type]


async def test_a_route_that_can_not_hibernate_is_refused_when_the_handler_is_made() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        finally:
            await websocket.receive_text()

    with pytest.raises(CannotHibernate, match=r"test_handler\.py:\d+: "):
        WebSocketHandler(app, registry=MemoryRegistry())


async def test_a_lambda_function_without_a_table_is_refused_when_the_handler_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "chat")

    with pytest.raises(ConfigurationError, match="GATESOCKET_TABLE isn't set"):
        WebSocketHandler(chat())


async def test_without_a_gateway_client_it_posts_to_the_api_that_the_event_came_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    handler = WebSocketHandler(chat())
    MADE.append(handler)
    made: list[str] = []

    def make(settings: Settings, endpoint: str) -> FakeGateway:
        made.append(endpoint)
        return FakeGateway()

    monkeypatch.setattr("gatesocket.handler.default_gateway", make)

    await handler.invoke(connect("/ws/lobby"), Context())

    assert made == ["https://abcd1234.execute-api.eu-west-1.amazonaws.com/prod"]


async def test_a_configured_endpoint_is_where_it_posts_to(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = WebSocketHandler(chat(), settings=Settings(endpoint="http://127.0.0.1:3001/dev", region="eu-west-1"))
    MADE.append(handler)
    made: list[str] = []

    def make(settings: Settings, endpoint: str) -> FakeGateway:
        made.append(endpoint)
        return FakeGateway()

    monkeypatch.setattr("gatesocket.handler.default_gateway", make)

    await handler.invoke(wake_event("unknown"), Context())

    assert made == ["http://127.0.0.1:3001/dev"]


async def test_without_region_or_endpoint_it_says_what_to_set() -> None:
    handler = WebSocketHandler(chat())
    MADE.append(handler)

    with pytest.raises(ConfigurationError, match="set GATESOCKET_ENDPOINT"):
        await handler.invoke(connect("/ws/lobby"), Context())


async def test_an_app_that_is_plain_asgi_is_served() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        number = 0
        while True:
            received = await receive()
            if received["type"] == "websocket.disconnect":
                break
            number += 1
            await send({"type": "websocket.send", "text": f"{number}: {received['text']}"})

    cloud = Cloud(app)
    await cloud(connect())
    await cloud(message("one"))
    await cloud(message("two"))
    await cloud(disconnect())

    assert (cloud.sent, await cloud.record(), cloud.errors) == (["1: one", "2: two"], None, [])


async def test_a_gateway_that_fails_during_a_send_is_the_routes_to_handle() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            try:
                await websocket.send_text(text)
            except GatewayError:
                await websocket.send_text("once more")

    cloud = Cloud(app)
    await cloud(connect())
    cloud.gateway.refuse(CONNECTION, 429)
    await cloud(message("hi"))

    assert cloud.sent == ["once more"]


async def test_a_route_that_sends_to_its_own_user_or_connection_sends_in_order_with_itself() -> None:
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        connection_id = await manager.connect(websocket, user="ann")
        while True:
            await websocket.receive_text()
            await websocket.send_text("one")
            await manager.send_to_user("ann", "two")
            await manager.send_to(connection_id, "three")
            await websocket.send_text("four")

    cloud = Cloud(app)
    await cloud(connect())
    await cloud(message("go"))

    assert cloud.sent == ["one", "two", "three", "four"]
