"""An echo without Gatesocket that posts, by boto3. Its client is made once, and finds where to in the environment."""

from typing import Any

import boto3

gateway = boto3.client("apigatewaymanagementapi")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Post a message's text back, and answer everything with success."""
    request = event["requestContext"]
    if request["eventType"] == "MESSAGE":
        gateway.post_to_connection(ConnectionId=request["connectionId"], Data=event["body"].encode())
    return {"statusCode": 200}
