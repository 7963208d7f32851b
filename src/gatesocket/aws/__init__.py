"""Calls to DynamoDB, SQS and API Gateway: a lean client on asyncio, and boto3 behind the same Protocol.

The lean one is the default because these calls are most of what a message costs (docs/aws-client.md).
"""

from gatesocket.aws.boto3_client import LateClient, Refused, Unreachable

__all__ = ["LateClient", "Refused", "Unreachable"]
