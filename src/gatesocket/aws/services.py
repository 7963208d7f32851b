"""How each service writes its calls and its answers on the wire: pure functions beside a table.

DynamoDB and SQS speak AWS's JSON protocol 1.0, the Management API its REST JSON one.
https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from gatesocket.aws.base import Refused
from gatesocket.aws.http1 import Response

__all__ = ["SERVICES", "Call", "NotAnAnswer", "Service", "refusal"]


class NotAnAnswer(Exception):
    """What came isn't an answer of the service."""


class Call(NamedTuple):
    """One call as HTTP has it."""

    method: str
    path: str
    """Behind the endpoint's own, percent-encoded."""
    headers: Mapping[str, str]
    body: bytes


class Service(NamedTuple):
    """What there is to know of a service."""

    signing_name: str
    encode: Callable[[str, Mapping[str, Any]], Call]
    """An operation and its parameters to a call."""
    decode: Callable[[str, bytes], dict[str, Any]]
    """An operation and the body of its answer to what boto3 would return, without ``ResponseMetadata``."""


# DynamoDB and SQS.


def _wire(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"{value!r} can't be sent to AWS as JSON")


# Nothing here holds itself, and looking out for that would take half of the time.
_to_json: Final = json.JSONEncoder(default=_wire, separators=(",", ":"), check_circular=False).encode


def _json_service(name: str, target: str, decode: Callable[[str, bytes], dict[str, Any]]) -> Service:
    def encode(operation: str, parameters: Mapping[str, Any]) -> Call:
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{target}.{operation}"}
        return Call("POST", "/", headers, _to_json(parameters).encode())

    return Service(name, encode, decode)


def _plain(operation: str, body: bytes) -> dict[str, Any]:
    return _object(body, _PLAIN)


def _items(operation: str, body: bytes) -> dict[str, Any]:
    # Most answers hold no bytes: looking for their mark is cheaper than looking at each value.
    return _object(body, _WITH_BYTES if b'"B"' in body or b'"BS"' in body else _PLAIN)


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    """Decode an attribute that holds bytes.

    Nothing else is an object of one such name with a text: an attribute that happens to be called ``B`` has an object
    for its value, and a table an array of objects.
    """
    if len(value) == 1 and ("B" in value or "BS" in value):
        match value:
            case {"B": str(text)}:
                return {"B": b64decode(text, validate=True)}
            case {"BS": [str(), *_] as texts}:
                return {"BS": [b64decode(text, validate=True) for text in texts]}
    return value


# Made once: `json.loads` would make one for each answer.
_PLAIN: Final = json.JSONDecoder()
_WITH_BYTES: Final = json.JSONDecoder(object_hook=_with_bytes)


def _object(body: bytes, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        answer = decoder.decode(body.decode())
    except ValueError as error:
        raise NotAnAnswer(f"expected JSON, but got {body[:80]!r}") from error
    if not isinstance(answer, dict):
        raise NotAnAnswer(f"expected a JSON object, but got {body[:80]!r}")
    return answer


# The Management API.


_USUAL_ID: Final = re.compile(r"[A-Za-z0-9_=-]+")

_METHODS: Final = {"PostToConnection": "POST", "GetConnection": "GET", "DeleteConnection": "DELETE"}


def _encode_management(operation: str, parameters: Mapping[str, Any]) -> Call:
    connection_id = parameters["ConnectionId"]
    # As `quote` does it with either, in a tenth of the time with API Gateway's own.
    usual = _USUAL_ID.fullmatch(connection_id)
    encoded = connection_id.replace("=", "%3D") if usual else quote(connection_id, safe="")
    # As botocore has it: the id encoded, the at sign not.
    return Call(_METHODS[operation], f"/@connections/{encoded}", {}, parameters.get("Data", b""))


def _decode_management(operation: str, body: bytes) -> dict[str, Any]:
    if operation != "GetConnection":
        # API Gateway says nothing more, and a page comes from a website whose address was taken for the endpoint.
        if body.lstrip().startswith(b"<"):
            raise NotAnAnswer(f"expected nothing, but got a page: {body[:80]!r}")
        return {}
    answer = _plain(operation, body)
    try:
        identity = {"SourceIp": answer["identity"]["sourceIp"]}
        if (user_agent := answer["identity"].get("userAgent")) is not None:
            identity["UserAgent"] = user_agent
        return {
            "ConnectedAt": datetime.fromisoformat(answer["connectedAt"]),
            "LastActiveAt": datetime.fromisoformat(answer["lastActiveAt"]),
            "Identity": identity,
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotAnAnswer(f"expected a connection's description, but got {body[:200]!r}") from error


SERVICES: Final = {
    "apigatewaymanagementapi": Service("execute-api", _encode_management, _decode_management),
    "dynamodb": _json_service("dynamodb", "DynamoDB_20120810", _items),
    "sqs": _json_service("sqs", "AmazonSQS", _plain),
}
"""The services by boto3's names."""


def refusal(response: Response) -> Refused:
    """Return what an error answer says; one that names no error goes by its status.

    https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
    """
    try:
        said: Any = json.loads(response.body)
    except ValueError:
        said = None
    body: dict[str, Any] = said if isinstance(said, dict) else {}
    # SQS has other names for its errors since it speaks JSON; its clients know the old ones.
    old, _, _ = response.headers.get("x-amzn-query-error", "").partition(";")
    named = response.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code") or ""
    # A URI may follow the name, and a namespace precede it.
    code = old or str(named).partition(":")[0].rpartition("#")[2] or str(response.status)
    message = body.get("message") or body.get("Message") or ""
    return Refused(code, str(message), response.status, response.headers.get("x-amzn-requestid"))
