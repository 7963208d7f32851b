"""Batches of connections on the fan-out queue: what they hold, and how large they are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.backend import Backend
from gatesocket.batches import BATCH_CONNECTIONS, Batch, Batches, batches_for
from gatesocket.exceptions import ConnectionGone, GatewayError, InvalidConnectionId, UnexpectedEvent
from gatesocket.gateway.fake import FakeGateway
from gatesocket.limits import MESSAGE_BYTES, QUEUE_MESSAGE_BYTES
from gatesocket.queues import MemoryQueue
from gatesocket.registry.bounds import NAME_BYTES
from gatesocket.registry.memory import MemoryRegistry

SQS_REFUSES = [chr(0), chr(8), chr(0xFFFE), chr(0xFFFF)]


class Collector:
    """A queue that keeps what is put on it."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.queue = MemoryQueue(self._put)

    async def _put(self, body: str) -> None:
        self.bodies.append(body)


async def put_all(connection_ids: list[str], text: str, group: str | None = "lobby") -> list[str]:
    """Hand connections over and return the messages that they become."""
    collector = Collector()
    batches = Batches(collector.queue, text, group=group, above=0)
    for connection_id in connection_ids:
        if batch := batches.add(connection_id):
            await batches.put(batch)
    if batch := batches.rest():
        await batches.put(batch)
    return collector.bodies


@given(
    connection_ids=st.lists(st.text(max_size=40), max_size=50, unique=True),
    text=st.text(st.characters(codec="utf-8")),
    group=st.none() | st.text(st.characters(codec="utf-8")),
)
async def test_what_is_put_on_the_queue_is_read_from_it(
    connection_ids: list[str], text: str, group: str | None
) -> None:
    bodies = await put_all(connection_ids, text, group)

    read = [Batch.read(body) for body in bodies]
    assert [connection_id for batch, _ in read for connection_id in batch.connections] == connection_ids
    assert all(batch.group == group and found == text for batch, found in read)


async def test_a_batch_has_a_bounded_number_of_connections() -> None:
    connection_ids = [f"{number:015}=" for number in range(2 * BATCH_CONNECTIONS + 1)]

    bodies = await put_all(connection_ids, "hello")

    assert [len(Batch.read(body)[0].connections) for body in bodies] == [BATCH_CONNECTIONS, BATCH_CONNECTIONS, 1]


@pytest.mark.parametrize("character", ["x", '"', "\n", "é", "\U0001f44b", *SQS_REFUSES])
async def test_the_largest_text_and_the_longest_ids_fit_into_a_message_that_sqs_takes(character: str) -> None:
    size = len(character.encode())
    # DynamoDB's sort key has 1024 bytes at the most; an id that somebody has planted may have as many.
    connection_ids = [str(number) + character * (1000 // size) for number in range(200)]

    bodies = await put_all(connection_ids, character * (MESSAGE_BYTES // size), character * (NAME_BYTES // size))

    assert max(map(len, bodies)) <= QUEUE_MESSAGE_BYTES
    assert not any(refused in body for body in bodies for refused in SQS_REFUSES)
    assert [i for body in bodies for i in Batch.read(body)[0].connections] == connection_ids


@pytest.mark.parametrize(
    "body",
    [
        "hello",
        "{}",
        json.dumps({"text": "aGVsbG8=", "group": "lobby", "connections": "a"}),
        json.dumps({"text": "not base64!", "group": "lobby", "connections": ["a"]}),
        json.dumps({"text": "/w==", "group": "lobby", "connections": ["a"]}),  # no UTF-8
        json.dumps({"text": "aGVsbG8=", "group": "lobby", "connections": ["a"], "more": 1}),
    ],
)
def test_another_text_on_the_queue_is_refused_without_being_repeated(body: str) -> None:
    with pytest.raises(UnexpectedEvent, match="expected a message of the fan-out queue") as refused:
        Batch.read(body)
    assert "hello" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "taken"),
    [
        (GatewayError("no answer", connection_id="a"), True),
        (GatewayError("full buffer", connection_id="a", status=429), True),
        (GatewayError("broken", connection_id="a", status=500), True),
        (GatewayError("busy", connection_id="a", status=503), True),
        (GatewayError("no permission", connection_id="a", status=403), False),
        (InvalidConnectionId("no id", connection_id="a", status=400), False),
        (ConnectionGone("a"), False),
        (ZeroDivisionError(), False),
    ],
)
def test_only_what_may_pass_is_worth_the_queue(error: Exception, taken: bool) -> None:
    assert Batches(Collector().queue, "hello", group=None, above=0).takes(error) is taken


def test_without_a_queue_a_broadcast_keeps_everybody() -> None:
    assert batches_for("hello", "lobby", Backend(MemoryRegistry(), FakeGateway())) is None


def test_the_backend_says_how_many_a_broadcast_posts_to_itself() -> None:
    through = Backend(MemoryRegistry(), FakeGateway(), fanout=Collector().queue, fanout_above=7)
    batches = batches_for("hello", "lobby", through)
    assert batches is not None
    assert batches.above == 7
