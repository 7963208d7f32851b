"""API Gateway's HTTP API: which route serves a request, the Lambda event it makes of it, and what an answer means.

No I/O: `match` and `event` on the way in, `response` on the way out. The event is the payload format 2.0 of
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html, which is also
the source of how answers are read; routes are chosen as in http-api-develop-routes.html.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from gatesocket.emulator.answers import Answer, Failed

__all__ = [
    "FORBIDDEN",
    "NOT_FOUND",
    "HttpRequest",
    "HttpResponse",
    "HttpRoute",
    "Match",
    "event",
    "match",
    "problem",
    "response",
]

_VARIABLE: Final = re.compile(r"\{(?P<name>[^}+]+)(?P<greedy>\+?)\}")
_TEXTUAL: Final = re.compile(r"text/|application/(json|javascript|xml|.*\+(json|xml))")
_DEFAULT: Final = "$default"


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One route of an HTTP API."""

    method: str
    """In capitals; ``ANY`` for every method."""
    path: str
    """With ``{name}`` for one segment and ``{name+}`` for all that follow; ``$default`` takes what no other does."""
    function: str
    """The logical id of the function behind it."""

    @property
    def key(self) -> str:
        """The route key, as events name it."""
        return _DEFAULT if self.path == _DEFAULT else f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Match:
    """The route that serves a request."""

    route: HttpRoute
    parameters: Mapping[str, str]
    """Values of the path's variables."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a client asked."""

    method: str
    raw_path: str
    """As it was sent, percent-encoded."""
    query: str
    """As it was sent, without the question mark."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What the client gets."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=())
    body: bytes = b""


def match(routes: Iterable[HttpRoute], method: str, path: str) -> Match | None:
    """Return the route that serves *method* on *path* (percent-decoded); None if there is none.

    A path without variables wins over one with, that one over a greedy one, and ``$default`` comes last. Where paths
    are equally precise, a route for the method wins over one for ``ANY``.
    """
    best: tuple[tuple[int, int, bool], Match] | None = None
    for route in routes:
        if route.method not in {"ANY", method}:
            continue
        parameters = _parameters(route.path, path)
        if parameters is None:
            continue
        rank = (_precision(route.path), len(route.path), route.method != "ANY")
        if best is None or rank > best[0]:
            best = rank, Match(route, parameters)
    return best[1] if best else None


def event(matched: Match, request: HttpRequest, *, request_id: str, now: int, domain_name: str) -> dict[str, Any]:
    """Make the Lambda event of a request.

    Args:
        matched: what `match` found.
        request: what the client sent.
        request_id: an id that no other request has.
        now: milliseconds since the epoch.
        domain_name: the host that clients use.
    """
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in request.headers:
        if name.lower() == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";")]
        else:
            headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
    headers |= {"x-forwarded-for": request.source_ip, "x-forwarded-proto": "http"}
    path = unquote(request.raw_path)
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": matched.route.key,
        "rawPath": request.raw_path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": domain_name,
            "domainPrefix": domain_name.partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": matched.route.key,
            "stage": _DEFAULT,
            "time": datetime.fromtimestamp(now / 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": now,
        },
        "isBase64Encoded": False,
    }
    if cookies:
        made["cookies"] = cookies
    if request.query:
        made["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    if matched.parameters:
        made["pathParameters"] = dict(matched.parameters)
    if request.body:
        text = _text(request.body, headers.get("content-type", ""))
        made["body"] = base64.b64encode(request.body).decode() if text is None else text
        made["isBase64Encoded"] = text is None
    return made


def response(answer: Answer) -> HttpResponse:
    """Read a function's answer.

    An answer without ``statusCode`` is a body to send with 200, as JSON. A function that failed, or whose answer can't
    be read, gives 500.
    """
    if isinstance(answer, Failed):
        return problem(500, "Internal Server Error")
    value = answer.value
    if not isinstance(value, Mapping) or "statusCode" not in value:
        return HttpResponse(200, (("content-type", "application/json"),), _encoded(value))
    return _proxy_response(value)


def _proxy_response(value: Mapping[str, Any]) -> HttpResponse:
    status, body = value["statusCode"], value.get("body") or ""
    headers, cookies = value.get("headers") or {}, value.get("cookies") or []
    well_formed = isinstance(status, int) and isinstance(headers, Mapping) and isinstance(cookies, list)
    if not well_formed or not 100 <= status <= 599:  # noqa: PLR2004
        return problem(500, "Internal Server Error")
    try:
        content = base64.b64decode(body) if value.get("isBase64Encoded") else _encoded(body)
    except (binascii.Error, TypeError, ValueError):
        return problem(500, "Internal Server Error")
    pairs = [(str(name).lower(), str(text)) for name, text in headers.items()]
    if content and not any(name == "content-type" for name, _ in pairs):
        pairs.append(("content-type", "text/plain; charset=utf-8"))
    pairs += [("set-cookie", str(cookie)) for cookie in cookies]
    return HttpResponse(status, tuple(pairs), content)


def _encoded(value: object) -> bytes:
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def problem(status: int, message: str) -> HttpResponse:
    """Make one of API Gateway's own refusals."""
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return HttpResponse(status, (("content-type", "application/json"),), body)


NOT_FOUND: Final = problem(404, "Not Found")
"""What a client gets when no route serves its request."""

FORBIDDEN: Final = problem(403, "Forbidden")
"""What a client gets under a stage that there isn't."""


def _parameters(pattern: str, path: str) -> dict[str, str] | None:
    if pattern == _DEFAULT:
        return {}
    expression, position = "", 0
    for variable in _VARIABLE.finditer(pattern):
        value = "(.+)" if variable["greedy"] else "([^/]+)"
        expression += re.escape(pattern[position : variable.start()]) + value
        position = variable.end()
    found = re.fullmatch(expression + re.escape(pattern[position:]), path)
    if found is None:
        return None
    names = (variable["name"] for variable in _VARIABLE.finditer(pattern))
    return dict(zip(names, found.groups(), strict=True))


def _precision(pattern: str) -> int:
    if pattern == _DEFAULT:
        return 0
    if "+}" in pattern:
        return 1
    return 2 if "{" in pattern else 3


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _text(body: bytes, content_type: str) -> str | None:
    """Return a body that goes into the event as it is; None for one that goes in as base64."""
    if _TEXTUAL.match(content_type.lower()):
        try:
            return body.decode()
        except UnicodeDecodeError:
            return None
    return None
