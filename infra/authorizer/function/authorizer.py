"""Decide on handshakes before the app does: a Lambda authorizer for the WebSocket API's ``$connect``.

A client brings its token in the header ``Authorization: Bearer …``, as the second of the subprotocols ``bearer, …``, or
in the query parameter ``token``; the first of these that there is counts. Browsers can't set headers on a WebSocket.
Subprotocols are the better of the other two, because addresses end up in logs, and the app then has to accept with the
subprotocol ``bearer``.

Environment variables: either ``SHARED_TOKEN``, or ``JWKS_URL``, ``ISSUER`` and ``AUDIENCE`` of whoever issues JSON Web
Tokens. Who passes is told to the app in every event's ``requestContext.authorizer``: ``principalId``, and of a JWT's
claims those of ``CLAIMS``. A route finds the event in ``websocket.scope["aws.event"]``.

API Gateway answers the client 401 if the authorizer raises "Unauthorized", and 500 for any other error, such as that
the issuer's keys can't be fetched: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
"""

import hmac
import json
import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NotRequired, TypedDict

import jwt

__all__ = ["Authorizer", "handler"]

logger = logging.getLogger("authorizer")
logger.setLevel(logging.INFO)

ALGORITHMS: Final = ("RS256", "ES256")
"""What a signature may be made with; a token's own word on it isn't taken."""

FETCHED_WITHIN: Final = 5.0
"""Seconds that the issuer's server has, of the 29 that a handshake waits."""

CLAIMS: Final = "sub exp scope"
LARGEST_CONTEXT: Final = 4096
"""Bytes of claims that are passed on; API Gateway takes 8 KB with the policy, and sends them with every event."""


class AuthorizerEvent(TypedDict):
    """What API Gateway sends; of it, what is read here. Absent parts may be null, too."""

    methodArn: str
    headers: NotRequired[dict[str, str] | None]
    queryStringParameters: NotRequired[dict[str, str] | None]


class Unauthorized(Exception):
    """The client may not connect. API Gateway goes by the text."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


Context = dict[str, str | int | float | bool]


class Authorizer:
    """Check the token of a handshake.

    Args:
        environment: the function's variables.

    Raises:
        ValueError: they name neither a shared token nor an issuer, or both, or only a part of an issuer.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        shared = environment.get("SHARED_TOKEN")
        issuer = {name: environment[name] for name in ("JWKS_URL", "ISSUER", "AUDIENCE") if environment.get(name)}
        self._claims = (environment.get("CLAIMS") or CLAIMS).split()
        self._check: Callable[[str], tuple[str, Context]]
        if shared and not issuer:
            self._shared = shared.encode()
            self._check = self._is_shared
        elif len(issuer) == 3 and not shared:  # noqa: PLR2004  # all three of them
            self._keys = jwt.PyJWKClient(issuer["JWKS_URL"], timeout=FETCHED_WITHIN)
            self._issuer, self._audience = issuer["ISSUER"], issuer["AUDIENCE"]
            self._check = self._is_issued
        else:
            got = [*(["SHARED_TOKEN"] if shared else []), *issuer]
            raise ValueError(f"expected either SHARED_TOKEN, or JWKS_URL, ISSUER and AUDIENCE, got {got or 'none'}")

    def __call__(self, event: AuthorizerEvent, context: object) -> dict[str, Any]:
        """Return the policy that lets a client connect, with what is known of it.

        Raises:
            Unauthorized: it brings no token, or one that isn't valid; the log says why, without the token.
            jwt.PyJWKClientConnectionError: the issuer's keys can't be fetched.
            ValueError: the token's claims are more than is passed on.
        """
        token = token_of(event)
        if token is None:
            logger.info("refused: no token in Authorization, in the subprotocols or in the query")
            raise Unauthorized
        principal, known = self._check(token)
        if len(json.dumps(known)) > LARGEST_CONTEXT:
            raise ValueError(f"expected at most {LARGEST_CONTEXT} bytes of claims; name fewer in CLAIMS")
        statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
        return {
            "principalId": principal,
            "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            "context": known,
        }

    def _is_shared(self, token: str) -> tuple[str, Context]:
        if not hmac.compare_digest(token.encode(), self._shared):
            logger.info("refused: not the shared token")
            raise Unauthorized
        return "shared-token", {}

    def _is_issued(self, token: str) -> tuple[str, Context]:
        try:
            key = self._keys.get_signing_key_from_jwt(token).key
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "sub"]},
            )
        except jwt.PyJWKClientConnectionError:
            raise
        except (jwt.InvalidTokenError, jwt.PyJWKClientError) as error:
            logger.info("refused: %s", type(error).__name__)
            raise Unauthorized from error
        # Flat values only: API Gateway refuses others.
        known = {name: value for name in self._claims if isinstance(value := claims.get(name), str | int | float)}
        return str(claims["sub"]), known


def token_of(event: AuthorizerEvent) -> str | None:
    """Return the token that a client brings; None if there is none."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    if offered[0] == "bearer" and len(offered) > 1 and offered[1]:
        return offered[1]
    return (event.get("queryStringParameters") or {}).get("token") or None


@cache
def _authorizer() -> Authorizer:
    """Make the process's authorizer with its first handshake; it keeps the issuer's keys."""
    return Authorizer(os.environ)


def handler(event: AuthorizerEvent, context: object) -> dict[str, Any]:
    """Serve one handshake: the Lambda entry point."""
    return _authorizer()(event, context)
