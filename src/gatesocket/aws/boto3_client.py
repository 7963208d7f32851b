"""boto3's clients, made late and called in threads: the reference, and what moto's ``mock_aws`` can answer.

boto3 costs 120 ms of a cold start, so that it is imported by the first call and not with the module. Its clients
block, so that every call runs in a thread of the event loop's executor.
"""

import asyncio
import re
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from gatesocket.aws.base import Refused, Unreachable
from gatesocket.exceptions import ConfigurationError
from gatesocket.observation import count

__all__ = ["Boto3Client"]

CONNECTIONS: Final = 64
"""Sockets that a client keeps open; there are fewer threads to use them."""

WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where a word of an operation's name ends: boto3's methods put an underscore there."""


class Boto3Client:
    """Calls an AWS service through a boto3 client, which its first call makes; see `AWSClient`.

    boto3 repeats what was throttled or failed with a 5xx, up to four times, DynamoDB's calls up to nine.

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
        client: Any = None,
        region: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        self._service = service
        self._region = region
        self._endpoint_url = endpoint_url
        self._client = client
        self._given = client is not None
        self._lock = Lock()

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """See `AWSClient.call`."""
        return await asyncio.to_thread(self._run, operation, parameters)

    async def aclose(self) -> None:
        """Close the client's sockets, unless it was given."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and not self._given:
            await asyncio.to_thread(client.close)

    def _run(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        try:
            from botocore import exceptions, parsers  # noqa: PLC0415  # see the module's docstring
        except ImportError as error:
            raise ConfigurationError(
                f"{self._service} is used through boto3, which isn't installed: pip install 'gatesocket[aws]'"
            ) from error
        try:
            answer: dict[str, Any] = getattr(self._connected(), WORD.sub("_", operation).lower())(**parameters)
        except exceptions.ClientError as error:
            # A role that can't be assumed, for example: this service wasn't asked at all.
            if error.operation_name != operation:
                raise self._unusable(error) from error
            described, about = error.response["Error"], error.response["ResponseMetadata"]
            count("retries", about.get("RetryAttempts", 0))
            raise Refused(
                described.get("Code", ""), described.get("Message", ""), about["HTTPStatusCode"], about.get("RequestId")
            ) from error
        except (
            exceptions.HTTPClientError,
            exceptions.ConnectionError,
            exceptions.IncompleteReadError,
            parsers.ResponseParserError,
        ) as error:
            raise Unreachable(str(error)) from error
        except exceptions.BotoCoreError as error:  # no region, no profile, an SSO session that is over
            raise self._unusable(error) from error
        count("retries", answer.get("ResponseMetadata", {}).get("RetryAttempts", 0))
        return answer

    def _unusable(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"{self._service} can't be used: {str(error).rstrip('.')}. Lambda provides a region and credentials; "
            "elsewhere set AWS_REGION, and AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )

    def _connected(self) -> Any:
        # boto3 sessions aren't thread-safe, and two first calls may come at once.
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        import boto3  # noqa: PLC0415  # see the module's docstring
        from botocore.config import Config  # noqa: PLC0415

        # botocore would wait for 60 seconds, twice as long as API Gateway waits for the function.
        config = Config(connect_timeout=3, read_timeout=10, max_pool_connections=CONNECTIONS)
        make: Any = boto3.session.Session().client
        try:
            client = make(self._service, region_name=self._region, endpoint_url=self._endpoint_url, config=config)
        except (ValueError, OSError) as error:  # of an endpoint, or of a program that a profile names
            raise ConfigurationError(f"no client for {self._service} can be made: {error}") from error
        # The endpoint that boto3 makes up has no API's id in it, and answers nobody (boto/botocore#2218).
        if (urlsplit(client.meta.endpoint_url).hostname or "").startswith("execute-api."):
            client.close()
            raise ConfigurationError(
                "the Management API's endpoint isn't known: give ManagementAPI one, or set GATESOCKET_ENDPOINT or "
                "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI to https://{api}.execute-api.{region}.amazonaws.com/{stage}"
            )
        return client
