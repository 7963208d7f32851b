"""SQS through both AWS clients, against moto's server."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from gatesocket.aws import AsyncioClient, AWSClient, Boto3Client
from gatesocket.aws.credentials import Given
from gatesocket.aws.retry import Policy
from gatesocket.aws.sigv4 import Credentials
from gatesocket.exceptions import QueueError
from gatesocket.queues import SQSQueue

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

REGION = "eu-central-1"


@pytest.fixture
def sqs(moto_client: "DynamoDBClient") -> "SQSClient":
    """The test's own client of the server."""
    return boto3.session.Session().client(
        "sqs",
        endpoint_url=moto_client.meta.endpoint_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(params=["boto3", "asyncio"])
async def caller(request: pytest.FixtureRequest, sqs: Any) -> AsyncIterator[AWSClient]:
    if request.param == "boto3":
        yield Boto3Client("sqs", client=sqs)
    else:
        client = AsyncioClient(
            "sqs",
            endpoint_url=sqs.meta.endpoint_url,
            region=REGION,
            credentials=Given(Credentials("test", "test")),
            policy=Policy(attempts=1),
        )
        yield client
        await client.aclose()
    sqs.close()


async def test_a_text_arrives_as_it_was_put(sqs: "SQSClient", caller: AWSClient) -> None:
    url = sqs.create_queue(QueueName=f"texts-{type(caller).__name__}")["QueueUrl"]
    text = 'é "quoted" \U0001f44b\n'
    await SQSQueue(url, client=caller).put(text)
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=url)["Messages"]] == [text]


async def test_a_text_with_a_delay_is_not_there_before(sqs: "SQSClient", caller: AWSClient) -> None:
    url = sqs.create_queue(QueueName=f"delays-{type(caller).__name__}")["QueueUrl"]
    await SQSQueue(url, client=caller).put("later", delay=900)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"])
    assert attributes["Attributes"] == {"ApproximateNumberOfMessagesDelayed": "1"}
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


async def test_a_queue_that_is_not_there_is_named(sqs: "SQSClient", caller: AWSClient) -> None:
    url = f"{sqs.meta.endpoint_url}/123456789012/absent"
    with pytest.raises(QueueError, match=rf"the queue {url} didn't take a message: .*NonExistentQueue: The specified"):
        await SQSQueue(url, client=caller).put("hello")
