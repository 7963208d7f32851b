"""The function behind every route of the probe: sleeps, answers and tells as the client asks."""

import json
import os
import time
from typing import Any

import boto3

__all__ = ["handler"]


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Serve one event.

    A handshake sleeps for the seconds in its query, and is refused with two headers if that says so. A message is
    answered with the status that it names, and with its connection's id as the body. A goodbye is put into a queue, as
    nobody is left to be told.
    """
    about = event["requestContext"]
    if about["eventType"] == "CONNECT":
        asked = event.get("queryStringParameters") or {}
        time.sleep(float(asked.get("sleep", 0)))
        if "refuse" in asked:
            return {"statusCode": 401, "headers": {"WWW-Authenticate": "Bearer", "X-Probe": "told"}}
        return {"statusCode": 200}
    if about["eventType"] == "DISCONNECT":
        told = {name: about.get(name) for name in ("connectionId", "disconnectStatusCode", "disconnectReason")}
        boto3.client("sqs").send_message(QueueUrl=os.environ["GOODBYES"], MessageBody=json.dumps(told))
        return {"statusCode": 200}
    return {"statusCode": json.loads(event["body"]).get("status", 200), "body": about["connectionId"]}
