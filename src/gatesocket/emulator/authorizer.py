"""Lambda authorizers of the type REQUEST, which decide on handshakes (facts sheet, section 9).

No I/O: `lacks_identity` says whether the authorizer is asked at all, `judge` what its answer means.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gatesocket.emulator.answers import Answer, Failed
from gatesocket.emulator.error_frames import UNAUTHORIZED
from gatesocket.emulator.events import AuthorizerEvent
from gatesocket.emulator.policy import allows
from gatesocket.limits import AUTHORIZER_CONTEXT_BYTES

__all__ = ["Allowed", "Denied", "judge", "lacks_identity"]

_ACTION: Final = "execute-api:Invoke"


@dataclass(frozen=True, slots=True)
class Allowed:
    """The client may connect."""

    context: Mapping[str, str]
    """What every event of the connection says of the client in ``requestContext.authorizer``."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The client may not connect."""

    status: int
    why: str
    """For the log: the client isn't told."""


def lacks_identity(sources: tuple[str, ...], event: AuthorizerEvent) -> str | None:
    """Return the first identity source that *event* has no value for; None if it has all.

    A request that lacks one is answered 401, and the authorizer isn't invoked.
    """
    return next((source for source in sources if not _value(source, event)), None)


def judge(answer: Answer, *, method_arn: str) -> Allowed | Denied:
    """Read what an authorizer answered.

    401 if it raised an error with the message "Unauthorized", 403 if its policy doesn't allow the connection, and 500
    if it raised anything else or answered in another form: a ``statusCode``, a context with something nested in it,
    more than 8 KB. The "simple" response of HTTP APIs is such another form.
    """
    if isinstance(answer, Failed):
        status = 401 if answer.message == UNAUTHORIZED else 500
        return Denied(status, f"the authorizer raised {answer.error_type}: {answer.message}")
    try:
        principal, policy, context = _read(answer.value)
        allowed = allows(policy, action=_ACTION, resource=method_arn)
    except ValueError as error:
        return Denied(500, f"the authorizer's answer can't be read: {error}")
    if not allowed:
        return Denied(403, f"the authorizer's policy doesn't allow {_ACTION} on {method_arn}")
    return Allowed({**context, "principalId": principal})


def _read(value: object) -> tuple[str, object, dict[str, str]]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected an object, got {type(value).__name__}")  # noqa: TRY004  # one kind of error
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > AUTHORIZER_CONTEXT_BYTES:
        raise ValueError(f"it has {size} bytes, more than {AUTHORIZER_CONTEXT_BYTES}")
    principal, context = value.get("principalId"), value.get("context") or {}
    if not isinstance(principal, str):
        raise ValueError("expected a principalId that is a text")  # noqa: TRY004
    if not isinstance(context, Mapping):
        raise ValueError("expected a context that is an object")  # noqa: TRY004
    return principal, value.get("policyDocument"), {str(key): _text(key, context[key]) for key in context}


def _text(key: object, value: object) -> str:
    """Write a value of the context as events have it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise ValueError(f"expected {key!r} of the context to be a text, a number or a boolean")


def _value(source: str, event: AuthorizerEvent) -> object:
    """Return what *source* names: ``route.request.header.Auth``, ``context.identity.sourceIp``; None if nothing."""
    kind, _, name = source.partition("route.request.")[2].partition(".")
    match kind:
        case "header":
            return next((value for key, value in event["headers"].items() if key.lower() == name.lower()), None)
        case "querystring":
            return event.get("queryStringParameters", {}).get(name)
    root, _, path = source.partition(".")
    if root == "stageVariables":
        return event["stageVariables"].get(path)
    found: Any = event["requestContext"] if root == "context" else None
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
