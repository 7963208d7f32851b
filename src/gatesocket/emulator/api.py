"""A WebSocket API as it is deployed: its name, its routes, and how a message chooses among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gatesocket.emulator.models import Models
from gatesocket.emulator.selection import DEFAULT, check, select
from gatesocket.emulator.throttle import RateLimit
from gatesocket.limits import INTEGRATION_SECONDS

__all__ = ["CONNECT", "DEFAULT", "DISCONNECT", "Api", "Authorizer", "Route"]

CONNECT: Final = "$connect"
DISCONNECT: Final = "$disconnect"


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
    models: Models | None = None
    """What messages have to fit; None takes any."""
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
        check(self.selection_expression, f"API {self.api_id}: the route selection expression")

    @property
    def connect_arn(self) -> str:
        """The ARN of the `$connect` route, by which authorizers' policies name it."""
        return f"arn:aws:execute-api:{self.region}:{self.account_id}:{self.api_id}/{self.stage}/{CONNECT}"

    def route_key_for(self, text: str) -> str | None:
        """Return the key of the route that serves the message *text*; None if there is no such route.

        That is the route whose key the selection expression gives, otherwise `$default`. A message can't
        choose `$connect` or `$disconnect`.
        """
        key = select(self.selection_expression, text)
        if key in self.routes and key not in (CONNECT, DISCONNECT):
            return key
        return DEFAULT if DEFAULT in self.routes else None
