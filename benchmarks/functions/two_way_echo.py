"""An echo without Gatesocket: the function's answer is what the client gets, by way of a RouteResponse."""

from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a message with its text, and everything else with success."""
    return {"statusCode": 200, "body": event.get("body", "")}
