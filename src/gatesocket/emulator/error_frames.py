"""The texts by which API Gateway tells clients what went wrong (facts sheet, section 3)."""

from typing import Final

__all__ = [
    "FORBIDDEN",
    "INTEGRATION_FAILED",
    "INTEGRATION_SLOW",
    "TOO_MANY_REQUESTS",
    "UNAUTHORIZED",
    "bad_body_frame",
    "error_frame",
]

FORBIDDEN: Final = "Forbidden"
INTEGRATION_FAILED: Final = "Internal server error"
INTEGRATION_SLOW: Final = "Endpoint request timed out"
TOO_MANY_REQUESTS: Final = "Too Many Requests"
UNAUTHORIZED: Final = "Unauthorized"


def error_frame(message: str, connection_id: str, request_id: str) -> str:
    """Write an error as API Gateway does, byte for byte: a space after the first colon, and after no other."""
    return f'{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}'


def bad_body_frame(connection_id: str, message_id: str) -> str:
    """Write the error of a message that doesn't fit its model: with other spaces, and with the message's id."""
    return f'{{"message" : "Bad request body", "connectionId": "{connection_id}", "messageId": "{message_id}"}}'
