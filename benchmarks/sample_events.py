"""The Lambda events that the benchmarks send."""

from typing import Any, Final

__all__ = ["CONNECTION", "REGION", "Context", "connect", "disconnect", "http", "message"]

CONNECTION: Final = "TXzPWdnOjoECGjA="
REGION: Final = "eu-central-1"
DOMAIN: Final = f"a1b2c3d4e5.execute-api.{REGION}.amazonaws.com"


class Context:
    """What Lambda passes beside the event, as far as it is looked at."""

    aws_request_id = "7c9ec0a8-4d1c-4cb3-9ae2-0b1f5f2d3a11"

    def get_remaining_time_in_millis(self) -> int:
        """Return a function's usual time limit."""
        return 29_000


def connect(path: str, *, now: int) -> dict[str, Any]:
    """Make the event of a handshake, with the headers of a browser; *now* is milliseconds since the epoch."""
    headers = {
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "en-GB,en;q=0.5",
        "Cache-Control": "no-cache",
        "Host": DOMAIN,
        "Origin": "https://chat.example",
        "Pragma": "no-cache",
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Key": "3JAgpmHKxrYJRnXPqg7nRg==",
        "Sec-WebSocket-Version": "13",
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:122.0) Gecko/20100101 Firefox/122.0",
        "X-Amzn-Trace-Id": "Root=1-65d2fe4e-1c3a5b2f0c8d7e6f5a4b3c2d",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    return {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"__path": path, "name": "Ada"},
        "multiValueQueryStringParameters": {"__path": [path], "name": ["Ada"]},
        "requestContext": _context("CONNECT", "$connect", now),
        "isBase64Encoded": False,
    }


def message(text: str, *, now: int) -> dict[str, Any]:
    """Make the event of a message."""
    context = _context("MESSAGE", "$default", now) | {"messageId": "PJpDXchdqRcCJCA="}
    return {"requestContext": context, "body": text, "isBase64Encoded": False}


def disconnect(*, now: int) -> dict[str, Any]:
    """Make the event of a client's leaving."""
    context = _context("DISCONNECT", "$disconnect", now) | {"disconnectStatusCode": 1001, "disconnectReason": ""}
    return {"requestContext": context, "isBase64Encoded": False}


def http(path: str, query: str) -> dict[str, Any]:
    """Make the event of an HTTP API's GET request, format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "accept": "*/*",
            "accept-encoding": "gzip, deflate, br, zstd",
            "host": DOMAIN,
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:122.0) Gecko/20100101 Firefox/122.0",
            "x-amzn-trace-id": "Root=1-65d2fe4e-1c3a5b2f0c8d7e6f5a4b3c2d",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": DOMAIN,
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "-"},
            "requestId": "PJpDXEc6KRcFiJQ=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "19/Feb/2024:07:11:45 +0000",
            "timeEpoch": 1708326705684,
        },
        "isBase64Encoded": False,
    }


def _context(kind: str, route_key: str, now: int) -> dict[str, Any]:
    return {
        "routeKey": route_key,
        "eventType": kind,
        "extendedRequestId": "PJpDXEc6KRcFiJQ=",
        "requestTime": "19/Feb/2024:07:11:45 +0000",
        "messageDirection": "IN",
        "stage": "prod",
        "connectedAt": now,
        "requestTimeEpoch": now,
        "identity": {
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:122.0) Gecko/20100101 Firefox/122.0",
            "sourceIp": "192.0.2.1",
        },
        "requestId": "PJpDXEc6KRcFiJQ=",
        "domainName": DOMAIN,
        "connectionId": CONNECTION,
        "apiId": "a1b2c3d4e5",
    }
