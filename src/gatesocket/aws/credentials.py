"""Whose requests these are: Lambda's environment says so itself; elsewhere botocore's chain finds it out.

The chain knows profiles, SSO, roles and metadata services. Its imports take 90 ms and it may wait for the network, so
that it is imported by the first call that needs it, and asked in a thread.
"""

import asyncio
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from gatesocket.aws.sigv4 import Credentials
from gatesocket.exceptions import ConfigurationError

if TYPE_CHECKING:
    from botocore.credentials import Credentials as Resolved

__all__ = ["Chain", "Given", "Provider", "configured_region", "of_environment", "provider"]

SENDABLE: Final = re.compile(r"[!-~]+")
"""What can be a part of a header, or was rather pasted wrongly."""

REMEDIES: Final = {
    "credentials": (
        "Lambda provides credentials; elsewhere set AWS_PROFILE, with aws sso login before if it is one of SSO, or "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ),
    "region": "Lambda provides one; elsewhere set AWS_REGION",
}


class Provider(Protocol):
    """Gives credentials that are valid now."""

    async def get(self) -> Credentials:
        """Return them, renewed if they are about to expire.

        Raises:
            ConfigurationError: there are none.
        """
        ...

    def reject(self, credentials: Credentials) -> bool:
        """Say that AWS took *credentials* for expired; return whether `get` can find others."""
        ...


def provider(region: str | None = None) -> Provider:
    """Return what gives this process its credentials; see `Chain` for *region*."""
    credentials = of_environment(os.environ)
    return Chain(region) if credentials is None else Given(credentials)


def of_environment(environment: Mapping[str, str]) -> Credentials | None:
    """Return the credentials that *environment* holds; None if it holds none.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

    Raises:
        ConfigurationError: one is there without the other, or can't be what AWS has issued.
    """
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    access_key, secret_key = (environment.get(name) for name in names)
    token = environment.get("AWS_SESSION_TOKEN") or None
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        raise ConfigurationError(f"of {' and '.join(names)} only one is set: set both, or neither and AWS_PROFILE")
    for name, value in (*zip(names, (access_key, secret_key), strict=True), ("AWS_SESSION_TOKEN", token)):
        if value is not None and not SENDABLE.fullmatch(value):
            raise ConfigurationError(
                f"{name} holds a space, a line break or another character that no credentials have"
            )
    return Credentials(access_key, secret_key, token)


async def configured_region() -> str:
    """Return the region of botocore's configuration, which is a profile's.

    Raises:
        ConfigurationError: there is none.
    """
    return await asyncio.to_thread(_find_region)


def _find_region() -> str:
    with _botocore("region"):
        from botocore.session import Session  # noqa: PLC0415  # see the module's docstring

        region = Session().get_config_variable("region")
    if not region:
        raise ConfigurationError(f"there is no AWS region. {REMEDIES['region']}")
    return str(region)


class Given:
    """Credentials that stay as they are: Lambda gives a new process when it has new ones."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def get(self) -> Credentials:
        """See `Provider.get`."""
        return self._credentials

    def reject(self, credentials: Credentials) -> bool:
        """See `Provider.reject`."""
        return False


class Chain:
    """Whatever botocore finds: a profile, SSO, a role, a container's or an instance's metadata.

    Args:
        region: where a role's credentials are asked for; None leaves it to botocore, which doesn't know ``AWS_REGION``.
    """

    def __init__(self, region: str | None = None) -> None:
        self._region = region
        self._resolved: Resolved | None = None
        self._credentials: Credentials | None = None
        self._turn = Lock()
        """Held while botocore looks or renews: it says that nothing is needed before it gives the new ones."""

    async def get(self) -> Credentials:
        """See `Provider.get`."""
        # `refresh_needed` looks at the clock only: botocore begins to renew a quarter of an hour before they expire.
        needed = getattr(self._resolved, "refresh_needed", None)
        if self._credentials is None or self._turn.locked() or (needed is not None and needed()):
            return await asyncio.to_thread(self._find)
        return self._credentials

    def reject(self, credentials: Credentials) -> bool:
        """See `Provider.reject`."""
        # Many posts that are under way are refused together; only the first of them has others looked for.
        if credentials is self._credentials:
            self._resolved = self._credentials = None
        return True

    def _find(self) -> Credentials:
        with self._turn, _botocore("credentials"):
            resolved = self._resolved or self._resolve()
            frozen = None if resolved is None else resolved.get_frozen_credentials()
            if frozen is None or frozen.access_key is None or frozen.secret_key is None:
                raise ConfigurationError(f"there are no AWS credentials. {REMEDIES['credentials']}")
            self._resolved = resolved
            self._credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
            return self._credentials

    def _resolve(self) -> "Resolved | None":
        """Go through the chain; what it finds renews itself, without another look."""
        from botocore.session import Session  # noqa: PLC0415  # see the module's docstring

        session = Session()
        if self._region is not None:
            session.set_config_variable("region", self._region)
        return session.get_credentials()


@contextmanager
def _botocore(wanted: str) -> Iterator[None]:
    """Say botocore's errors in our words, and its absence."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # see the module's docstring
    except ImportError as error:
        raise ConfigurationError(
            f"the environment names no AWS {wanted}, and botocore, which looks elsewhere, isn't installed. "
            f"{REMEDIES[wanted]}; or pip install 'gatesocket[aws]'"
        ) from error
    try:
        yield
    except ConfigurationError:
        raise
    except Exception as error:
        # What a profile's program or a metadata service says goes wrong in more ways than botocore has errors for.
        named = "" if isinstance(error, BotoCoreError | ClientError) else f"{type(error).__name__}: "
        said = f"{named}{error}".rstrip(".")
        raise ConfigurationError(f"no AWS {wanted} can be had: {said}. {REMEDIES[wanted]}") from error
