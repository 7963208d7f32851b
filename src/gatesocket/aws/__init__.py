"""Calls to DynamoDB, SQS and API Gateway: a lean client on asyncio, and boto3 behind the same Protocol.

The lean one is the default because these calls are most of what a message costs (docs/aws-client.md).
"""

from typing import Any

from gatesocket.aws.base import AWSClient, Refused, Unreachable
from gatesocket.aws.boto3_client import Boto3Client
from gatesocket.aws.client import AsyncioClient

__all__ = ["AWSClient", "AsyncioClient", "Boto3Client", "Refused", "Unreachable", "client_for"]


def client_for(service: str, client: Any, *, region: str | None = None, endpoint_url: str | None = None) -> AWSClient:
    """Return *client* as an `AWSClient`: one it may be already, or boto3's; None makes the lean one."""
    if client is None:
        return AsyncioClient(service, region=region, endpoint_url=endpoint_url)
    return client if isinstance(client, AWSClient) else Boto3Client(service, client=client)
