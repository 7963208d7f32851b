"""What a process's settings make of its AWS clients."""

import pytest

from gatesocket.aws import AsyncioClient, Boto3Client
from gatesocket.backend import default_client, default_gateway, default_jobs, default_registry, default_waker
from gatesocket.gateway.management_api import ManagementAPI
from gatesocket.queues import SQSQueue
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.settings import Settings
from gatesocket.waker import QueueWaker

DEPLOYED = Settings(table="t", wake_queue="https://q/w", jobs_queue="https://q/j", region="eu-central-1")


@pytest.mark.parametrize(("name", "kind"), [("asyncio", AsyncioClient), ("boto3", Boto3Client)])
def test_one_setting_says_what_calls_aws(monkeypatch: pytest.MonkeyPatch, name: str, kind: type) -> None:
    monkeypatch.setenv("GATESOCKET_AWS_CLIENT", name)
    chosen = Settings(**DEPLOYED.model_dump(exclude={"aws_client"}))
    registry, waker, jobs = default_registry(chosen), default_waker(chosen), default_jobs(chosen)
    gateway = default_gateway(chosen, "https://a1.execute-api.eu-central-1.amazonaws.com/prod")
    assert isinstance(registry, DynamoDBRegistry)
    assert isinstance(waker, QueueWaker)
    assert isinstance(jobs, SQSQueue)
    assert isinstance(gateway, ManagementAPI)
    for client in (registry.client, waker._queue._sqs, jobs._sqs, gateway._client):
        assert isinstance(client, kind)


def test_the_lean_one_is_the_default() -> None:
    assert isinstance(default_client(Settings(), "sqs"), AsyncioClient)


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://a1.execute-api.us-east-1.amazonaws.com/prod", "us-east-1"),
        ("https://chat.example.com/key", "eu-central-1"),
    ],
)
def test_posts_are_signed_for_the_region_of_the_endpoint_if_that_says_one(endpoint: str, region: str) -> None:
    gateway = default_gateway(DEPLOYED, endpoint)
    assert isinstance(gateway, ManagementAPI)
    assert isinstance(gateway._client, AsyncioClient)
    assert gateway._client._region == region
