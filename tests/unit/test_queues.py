"""Queues of texts: SQS's and the one in memory."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from gatesocket.exceptions import ConfigurationError, QueueError
from gatesocket.queues import MemoryQueue, SQSQueue

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"


class Client:
    """An SQS client that remembers its calls, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[dict[str, Any]] = []

    def send_message(self, **call: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        self.calls.append(call)
        return {"MessageId": "1", "ResponseMetadata": {"RetryAttempts": 0}}

    def close(self) -> None:
        raise AssertionError("a client that was given is its maker's to close")


def queue(client: Client) -> SQSQueue:
    return SQSQueue(URL, client=client)  # type: ignore[arg-type]  # all that it uses


async def test_a_text_becomes_a_message_of_the_queue() -> None:
    client = Client()

    await queue(client).put("hello")
    await queue(client).put("later", delay=89.2)

    assert client.calls == [
        {"QueueUrl": URL, "MessageBody": "hello", "DelaySeconds": 0},
        {"QueueUrl": URL, "MessageBody": "later", "DelaySeconds": 90},
    ]


async def test_a_refusal_names_the_queue_and_what_sqs_said() -> None:
    answer: Any = {
        "Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue", "Message": "The specified queue does not exist"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }

    with pytest.raises(QueueError) as refused:
        await queue(Client(ClientError(answer, "SendMessage"))).put("hello")

    assert str(refused.value) == (
        f"the queue {URL} didn't take a message: AWS.SimpleQueueService.NonExistentQueue: "
        "The specified queue does not exist"
    )


async def test_a_queue_that_cannot_be_reached_has_not_taken_the_message() -> None:
    with pytest.raises(QueueError, match="didn't take a message: Could not connect to the endpoint"):
        await queue(Client(EndpointConnectionError(endpoint_url=URL))).put("hello")


async def test_without_credentials_the_deployment_is_at_fault() -> None:
    with pytest.raises(ConfigurationError, match="sqs can't be used: Unable to locate credentials"):
        await queue(Client(NoCredentialsError())).put("hello")


async def test_closing_leaves_a_client_open_that_was_given() -> None:
    await queue(Client()).aclose()


async def test_a_memory_queue_hands_each_text_over() -> None:
    seen: list[str] = []

    async def on_put(body: str) -> None:
        seen.append(body)

    await MemoryQueue(on_put).put("hello")

    assert seen == ["hello"]
