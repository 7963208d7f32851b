"""Queues that invoke functions, over a scripted SQS."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import SqsModel
from botocore.exceptions import EndpointConnectionError

from gatesocket.emulator import queues
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.queues import Poller, to_delete, to_event
from gatesocket.emulator.resources import EventSource


def message(name: str, **more: Any) -> Any:
    """Make a message as ReceiveMessage gives it."""
    return {
        "MessageId": name,
        "ReceiptHandle": f"handle-{name}",
        "Body": f"body-{name}",
        "MD5OfBody": "0" * 32,
        "Attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1700000000000",
            "SenderId": "me",
            "ApproximateFirstReceiveTimestamp": "1700000000001",
        },
        **more,
    }


class Sqs:
    """Gives what the test puts into it, and remembers what is deleted."""

    meta = SimpleNamespace(region_name="eu-west-1")

    def __init__(self) -> None:
        self.answers: Queue[Any] = Queue()
        self.polls: list[dict[str, Any]] = []
        self.deleted: asyncio.Queue[list[str]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def get_queue_url(self, **about: str) -> dict[str, str]:
        return {"QueueUrl": f"http://sqs/{about['QueueName']}"}

    def receive_message(self, **how: Any) -> Any:
        self.polls.append(how)
        answer = self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return {"Messages": answer} if answer else {}

    def delete_message_batch(self, **what: Any) -> None:
        handles = [entry["ReceiptHandle"] for entry in what["Entries"]]
        self._loop.call_soon_threadsafe(self.deleted.put_nowait, handles)


class Function:
    """Answers as the test says, and remembers its batches."""

    def __init__(self) -> None:
        self.answer: Answer = Returned(None)
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.batches: asyncio.Queue[list[str]] = asyncio.Queue()

    async def invoke(self, function: str, event: dict[str, Any]) -> Answer:
        assert function == "F"
        self.batches.put_nowait([record["messageId"] for record in event["Records"]])
        await self.go_on.wait()
        return self.answer


@pytest.fixture
async def polled() -> AsyncIterator[tuple[Sqs, Function]]:
    """A queue with a poller."""
    sqs, function = Sqs(), Function()
    client: Any = sqs
    source = EventSource("jobs", "F", batch_size=100, reports_failures=True)
    with ThreadPoolExecutor(1) as threads:
        poller = asyncio.create_task(Poller(source, client, function.invoke, threads).run())
        yield sqs, function
        poller.cancel()
        await asyncio.wait([poller])
        for _ in range(3):
            sqs.answers.put([])  # lets the poll that is under way end


async def test_a_batch_is_one_invocation_and_then_deleted(polled: tuple[Sqs, Function]) -> None:
    sqs, function = polled
    sqs.answers.put([message("a"), message("b")])
    assert await function.batches.get() == ["a", "b"]
    assert await sqs.deleted.get() == ["handle-a", "handle-b"]
    assert sqs.polls[0]["QueueUrl"] == "http://sqs/jobs"
    assert sqs.polls[0]["MaxNumberOfMessages"] == 10
    assert sqs.polls[0]["WaitTimeSeconds"] == 20


async def test_an_empty_poll_is_followed_by_the_next(polled: tuple[Sqs, Function]) -> None:
    sqs, function = polled
    sqs.answers.put([])
    sqs.answers.put([message("a")])
    assert await function.batches.get() == ["a"]


async def test_a_fifo_queue_is_asked_again_and_again() -> None:
    """A long poll of the stand-in wouldn't see that a message group is free again, or isn't any more."""
    sqs, function = Sqs(), Function()
    client: Any = sqs
    source = EventSource("messages.fifo", "F", batch_size=10, reports_failures=True)
    sqs.answers.put([])
    sqs.answers.put([message("a")])
    with ThreadPoolExecutor(1) as threads:
        poller = asyncio.create_task(Poller(source, client, function.invoke, threads).run())
        assert await function.batches.get() == ["a"]
        poller.cancel()
        await asyncio.wait([poller])
        sqs.answers.put([])  # lets the poll that is under way end
    assert [poll["WaitTimeSeconds"] for poll in sqs.polls[:2]] == [0, 0]


async def test_a_slow_function_does_not_hold_the_next_batch_up(polled: tuple[Sqs, Function]) -> None:
    sqs, function = polled
    function.go_on.clear()
    for name in "abcde":
        sqs.answers.put([message(name)])
    assert [await function.batches.get() for _ in range(5)] == [["a"], ["b"], ["c"], ["d"], ["e"]]
    sqs.answers.put([message("f")])
    function.go_on.set()
    assert await function.batches.get() == ["f"]


async def test_what_a_failed_function_got_is_not_deleted(polled: tuple[Sqs, Function]) -> None:
    sqs, function = polled
    function.answer = Failed("ValueError", "boom")
    sqs.answers.put([message("a")])
    await function.batches.get()
    function.answer = Returned(None)
    sqs.answers.put([message("b")])
    assert await sqs.deleted.get() == ["handle-b"]


async def test_a_queue_that_cannot_be_polled_is_polled_again(
    polled: tuple[Sqs, Function], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sqs, function = polled
    monkeypatch.setattr(queues, "RETRY_SECONDS", 0)
    sqs.answers.put(EndpointConnectionError(endpoint_url="http://sqs"))
    sqs.answers.put([message("a")])
    assert await function.batches.get() == ["a"]
    assert "queue jobs can't be polled: Could not connect" in caplog.text


def test_an_event_has_the_shape_of_lambdas() -> None:
    attributes = {
        "text": {"StringValue": "x", "DataType": "String"},
        "blob": {"BinaryValue": b"\x00\x01", "DataType": "Binary"},
    }
    event = to_event([message("6ad7ac3a", MessageAttributes=attributes)], queue="jobs", region="eu-west-1")
    (record,) = event["Records"]
    assert record["messageId"] == "6ad7ac3a"
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "eu-west-1")
    assert record["eventSourceARN"] == "arn:aws:sqs:eu-west-1:123456789012:jobs"
    assert record["messageAttributes"] == {
        "text": {"stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
        "blob": {"binaryValue": "AAE=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
    }
    SqsModel.model_validate(event)


BATCH = [message("a"), message("b")]


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [
        (Returned(None), ["a", "b"]),
        (Returned({}), ["a", "b"]),
        (Returned({"batchItemFailures": []}), ["a", "b"]),
        (Returned({"batchItemFailures": None}), ["a", "b"]),
        (Returned({"batchItemFailures": [{"itemIdentifier": "a"}]}), ["b"]),
        (Returned({"batchItemFailures": [{"itemIdentifier": "unknown"}]}), []),
        (Returned({"batchItemFailures": [{"itemIdentifier": ""}]}), []),
        (Returned({"batchItemFailures": [{"itemIdentifier": None}]}), []),
        (Returned({"batchItemFailures": ["a"]}), []),
        (Returned({"batchItemFailures": "a"}), []),
        (Returned("done"), []),
        (Failed("ValueError", "boom"), []),
    ],
)
def test_what_was_processed_is_deleted(answer: Answer, deleted: list[str]) -> None:
    assert [item["MessageId"] for item in to_delete(BATCH, answer, reports_failures=True)] == deleted


def test_a_report_counts_only_where_it_is_agreed_on() -> None:
    report = Returned({"batchItemFailures": [{"itemIdentifier": "a"}]})
    assert to_delete(BATCH, report, reports_failures=False) == BATCH
