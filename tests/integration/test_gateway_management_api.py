"""What is special about the Management API's client: where it posts to, and what its error answers mean."""

from typing import TYPE_CHECKING

import pytest

from gatesocket.aws import AsyncioClient
from gatesocket.exceptions import (
    ConfigurationError,
    ConnectionGone,
    GatewayError,
    InvalidConnectionId,
    MessageTooLarge,
)
from gatesocket.gateway.management_api import ManagementAPI, endpoint_for, region_in
from gatesocket.limits import MESSAGE_BYTES
from support.aws_environment import forget_aws
from support.canned_http import answer, canned_server
from support.management import ManagementServer, error

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

    from gatesocket.aws import AWSClient

ANN = "TXzPWdnOjoECGjA="


@pytest.fixture
def gateway(management_caller: "AWSClient | ApiGatewayManagementApiClient") -> ManagementAPI:
    return ManagementAPI(client=management_caller)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with credentials and nothing else of AWS."""
    forget_aws(monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return monkeypatch


# Where it posts to.


def test_the_endpoint_is_the_stages_own() -> None:
    assert endpoint_for("a1", "eu-central-1", "prod") == "https://a1.execute-api.eu-central-1.amazonaws.com/prod"


def test_the_endpoint_in_china_has_another_domain() -> None:
    assert endpoint_for("a1", "cn-north-1", "prod") == "https://a1.execute-api.cn-north-1.amazonaws.com.cn/prod"


async def test_a_post_goes_to_the_endpoint(management: ManagementServer, aws: pytest.MonkeyPatch) -> None:
    connection_id = management.connecting()
    management.open(connection_id)
    gateway = ManagementAPI(management.url, region="eu-west-3")
    await gateway.post(connection_id, "hello")
    await gateway.aclose()
    assert management.sent[connection_id] == ["hello"]
    assert "/eu-west-3/execute-api/aws4_request" in management.authorizations[0]


async def test_without_an_endpoint_awss_variable_names_it(
    management: ManagementServer, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", management.url)
    aws.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    gateway = ManagementAPI()
    with pytest.raises(ConnectionGone):
        await gateway.post(ANN, "hello")
    await gateway.aclose()


async def test_without_any_endpoint_nothing_is_asked(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    gateway = ManagementAPI()
    with pytest.raises(ConfigurationError, match="endpoint isn't known.*GATESOCKET_ENDPOINT"):
        await gateway.post(ANN, "hello")
    await gateway.aclose()


@pytest.mark.parametrize("region", ["eu-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-isob-east-1"])
def test_requests_are_signed_for_the_region_in_the_endpoint(region: str) -> None:
    """A function may post to an API of another region than its own."""
    assert region_in(endpoint_for("a1", region, "prod")) == region


def test_that_region_is_taken_unless_another_one_is_given() -> None:
    endpoint = endpoint_for("a1", "eu-west-3", "prod")
    clients = [ManagementAPI(endpoint)._client, ManagementAPI(endpoint, region="eu-west-1")._client]
    assert [client._region for client in clients if isinstance(client, AsyncioClient)] == ["eu-west-3", "eu-west-1"]


@pytest.mark.parametrize("endpoint", ["https://chat.example.com/key", "http://127.0.0.1:3001/prod", "https://x"])
def test_behind_a_custom_domain_the_region_is_the_processs(endpoint: str) -> None:
    assert region_in(endpoint) is None


def test_no_endpoint_is_made_of_what_is_no_region() -> None:
    with pytest.raises(ConfigurationError, match="'evil.example/' isn't the name of an AWS region"):
        endpoint_for("a1", "evil.example/", "prod")


# What error answers mean.


async def test_410_is_gone_even_without_the_header_that_names_it(
    management: ManagementServer, gateway: ManagementAPI
) -> None:
    management.answers = [error(410, None), error(410, "GoneException")]
    for _ in range(2):
        with pytest.raises(ConnectionGone) as caught:
            await gateway.post(ANN, "hello")
        assert isinstance(caught.value, OSError)


async def test_400_is_a_malformed_id_only_if_it_says_so(management: ManagementServer, gateway: ManagementAPI) -> None:
    management.answers = [error(400, "BadRequestException", "Invalid connectionId: x"), error(400, "Other", "no")]
    with pytest.raises(InvalidConnectionId, match="Invalid connectionId: x"):
        await gateway.post("x", "hello")
    with pytest.raises(GatewayError, match="400 for connection 'x': Other: no") as caught:
        await gateway.post("x", "hello")
    assert not isinstance(caught.value, InvalidConnectionId)


async def test_413_is_too_large_although_the_limit_that_is_known_is_kept(
    management: ManagementServer, gateway: ManagementAPI
) -> None:
    management.answers = [error(413, "PayloadTooLargeException")]
    with pytest.raises(MessageTooLarge) as caught:
        await gateway.post(ANN, "hello")
    assert (caught.value.size, caught.value.limit) == (5, MESSAGE_BYTES)


@pytest.mark.parametrize(
    ("status", "name", "remedy"),
    [
        (403, "ForbiddenException", "Allow execute-api:ManageConnections.*custom domain"),
        (404, "NotFoundException", "Check the endpoint"),
        (429, "LimitExceededException", "The account's request rate is used up, or this client reads too slowly"),
        (500, "InternalServerErrorException", "It was tried again where that could help"),
    ],
)
async def test_other_refusals_name_the_remedy(
    management: ManagementServer, gateway: ManagementAPI, status: int, name: str, remedy: str
) -> None:
    management.answers = [error(status, name, "no")]
    with pytest.raises(GatewayError, match=f"{status} for connection '{ANN}': {name}: no. {remedy}") as caught:
        await gateway.post(ANN, "hello")
    assert (caught.value.status, caught.value.connection_id) == (status, ANN)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_who_redirects_is_no_management_api(
    management: ManagementServer, gateway: ManagementAPI, status: int
) -> None:
    management.answers = [error(status, None)]
    with pytest.raises(GatewayError, match=f"{status} for connection .*Check the endpoint"):
        await gateway.post(ANN, "hello")


async def test_a_refusal_of_the_signature_has_one_remedy(management: ManagementServer, gateway: ManagementAPI) -> None:
    """Whoever has to log in again isn't sent to look for a permission."""
    management.answers = [error(403, "ExpiredTokenException", "The security token is expired")]
    with pytest.raises(
        GatewayError, match="403 for connection .*: The security token is expired.*renew them"
    ) as caught:
        await gateway.post(ANN, "hello")
    assert "ManageConnections" not in str(caught.value)
    assert caught.value.status == 403


async def test_a_website_that_takes_everything_has_not_taken_a_post(aws: pytest.MonkeyPatch) -> None:
    """Its address was taken for the endpoint, and it answers 200 to everybody."""
    aws.setenv("AWS_MAX_ATTEMPTS", "1")
    async with canned_server(answer(200, b"\n<!doctype html><title>Welcome</title>")) as website:
        gateway = ManagementAPI(f"{website.url}/prod", region="eu-central-1")
        with pytest.raises(GatewayError, match="expected nothing, but got a page: .*Check the endpoint"):
            await gateway.post(ANN, "hello")
        await gateway.aclose()


async def test_a_gateway_that_can_not_be_reached_has_no_status(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_MAX_ATTEMPTS", "1")
    gateway = ManagementAPI("http://127.0.0.1:9/prod", region="eu-central-1")
    with pytest.raises(GatewayError, match=r"can't be reached for connection .*127\.0\.0\.1:9") as caught:
        await gateway.post(ANN, "hello")
    assert caught.value.status is None
    with pytest.raises(GatewayError, match="can't be reached"):
        await gateway.close(ANN)
    await gateway.aclose()


async def test_without_credentials_the_remedy_is_named(management: ManagementServer, aws: pytest.MonkeyPatch) -> None:
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    gateway = ManagementAPI(management.url, region="eu-central-1")
    with pytest.raises(ConfigurationError, match=r"there are no AWS credentials.*AWS_PROFILE"):
        await gateway.post(ANN, "hello")
    await gateway.aclose()


@pytest.mark.parametrize("connection_id", [".", "..", "", "a b", "a\r\nb: c", "\x00", "é", "\ud800", "a" * 129])
async def test_an_id_that_would_not_stay_in_its_place_in_the_path_is_not_sent(
    management: ManagementServer, gateway: ManagementAPI, connection_id: str
) -> None:
    with pytest.raises(InvalidConnectionId, match="can't be a connection id: .*'TXzPWdnOjoECGjA='") as caught:
        await gateway.post(connection_id, "hello")
    assert (caught.value.status, len(str(caught.value).splitlines())) == (None, 1)
    assert management.authorizations == []


async def test_what_is_no_text_is_no_id(management: ManagementServer, gateway: ManagementAPI) -> None:
    with pytest.raises(TypeError, match="expected a connection id, but got int; of a socket, manager.connection_id"):
        await gateway.post(5, "hello")  # type: ignore[arg-type]
    assert management.authorizations == []
