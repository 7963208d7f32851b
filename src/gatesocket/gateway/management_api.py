"""The gateway client of the cloud life: API Gateway's Management API, ``@connections`` (facts sheet, section 4)."""

import re
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from gatesocket.aws import LateClient, Refused, Unreachable
from gatesocket.exceptions import (
    ConfigurationError,
    ConnectionGone,
    GatewayError,
    InvalidConnectionId,
    MessageTooLarge,
)
from gatesocket.gateway.base import ConnectionInfo, wire_bytes
from gatesocket.limits import MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

__all__ = ["ManagementAPI", "endpoint_for"]

REGION: Final = re.compile(r"[^.]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
"""The host of an API's own address, and the region in it."""

T = TypeVar("T")


def endpoint_for(api_id: str, region: str, stage: str) -> str:
    """Return the address of one stage's Management API.

    It is made of the API's id and not of an event's ``domainName``: behind a custom domain, the path doesn't hold the
    stage, and API Gateway answers 403 (facts sheet, section 4).
    """
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{api_id}.execute-api.{region}.{suffix}/{stage}"


class ManagementAPI:
    """Posts to connections through API Gateway's Management API; see `GatewayClient`.

    boto3 repeats what was throttled or failed with a 5xx, up to four times, before any error is raised here. A post
    whose answer was lost is repeated, too, so that a client may in rare cases get a message twice.

    Args:
        endpoint: the stage's address, as `endpoint_for` makes it, or that of a custom domain with the key of its
            mapping. None leaves it to boto3, which reads ``AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI``.
        region: the region that requests are signed for. None takes it from *endpoint*, or else from ``AWS_REGION`` and
            boto3's configuration.
        client: a boto3 ``apigatewaymanagementapi`` client; its maker closes it. None makes one on first use.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        region: str | None = None,
        client: "ApiGatewayManagementApiClient | None" = None,
    ) -> None:
        if endpoint is not None and region is None and (found := REGION.fullmatch(urlsplit(endpoint).hostname or "")):
            region = found[1]
        self._client: LateClient[ApiGatewayManagementApiClient] = LateClient(
            "apigatewaymanagementapi", client=client, region=region, endpoint_url=endpoint
        )

    async def post(self, connection_id: str, text: str) -> None:
        """See `GatewayClient.post`."""
        data = wire_bytes(text)
        try:
            await self._call(
                connection_id, lambda client: client.post_to_connection(ConnectionId=connection_id, Data=data)
            )
        except GatewayError as error:
            if error.status == 413:  # noqa: PLR2004  # "Payload Too Large": its limit is lower than the one we know
                raise MessageTooLarge(len(data), MESSAGE_BYTES) from error
            raise

    async def close(self, connection_id: str) -> None:
        """See `GatewayClient.close`."""
        await self._call(connection_id, lambda client: client.delete_connection(ConnectionId=connection_id))

    async def info(self, connection_id: str) -> ConnectionInfo:
        """See `GatewayClient.info`."""
        answer = await self._call(connection_id, lambda client: client.get_connection(ConnectionId=connection_id))
        identity = answer["Identity"]
        return ConnectionInfo(
            connected_at=answer["ConnectedAt"],
            last_active_at=answer["LastActiveAt"],
            source_ip=identity["SourceIp"],
            user_agent=identity.get("UserAgent"),
        )

    async def aclose(self) -> None:
        """See `GatewayClient.aclose`."""
        await self._client.aclose()

    async def _call(self, connection_id: str, operation: "Callable[[ApiGatewayManagementApiClient], T]") -> T:
        """Call the Management API, and say its errors in our words."""
        if not connection_id:
            # boto3 would refuse it as a parameter, without asking anybody.
            raise InvalidConnectionId("a connection id can't be empty", connection_id=connection_id)
        try:
            return await self._client.call(lambda client: operation(_with_endpoint(client)))
        except Refused as error:
            raise _refusal(error, connection_id) from error
        except Unreachable as error:
            raise GatewayError(
                f"the Management API can't be reached for connection {connection_id!r}: {error}",
                connection_id=connection_id,
            ) from error


def _with_endpoint(client: "ApiGatewayManagementApiClient") -> "ApiGatewayManagementApiClient":
    # The endpoint that boto3 makes up has no API's id in it, and answers nobody (boto/botocore#2218).
    if (urlsplit(client.meta.endpoint_url).hostname or "").startswith("execute-api."):
        raise ConfigurationError(
            "the Management API's endpoint isn't known: give ManagementAPI one, or set GATESOCKET_ENDPOINT or "
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI to https://{api}.execute-api.{region}.amazonaws.com/{stage}"
        )
    return client


def _refusal(error: Refused, connection_id: str) -> ConnectionGone | GatewayError:
    """Return what an error answer means; by its status, because not every answer names its error."""
    named = f"API Gateway answered {error.status} for connection {connection_id!r}"
    match error.status:
        case 410:
            return ConnectionGone(connection_id)
        case 400 if error.code == "BadRequestException":
            return InvalidConnectionId(
                f"{connection_id!r} can't be a connection id: {error.message}",
                connection_id=connection_id,
                status=error.status,
            )
        case 403:
            remedy = (
                "Allow execute-api:ManageConnections on this API's stage, as template.yaml does, and check that the "
                "endpoint is that stage's: a custom domain's path is the key of its mapping and not the stage"
            )
        case 404:
            remedy = "Check the endpoint: it ends with the stage, or with the key of a custom domain's mapping"
        case 429:
            remedy = "The account's request rate is used up, or this client reads too slowly"
        case _:
            remedy = "boto3 has tried again where that could help"
    return GatewayError(f"{named}: {error}. {remedy}", connection_id=connection_id, status=error.status)
