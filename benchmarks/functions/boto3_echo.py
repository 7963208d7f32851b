"""An echo for API Gateway as one writes it by hand: one GetItem and one post for each message, and no framework.

It does less than a route does: it doesn't count, it keeps no order, and nothing survives a failed post.
"""

import os
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")
gateway = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["GATESOCKET_ENDPOINT"])


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Send back what came, to the name that is stored of its connection."""
    connection_id = event["requestContext"]["connectionId"]
    key = {"pk": {"S": f"C#{connection_id}"}, "sk": {"S": "C"}}
    found = dynamodb.get_item(TableName=os.environ["GATESOCKET_TABLE"], Key=key, ConsistentRead=True)
    text = f"{found['Item']['pk']['S']}: {event['body']}"
    gateway.post_to_connection(ConnectionId=connection_id, Data=text.encode())
    return {"statusCode": 200}
