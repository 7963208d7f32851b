"""The gateway client of the cloud life: API Gateway's Management API, ``@connections`` (facts sheet, section 4)."""

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from gatesocket.aws import AWSClient, Refused, Unreachable, client_for
from gatesocket.aws.base import REMEDIES
from gatesocket.aws.endpoints import PARTITIONS, domain_of
from gatesocket.exceptions import ConnectionGone, GatewayError, InvalidConnectionId, MessageTooLarge
from gatesocket.gateway.base import ConnectionInfo, check_connection_id, wire_bytes
from gatesocket.gateway.turns import Turns
from gatesocket.limits import MESSAGE_BYTES

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

__all__ = ["ManagementAPI", "endpoint_for", "region_in"]

REGION: Final = re.compile(
    rf"[^.]+\.execute-api\.([a-z0-9-]+)\.(?:{'|'.join(re.escape(domain) for _, domain in PARTITIONS)})"
)
"""The host of an API's own address, and the region in it."""


def endpoint_for(api_id: str, region: str, stage: str) -> str:
    """Return the address of one stage's Management API.

    It is made of the API's id and not of an event's ``domainName``: behind a custom domain, the path doesn't hold the
    stage, and API Gateway answers 403 (facts sheet, section 4).

    Raises:
        ConfigurationError: *region* can't be one.
    """
    return f"https://{api_id}.execute-api.{region}.{domain_of(region)}/{stage}"


def region_in(endpoint: str) -> str | None:
    """Return the region of an API's own address; None for another, such as that of a custom domain."""
    found = REGION.fullmatch(urlsplit(endpoint).hostname or "")
    return found[1] if found else None


class ManagementAPI:
    """Posts to connections through API Gateway's Management API; see `GatewayClient`.

    Posts to one connection, and its close, are made one after the other; to different ones they are made at once, as
    many as the client has connections for. One that is tried again keeps its place.

    What was throttled or failed with a 5xx is tried again before any error is raised here. So is a post whose answer
    was lost, and then a client may in rare cases get a message twice.

    Args:
        endpoint: the stage's address, as `endpoint_for` makes it, or that of a custom domain with the key of its
            mapping. None leaves it to ``AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI``.
        region: the region that requests are signed for. None takes it from *endpoint*, or else leaves it to the client.
        client: calls the Management API; a boto3 ``apigatewaymanagementapi`` client can, and its maker closes it. None
            makes an `AsyncioClient`.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        region: str | None = None,
        client: "AWSClient | ApiGatewayManagementApiClient | None" = None,
    ) -> None:
        if region is None and endpoint is not None:
            region = region_in(endpoint)
        self._client = client_for("apigatewaymanagementapi", client, region=region, endpoint_url=endpoint)
        self._turns = Turns()

    async def post(self, connection_id: str, text: str) -> None:
        """See `GatewayClient.post`."""
        data = wire_bytes(text)
        check_connection_id(connection_id)
        await self._turns.begin(connection_id)
        try:
            # Not by `_call`: a broadcast makes ten thousand of these, and each coroutine on the way costs something.
            await self._client.call("PostToConnection", {"ConnectionId": connection_id, "Data": data})
        except Refused as error:
            if error.status == 413:  # noqa: PLR2004  # "Payload Too Large": its limit is lower than the one we know
                raise MessageTooLarge(len(data), MESSAGE_BYTES) from error
            raise _refusal(error, connection_id) from error
        except Unreachable as error:
            raise _unreachable(error, connection_id) from error
        finally:
            self._turns.end(connection_id)

    async def close(self, connection_id: str) -> None:
        """See `GatewayClient.close`."""
        await self._turns.begin(connection_id)
        try:
            await self._call("DeleteConnection", connection_id)
        finally:
            self._turns.end(connection_id)

    async def info(self, connection_id: str) -> ConnectionInfo:
        """See `GatewayClient.info`."""
        answer = await self._call("GetConnection", connection_id)
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

    async def _call(self, operation: str, connection_id: str) -> dict[str, Any]:
        """Call the Management API, and say its errors in our words."""
        check_connection_id(connection_id)
        try:
            return await self._client.call(operation, {"ConnectionId": connection_id})
        except Refused as error:
            raise _refusal(error, connection_id) from error
        except Unreachable as error:
            raise _unreachable(error, connection_id) from error


def _unreachable(error: Unreachable, connection_id: str) -> GatewayError:
    return GatewayError(
        f"the Management API can't be reached for connection {connection_id!r}: {error}", connection_id=connection_id
    )


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
        case _ if error.code in REMEDIES:
            return GatewayError(f"{named}: {error}", connection_id=connection_id, status=error.status)
        case 403:
            remedy = (
                "Allow execute-api:ManageConnections on this API's stage, as template.yaml does, and check that the "
                "endpoint is that stage's: a custom domain's path is the key of its mapping and not the stage"
            )
        case 404 | 301 | 302 | 303 | 307 | 308:
            remedy = "Check the endpoint: it ends with the stage, or with the key of a custom domain's mapping"
        case 429:
            remedy = "The account's request rate is used up, or this client reads too slowly"
        case _:
            remedy = "It was tried again where that could help"
    said = str(error).rstrip(".")
    return GatewayError(f"{named}: {said}. {remedy}", connection_id=connection_id, status=error.status)
