"""What brings an invocation to a connection that has no message of its own."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from moto import mock_aws

from gatesocket.aws import Boto3Client
from gatesocket.events import Wake, parse
from gatesocket.exceptions import ConfigurationError, RegistryError
from gatesocket.waker import MemoryWaker, QueueWaker


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield


async def test_a_memory_waker_hands_the_event_and_the_delay_over() -> None:
    seen: list[tuple[dict[str, Any], float]] = []

    async def on_wake(event: dict[str, Any], delay: float) -> None:
        seen.append((event, delay))

    await MemoryWaker(on_wake).wake("TXzPWdnOjoECGjA=", delay=5)
    await MemoryWaker(on_wake).wake("TXzPWdnOjoECGjA=", delay=9, due=1_708_326_703_000)

    [(event, delay), (timer, later)] = seen
    assert parse(event) == (Wake("TXzPWdnOjoECGjA=", event["Records"][0]["messageId"]),)
    assert parse(timer) == (Wake("TXzPWdnOjoECGjA=", timer["Records"][0]["messageId"], 1_708_326_703_000),)
    assert (delay, later) == (5, 9)


async def test_a_queue_waker_puts_a_wake_on_the_queue(aws: None) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="wake")["QueueUrl"]

    waker = QueueWaker(url, client=Boto3Client("sqs"))  # which is what mock_aws can answer
    await waker.wake("TXzPWdnOjoECGjA=")
    await waker.wake("TXzPWdnOjoECGjA=", due=1_708_326_703_000)
    await waker.aclose()

    messages = [sqs.receive_message(QueueUrl=url)["Messages"][0] for _ in range(2)]
    assert [json.loads(message["Body"]) for message in messages] == [
        {"connection_id": "TXzPWdnOjoECGjA="},
        {"connection_id": "TXzPWdnOjoECGjA=", "due": 1_708_326_703_000},
    ]
    sqs.close()


class Client:
    """An SQS client that remembers its call, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[dict[str, Any]] = []

    def send_message(self, **call: Any) -> dict[str, Any]:
        self.calls.append(call)
        if self.error:
            raise self.error
        return {"MessageId": "1", "ResponseMetadata": {"RetryAttempts": 0}}


async def test_a_delay_is_the_queues_to_keep() -> None:
    client = Client()

    await QueueWaker("url", client=client).wake("c", delay=90)  # type: ignore[arg-type]  # all that it uses

    assert client.calls == [{"QueueUrl": "url", "MessageBody": '{"connection_id":"c"}', "DelaySeconds": 90}]


async def test_without_credentials_the_deployment_is_at_fault() -> None:
    waker = QueueWaker("url", client=Client(NoCredentialsError()))  # type: ignore[arg-type]  # all that it uses

    with pytest.raises(ConfigurationError, match="sqs can't be used: Unable to locate credentials"):
        await waker.wake("c")


async def test_a_queue_that_is_not_there_is_an_error_that_names_the_connection(aws: None) -> None:
    client = Boto3Client("sqs", region="eu-west-1")
    waker = QueueWaker("https://sqs.eu-west-1.amazonaws.com/123456789012/absent", client=client)

    with pytest.raises(RegistryError, match="the wake of connection 'c' was not taken by SQS"):
        await waker.wake("c")
    await waker.aclose()
