"""JSON Web Tokens, checked by PyJWT: ``pip install gatesocket[jwt]``.

::

    google = JWTs(
        jwks_url="https://www.googleapis.com/oauth2/v3/certs", issuer="https://accounts.google.com", audience="my-app"
    )
    CurrentUser = Annotated[Claims, Depends(Authenticate(google, InSubprotocol()))]
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import jwt
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError
from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Claims", "JWTs"]

logger = logging.getLogger("gatesocket")

FETCHED_WITHIN: Final = 5.0
"""Seconds that the issuer's key server has, of the 29 that API Gateway waits for a handshake."""


class Claims(BaseModel):
    """What a valid token says: the registered claims of RFC 7519, section 4.1, and any others as attributes."""

    model_config = ConfigDict(extra="allow", frozen=True)

    sub: str
    """Whom it stands for."""
    exp: float
    """When it expires, in seconds since the epoch: ``messages(…, until=claims.exp)`` holds a connection to it."""
    iss: str | None = None
    aud: str | list[str] | None = None


class JWTs:
    """Checks tokens of one issuer; an instance is what `gatesocket.auth.Authenticate` takes.

    A token has to say when it expires and whom it stands for. Times are the host's.

    Args:
        key: the issuer's public key in PEM, or the secret of HMAC; None takes the keys at *jwks_url*.
        jwks_url: where the issuer publishes its keys as a JSON Web Key Set (RFC 7517); fetched when they are needed for
            the first time, kept for five minutes, and fetched again for a key that isn't among them, at most every
            thirty seconds.
        algorithms: those that a signature may have; the token's own word on it isn't taken.
        issuer: what ``iss`` has to be; None lets any pass.
        audience: what ``aud`` has to hold; None refuses tokens that are meant for somebody.
        leeway: seconds by which the clocks may differ.

    Raises:
        ValueError: not exactly one of *key* and *jwks_url* is given, or a public key might be taken for a secret.
    """

    def __init__(
        self,
        *,
        key: str | bytes | None = None,
        jwks_url: str | None = None,
        algorithms: Sequence[str] = ("RS256", "ES256"),
        issuer: str | None = None,
        audience: str | None = None,
        leeway: float = 0,
    ) -> None:
        if (key is None) == (jwks_url is None):
            raise ValueError("expected either key=… or jwks_url=…")
        if jwks_url is not None and any(name.startswith("HS") for name in algorithms):
            raise ValueError("expected algorithms with public keys beside jwks_url: anybody could sign with those")
        if any(name.lower() == "none" for name in algorithms):
            raise ValueError("expected algorithms that sign, but got 'none'")
        self._key = key
        self._keys = None if jwks_url is None else jwt.PyJWKClient(jwks_url, timeout=FETCHED_WITHIN)
        self._algorithms = list(algorithms)
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway

    async def __call__(self, token: str) -> Claims | None:
        """Return what *token* says; None if it isn't valid, for a reason that is logged at DEBUG, without the token.

        Raises:
            PyJWKClientConnectionError: the key server can't be reached, or answers nonsense.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                await self._key_of(token),
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": ["exp", "sub"]},
            )
            return Claims.model_validate(claims)
        except PyJWKClientConnectionError:
            raise
        except (jwt.InvalidTokenError, PyJWKClientError, ValidationError) as error:
            # Its class alone: some messages repeat what the token says.
            logger.debug("a JSON Web Token isn't valid: %s", type(error).__name__)
            return None

    async def _key_of(self, token: str) -> Any:
        if self._keys is None:
            return self._key
        # In a thread: it may fetch, and PyJWT waits.
        return (await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)).key
