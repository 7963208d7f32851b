"""Request templates: what API Gateway makes of an event for the service behind a route, without a function.

They are written in VTL. Of it this module knows text and references, which is all that a message for a queue is made
of: ``$context``'s variables, ``$stageVariables``, ``$input.body``, ``$input.json('$.a')``, ``$input.path('$.a')``,
``$util.urlEncode(…)`` and ``$util.base64Encode(…)``. Whatever else there is in VTL, directives above all, is refused by
name when the template is read, not when a client's message meets it.

Sources:
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html,
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html and, for what
is a reference and what is text, https://velocity.apache.org/engine/2.4/user-guide.html
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from gatesocket.events import WebSocketEvent
from gatesocket.exceptions import ConfigurationError

__all__ = ["MappingTemplate"]

Values = Mapping[str, Any]
"""The event that a template is rendered for."""

Part = Callable[[Values], str]
"""A piece of a template: given the event, its text."""

_NAME: Final = r"[A-Za-z][\w-]*"
_REFERENCE: Final = re.compile(
    rf"""\$(?:
        context\.(?P<context>{_NAME}(?:\.{_NAME})*)
      | stageVariables\.(?P<variable>{_NAME})
      | input\.(?:(?P<body>body)\b|(?P<reader>json|path)\(\s*'(?P<path>\$[\w.-]*)'\s*\))
      | util\.(?P<function>{_NAME})\(
    )""",
    re.VERBOSE,
)
_STATEMENT: Final = re.compile(
    rf"""
        \#\#\w* | \#\* | \#\[\[ | \#\{{?@?{_NAME}\}}?   # a comment, an uninterpreted part, a directive or a macro
      | \\+[\$\#]                                       # an escape
      | \$!?\{{?{_NAME}(?:\.{_NAME})*                   # a reference
    """,
    re.VERBOSE,
)
"""Where VTL begins to be something else than text."""

_CONTEXT: Final = frozenset(
    {
        "apiId",
        "authorizer",
        "connectedAt",
        "connectionId",
        "domainName",
        "eventType",
        "extendedRequestId",
        "identity",
        "messageId",
        "requestId",
        "requestTime",
        "requestTimeEpoch",
        "routeKey",
        "stage",
    }
)
"""The variables of ``$context`` that a message's event has too, by the first of their names."""


class MappingTemplate:
    """One request template, ready to be rendered.

    Args:
        text: the template.

    Raises:
        ConfigurationError: it holds something of VTL that isn't known here; the message names it.
    """

    def __init__(self, text: str) -> None:
        self._parts: list[Part] = []
        at = 0
        while (statement := _STATEMENT.search(text, at)) is not None:
            self._parts.append(_constant(text[at : statement.start()]))
            part, at = _reference(text, statement.start())
            self._parts.append(part)
        self._parts.append(_constant(text[at:]))

    def render(self, event: WebSocketEvent) -> str:
        """Return what the template makes of a MESSAGE event. A variable that the event doesn't have is empty.

        Raises:
            ValueError: the template reads the client's message as JSON, and it is none.
        """
        return "".join(part(event) for part in self._parts)


def _reference(text: str, start: int) -> tuple[Part, int]:
    """Read the reference that begins at *start*; return it, and where it ends."""
    reference = _REFERENCE.match(text, start)
    if reference is None:
        raise _refused(text, start)
    if reference["context"]:
        path = reference["context"].split(".")
        if path[0] not in _CONTEXT:
            raise _refused(text, start)
        return (lambda event: _text(_found(event["requestContext"], path))), reference.end()
    if reference["variable"]:
        path = ["stageVariables", reference["variable"]]
        return (lambda event: _text(_found(event, path))), reference.end()
    if reference["function"]:
        return _call(text, start, reference)
    if reference["body"]:
        return _body, reference.end()
    path = reference["path"].split(".")[1:]
    read = json.dumps if reference["reader"] == "json" else _text
    return (lambda event: read(_found(json.loads(_body(event)), path))), reference.end()


def _call(text: str, start: int, call: re.Match[str]) -> tuple[Part, int]:
    """Read what a function of ``$util`` is given, and the bracket behind it."""
    function = _FUNCTIONS.get(call["function"])
    if function is None or text[call.end() : call.end() + 1] != "$":
        raise _refused(text, start)
    argument, end = _reference(text, call.end())
    if text[end : end + 1] != ")":
        raise _refused(text, start)
    return (lambda event: function(argument(event))), end + 1


def _refused(text: str, start: int) -> ConfigurationError:
    statement = _STATEMENT.match(text, start)
    named = statement[0] if statement else text[start:]
    return ConfigurationError(
        f"its request template has {named!r}, which isn't run on this machine: of VTL only $context.…, "
        "$stageVariables.…, $input.body, $input.json('$.…'), $input.path('$.…'), and $util.urlEncode and "
        "$util.base64Encode of one of these"
    )


def _constant(text: str) -> Part:
    return lambda _: text


def _found(value: Any, path: list[str]) -> Any:
    """Return what is at *path*, or None if nothing is."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _body(event: Values) -> str:
    return str(event.get("body", ""))


def _url_encode(text: str) -> str:
    """Encode as a form does, which is how Java's URLEncoder understands it."""
    return quote_plus(text, safe="*").replace("~", "%7E")


def _base64_encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


_FUNCTIONS: Final[Mapping[str, Callable[[str], str]]] = {"base64Encode": _base64_encode, "urlEncode": _url_encode}
