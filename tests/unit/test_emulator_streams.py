"""Tables whose changes invoke functions, over a scripted stream."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from queue import Queue
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gatesocket.emulator import streams
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.resources import StreamSource
from gatesocket.emulator.streams import StreamPoller, to_record, to_repeat

SOURCE = StreamSource("connections", "F", "TRIM_HORIZON", 2, ({"eventName": ["REMOVE"]},), 1, reports_failures=True)
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/connections/stream/2026"


def change(number: str, name: str = "REMOVE") -> dict[str, Any]:
    """Make a change as GetRecords gives it."""
    return {
        "eventID": f"e{number}",
        "eventName": name,
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": datetime(2026, 1, 2, tzinfo=UTC),
            "Keys": {"pk": {"S": f"C#{number}"}},
            "OldImage": {"scope": {"B": b"\x00\x01"}, "inbox": {"L": [{"S": "x"}]}},
            "SequenceNumber": number,
        },
    }


class Streams:
    """Gives what the test puts into it."""

    def __init__(self) -> None:
        self.answers: Queue[Any] = Queue()
        self.asked: list[dict[str, Any]] = []

    def describe_stream(self, **about: str) -> Any:
        assert about == {"StreamArn": ARN}
        return {"StreamDescription": {"Shards": [{"ShardId": "shard"}]}}

    def get_shard_iterator(self, **about: str) -> Any:
        self.asked.append(about)
        return {"ShardIterator": "first"}

    def get_records(self, **about: str) -> Any:
        self.asked.append(about)
        answer = self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return {"NextShardIterator": "next", "Records": answer}


class Function:
    """Answers what the test says, in turn, and remembers its batches."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.batches: asyncio.Queue[list[str]] = asyncio.Queue()
        self.events: list[dict[str, Any]] = []

    async def invoke(self, function: str, event: dict[str, Any]) -> Answer:
        assert function == "F"
        self.events.append(event)
        self.batches.put_nowait([record["dynamodb"]["SequenceNumber"] for record in event["Records"]])
        return self.answers.pop(0) if self.answers else Returned({"batchItemFailures": []})


Polled = tuple[Streams, Function]


@pytest.fixture
async def polled(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Polled]:
    """A stream with a poller."""
    monkeypatch.setattr(streams, "POLL_SECONDS", 0)
    client, function = Streams(), Function()
    source = StreamPoller(SOURCE, client, ARN, function.invoke, lambda change: change["eventID"] == "e1")
    poller = asyncio.create_task(source.run())
    yield client, function
    poller.cancel()
    client.answers.put([])  # lets the read that is under way end
    await asyncio.wait([poller])


async def test_what_the_filter_wants_is_handed_over_in_batches_and_in_order(polled: Polled) -> None:
    client, function = polled
    client.answers.put([change("1"), change("2", "MODIFY"), change("3"), change("4")])
    assert [await function.batches.get(), await function.batches.get()] == [["1", "3"], ["4"]]
    client.answers.put([change("5")])
    assert await function.batches.get() == ["5"]
    assert client.asked[0] == {"StreamArn": ARN, "ShardId": "shard", "ShardIteratorType": "TRIM_HORIZON"}
    assert [asked["ShardIterator"] for asked in client.asked[1:3]] == ["first", "next"]


async def test_what_expired_is_marked_as_dynamodb_marks_it(polled: Polled) -> None:
    client, function = polled
    client.answers.put([change("1"), change("3")])
    await function.batches.get()
    expired, deleted = function.events[0]["Records"]
    assert expired["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert "userIdentity" not in deleted


async def test_a_batch_is_tried_again_from_the_first_failure(polled: Polled) -> None:
    client, function = polled
    function.answers = [
        Failed("ValueError", "boom"),
        Returned({"batchItemFailures": [{"itemIdentifier": "3"}]}),
        Failed("ValueError", "boom"),
    ]
    client.answers.put([change("1"), change("3")])
    assert [await function.batches.get() for _ in range(4)] == [["1", "3"], ["1", "3"], ["3"], ["3"]]


async def test_a_batch_that_fails_for_too_often_is_given_up(polled: Polled, caplog: pytest.LogCaptureFixture) -> None:
    client, function = polled
    function.answers = [Failed("ValueError", "boom")] * 2
    client.answers.put([change("1"), change("3"), change("4")])
    assert [await function.batches.get() for _ in range(3)] == [["1", "3"], ["1", "3"], ["4"]]
    assert "2 changes of table connections are given up after 2 tries" in caplog.text


async def test_a_stream_that_cannot_be_read_is_read_again(polled: Polled, caplog: pytest.LogCaptureFixture) -> None:
    client, function = polled
    client.answers.put(EndpointConnectionError(endpoint_url="http://dynamodb"))
    client.answers.put([change("1")])
    assert await function.batches.get() == ["1"]
    assert "the stream of table connections can't be read: Could not connect" in caplog.text


async def test_without_a_filter_every_change_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    client, function = Streams(), Function()
    source = replace(SOURCE, filters=())
    poller = asyncio.create_task(StreamPoller(source, client, ARN, function.invoke, lambda _: False).run())
    client.answers.put([change("1", "INSERT")])
    assert await function.batches.get() == ["1"]
    poller.cancel()
    await asyncio.wait([poller])


def test_a_record_has_the_shape_of_lambdas() -> None:
    record = to_record(change("1"), arn=ARN, expired=False)
    assert record["eventSourceARN"] == ARN
    assert record["dynamodb"]["ApproximateCreationDateTime"] == 1767312000.0
    assert record["dynamodb"]["OldImage"] == {"scope": {"B": "AAE="}, "inbox": {"L": [{"S": "x"}]}}


BATCH = [change("1"), change("3"), change("4")]


@pytest.mark.parametrize(
    ("answer", "rest"),
    [
        (Returned(None), []),
        (Returned({"batchItemFailures": []}), []),
        (Returned({"batchItemFailures": [{"itemIdentifier": "4"}, {"itemIdentifier": "3"}]}), ["3", "4"]),
        (Returned({"batchItemFailures": [{"itemIdentifier": "7"}]}), ["1", "3", "4"]),
        (Returned("done"), ["1", "3", "4"]),
        (Failed("ValueError", "boom"), ["1", "3", "4"]),
    ],
)
def test_what_failed_is_repeated(answer: Answer, rest: list[str]) -> None:
    repeated = to_repeat(BATCH, answer, reports_failures=True)
    assert [each["dynamodb"]["SequenceNumber"] for each in repeated] == rest


def test_a_report_counts_only_where_it_is_agreed_on() -> None:
    report = Returned({"batchItemFailures": [{"itemIdentifier": "1"}]})
    assert to_repeat(BATCH, report, reports_failures=False) == []
