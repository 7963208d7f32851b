"""boto3's clients, made late and called in threads.

boto3 costs 120 ms of a cold start, so that it is imported by the first call and not with the module. Its clients
block, so that every call runs in a thread of the event loop's executor.
"""

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, Generic, Protocol, TypeVar

from gatesocket.exceptions import ConfigurationError

__all__ = ["LateClient", "Refused", "Unreachable"]

CONNECTIONS: Final = 64
"""Sockets that a client keeps open; more would be opened and thrown away by as many concurrent calls."""


class Refused(Exception):
    """A service answered a call with an error; for who made the call to say in its own words."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(code, message, status)
        self.code = code
        """The error's name, such as ``ResourceNotFoundException``; the status if the answer named none."""
        self.message = message
        self.status = status
        """The HTTP status of the answer."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class Unreachable(Exception):
    """A service didn't answer."""


class _Client(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Client)
T = TypeVar("T")


class LateClient(Generic[C]):
    """A boto3 client that is made by its first call.

    Args:
        service: boto3's name of the service, such as ``dynamodb``.
        client: a client that exists already; its maker closes it. None makes one.
        region: None leaves it to ``AWS_REGION`` and boto3's configuration.
        endpoint_url: None leaves it to boto3, which reads ``AWS_ENDPOINT_URL_<SERVICE>``.
    """

    def __init__(
        self,
        service: str,
        *,
        client: C | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        self._service = service
        self._region = region
        self._endpoint_url = endpoint_url
        self._client = client
        self._given = client is not None
        self._lock = Lock()

    async def call(self, operation: Callable[[C], T]) -> T:
        """Run *operation* on the client, in a thread.

        Raises:
            ConfigurationError: boto3 isn't installed, or there is no region, no profile or no credentials.
            Refused: the service refused the call, after boto3's retries.
            Unreachable: there was no answer that boto3 understands, after its retries.
        """
        return await asyncio.to_thread(self._run, operation)

    async def aclose(self) -> None:
        """Close the client's sockets, unless it was given."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and not self._given:
            await asyncio.to_thread(client.close)

    def _run(self, operation: Callable[[C], T]) -> T:
        try:
            from botocore import exceptions  # noqa: PLC0415  # see the module's docstring
        except ImportError as error:
            raise ConfigurationError(
                f"{self._service} is used through boto3, which isn't installed: pip install 'gatesocket[aws]'"
            ) from error
        try:
            return operation(self._connected())
        except (
            exceptions.NoCredentialsError,
            exceptions.NoRegionError,
            exceptions.PartialCredentialsError,
            exceptions.ProfileNotFound,
        ) as error:
            raise ConfigurationError(
                f"{self._service} can't be used: {error} Lambda provides a region and credentials; elsewhere set "
                "AWS_REGION, and AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        except exceptions.ClientError as error:
            described = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise Refused(described.get("Code", ""), described.get("Message", ""), status) from error
        except exceptions.BotoCoreError as error:
            raise Unreachable(str(error)) from error

    def _connected(self) -> C:
        # boto3 sessions aren't thread-safe, and two first calls may come at once.
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> C:
        import boto3  # noqa: PLC0415  # see the module's docstring
        from botocore.config import Config  # noqa: PLC0415

        # botocore would wait for 60 seconds, twice as long as API Gateway waits for the function.
        config = Config(connect_timeout=3, read_timeout=10, max_pool_connections=CONNECTIONS)
        make: Any = boto3.session.Session().client
        try:
            client: C = make(self._service, region_name=self._region, endpoint_url=self._endpoint_url, config=config)
        except ValueError as error:
            raise ConfigurationError(f"no client for {self._service} can be made: {error}") from error
        return client
