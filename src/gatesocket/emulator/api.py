"""A WebSocket API as it is deployed: its name, its routes, and how a message chooses among them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gatesocket.emulator.throttle import RateLimit
from gatesocket.exceptions import ConfigurationError
from gatesocket.limits import INTEGRATION_SECONDS

__all__ = ["CONNECT", "DEFAULT", "DISCONNECT", "Api", "Authorizer", "Route"]

CONNECT: Final = "$connect"
DEFAULT: Final = "$default"
DISCONNECT: Final = "$disconnect"

_TERM = re.compile(
    r"\$\{request\.body\.(?P<braced>[^{}]+)\}"  # ${request.body.action}
    r"|\$request\.body\.(?P<bare>[\w.\[\]-]+)"  # $request.body.action
    r"|\\(?P<escaped>\$)"  # \$default, a constant
    r"|(?P<unknown>\$)"
)
_STEP = re.compile(r"\[(?P<index>\d+)\]|(?P<name>[^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda authorizer of the type REQUEST (facts sheet, section 9)."""

    function: str
    """The function's name, for whoever performs `Invoke`."""
    identity_sources: tuple[str, ...] = ()
    """What a request must have for the function to be asked: ``route.request.querystring.token``."""


@dataclass(frozen=True, slots=True)
class Route:
    """What serves one route key."""

    function: str
    """The function's name, or that of an integration without one, for whoever performs `Invoke`."""
    two_way: bool = False
    """Whether the function's answer goes to the client: the route has a response selection expression and a
    RouteResponse (facts sheet, section 3)."""
    selects_response: bool = False
    """Whether the route has the expression, be there a RouteResponse or not: a quirk says if that is enough."""
    authorizer: Authorizer | None = None
    """Who decides on handshakes; of other routes than `$connect` it is never asked (facts sheet, section 9)."""
    timeout: int = INTEGRATION_SECONDS * 1000
    """Milliseconds that API Gateway waits for the answer: the integration's own limit, if it has one."""
    limit: RateLimit | None = None
    """The stage's own throttling of the route; None leaves it to the account's quotas."""


@dataclass(frozen=True, slots=True)
class Api:
    """One stage of a WebSocket API.

    Raises:
        ConfigurationError: *selection_expression* reads something else than the message's body.
    """

    api_id: str
    stage: str
    region: str
    domain_name: str
    """The host that clients use; handlers are told it in every event."""
    selection_expression: str
    """For example `$request.body.action` (facts sheet, section 3)."""
    routes: Mapping[str, Route]
    """By route key."""
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    account_id: str = "123456789012"

    def __post_init__(self) -> None:
        if any(term["unknown"] for term in _TERM.finditer(self.selection_expression)):
            raise ConfigurationError(
                f"the route selection expression {self.selection_expression!r} of API {self.api_id} can't be "
                "evaluated: of a WebSocket message only $request.body.<name> can be read. "
                r"Write a constant as \$default"
            )

    @property
    def connect_arn(self) -> str:
        """The ARN of the `$connect` route, by which authorizers' policies name it."""
        return f"arn:aws:execute-api:{self.region}:{self.account_id}:{self.api_id}/{self.stage}/{CONNECT}"

    def route_key_for(self, text: str) -> str | None:
        """Return the key of the route that serves the message *text*; None if there is no such route.

        That is the route whose key the selection expression gives, otherwise `$default`. A message can't
        choose `$connect` or `$disconnect`.
        """
        key = self._select(text)
        if key in self.routes and key not in (CONNECT, DISCONNECT):
            return key
        return DEFAULT if DEFAULT in self.routes else None

    def _select(self, text: str) -> str:
        """Evaluate the selection expression; a message that isn't JSON gives `$default`."""
        if not any(term["braced"] or term["bare"] for term in _TERM.finditer(self.selection_expression)):
            return _TERM.sub("$", self.selection_expression)
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            return DEFAULT

        def value(term: re.Match[str]) -> str:
            return "$" if term["escaped"] else _read(body, term["braced"] or term["bare"])

        return _TERM.sub(value, self.selection_expression)


def _read(body: Any, path: str) -> str:
    """Return what stands at *path* as a string; an empty one if nothing does."""
    for step in _STEP.finditer(path):
        try:
            body = body[int(step["index"]) if step["index"] else step["name"]]
        except (LookupError, TypeError):
            return ""
    return body if isinstance(body, str) else json.dumps(body)
