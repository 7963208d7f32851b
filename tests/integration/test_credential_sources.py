"""Each place that botocore's chain finds credentials in, asked as it is asked in earnest: by program, and over HTTP.

What is looked at is with whose key the next calls to a service are signed.
"""

import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider

from gatesocket.aws import AsyncioClient, AWSClient, Boto3Client
from gatesocket.exceptions import ConfigurationError
from support.aws_environment import forget_aws
from support.canned_http import CannedServer, Request, answer, canned_server

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

GET = {"TableName": "t", "Key": {"pk": {"S": "1"}}}
HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=10)
ROLE = "arn:aws:iam::123456789012:role/chat"
START = "https://example.awsapps.com/start"
EXPIRED = answer(400, b'{"__type": "x#ExpiredTokenException", "message": "The security token is expired"}')


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A shell that names a region and nothing else of AWS, and a home directory of its own."""
    forget_aws(monkeypatch)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for provider in (SSOProvider, SSOTokenProvider):  # both have read the home directory when they were imported
        monkeypatch.setattr(provider, "_SSO_TOKEN_CACHE_DIR", str(tmp_path))
    return monkeypatch


@pytest.fixture
def configure(aws: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Write the file of profiles, and choose the one that is called dev."""

    def write(text: str) -> None:
        (tmp_path / "config").write_text(text)
        aws.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        aws.setenv("AWS_PROFILE", "dev")

    return write


@asynccontextmanager
async def calling(*answers: bytes) -> AsyncIterator[tuple[AsyncioClient, CannedServer]]:
    """Give a client with everything left to itself but the service's address."""
    async with canned_server(*answers) as service:
        client = AsyncioClient("dynamodb", endpoint_url=service.url)
        yield client, service
        await client.aclose()


def keys(service: CannedServer) -> list[str]:
    """Return whose keys the requests were signed with."""
    signatures = [request.headers["authorization"] for request in service.requests]
    return [signature.partition("Credential=")[2].partition("/")[0] for signature in signatures]


def after(time: timedelta) -> str:
    return (datetime.now(UTC) + time).strftime("%Y-%m-%dT%H:%M:%SZ")


class Issuer:
    """Issues credentials, as metadata services write them; each time others."""

    def __init__(self, *lifetimes: timedelta) -> None:
        self.lifetimes = list(lifetimes)
        self.issued = 0
        self.asked: list[Request] = []

    def issue(self) -> dict[str, str]:
        self.issued += 1
        number, lifetime = self.issued, self.lifetimes.pop(0) if self.lifetimes else HOUR
        return {
            "Code": "Success",
            "AccessKeyId": f"ASIA{number}",
            "SecretAccessKey": "secret",
            "Token": f"token{number}",
            "Expiration": after(lifetime),
        }

    async def container(self, request: Request) -> bytes:
        """Answer as the agent of ECS and EKS does, and Lambda where a function was restored from a snapshot."""
        self.asked.append(request)
        return as_json(self.issue())

    async def instance(self, request: Request) -> bytes:
        """Answer as an EC2 instance's metadata service does: with a token before anything else."""
        self.asked.append(request)
        if request.method == "PUT":
            return answer(body=b"imds-token", x_aws_ec2_metadata_token_ttl_seconds="21600")
        assert request.headers["x-aws-ec2-metadata-token"] == "imds-token"
        if request.path.endswith("/security-credentials/"):
            return answer(body=b"chat")
        return as_json(self.issue())


def as_json(value: Mapping[str, Any], status: int = 200) -> bytes:
    return answer(status, json.dumps(value).encode(), content_type="application/json")


# Programs.


async def test_a_profiles_program_is_run_anew_before_its_credentials_expire(
    configure: Callable[[str], None], tmp_path: Path
) -> None:
    """botocore asks a second time at once if the first answer is good for less than a quarter of an hour."""
    runs, program = tmp_path / "runs", tmp_path / "program.py"
    program.write_text(f"""
import json, pathlib
runs = pathlib.Path({str(runs)!r})
runs.write_text(runs.read_text() + "I" if runs.exists() else "I")
run = runs.read_text()
expiration = {after(MINUTES)!r} if len(run) < 3 else {after(HOUR)!r}
print(json.dumps({{
    "Version": 1, "AccessKeyId": f"ASIA{{run}}", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": expiration
}}))
""")
    configure(f"[profile dev]\ncredential_process = {sys.executable} {program}\n")
    async with calling() as (client, service):
        for _ in range(3):
            await client.call("GetItem", GET)

    assert keys(service) == ["ASIAII", "ASIAIII", "ASIAIII"]
    assert service.requests[0].headers["x-amz-security-token"] == "t"


# Roles.


async def test_a_profiles_role_is_assumed_by_sts(
    aws: pytest.MonkeyPatch, configure: Callable[[str], None], moto_client: "DynamoDBClient"
) -> None:
    configure(
        f"[profile dev]\nrole_arn = {ROLE}\nsource_profile = me\n"
        "[profile me]\naws_access_key_id = AKIAME\naws_secret_access_key = secret\n"
    )
    aws.setenv("AWS_ENDPOINT_URL_STS", moto_client.meta.endpoint_url)
    async with calling() as (client, service):
        await client.call("GetItem", GET)
        await client.call("GetItem", GET)

    first, second = keys(service)
    assert first.startswith("ASIA"), "moto's, as AWS's temporary ones"
    assert first == second
    assert service.requests[0].headers["x-amz-security-token"]


async def test_a_pods_role_is_assumed_with_the_token_that_it_was_given(
    aws: pytest.MonkeyPatch, moto_client: "DynamoDBClient", tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("a.web.token")
    aws.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    aws.setenv("AWS_ROLE_ARN", ROLE)
    aws.setenv("AWS_ENDPOINT_URL_STS", moto_client.meta.endpoint_url)
    async with calling() as (client, service):
        await client.call("GetItem", GET)

    assert keys(service)[0].startswith("ASIA")


# SSO.


def sso_token(directory: Path, name: str, lifetime: timedelta) -> None:
    """Leave what ``aws sso login`` leaves."""
    token = {
        "startUrl": START,
        "region": "eu-central-1",
        "accessToken": "of-the-login",
        "expiresAt": after(lifetime),
        "clientId": "client",
        "clientSecret": "secret",
        "registrationExpiresAt": after(24 * HOUR),
        "refreshToken": "refresh",
    }
    (directory / f"{sha1(name.encode()).hexdigest()}.json").write_text(json.dumps(token))


def portal(issuer: Issuer) -> Callable[[Request], Any]:
    """Answer as the portal that gives a role's credentials for a token, and as the issuer of tokens."""

    async def respond(request: Request) -> bytes:
        issuer.asked.append(request)
        if request.path == "/token":
            return as_json({"accessToken": "renewed", "expiresIn": 3600, "refreshToken": "refresh"})
        issued = issuer.issue()
        expiration = int(datetime.fromisoformat(issued["Expiration"]).timestamp() * 1000)
        role = {"accessKeyId": issued["AccessKeyId"], "secretAccessKey": "s", "sessionToken": issued["Token"]}
        return as_json({"roleCredentials": {**role, "expiration": expiration}})

    return respond


SSO_PROFILE = f"""
[profile dev]
sso_account_id = 123456789012
sso_role_name = developer
sso_start_url = {START}
sso_region = eu-central-1
"""
SSO_SESSION = f"""
[profile dev]
sso_session = work
sso_account_id = 123456789012
sso_role_name = developer
[sso-session work]
sso_start_url = {START}
sso_region = eu-central-1
sso_registration_scopes = sso:account:access
"""


@pytest.mark.parametrize(("profile", "token"), [(SSO_PROFILE, START), (SSO_SESSION, "work")])
async def test_who_has_logged_in_by_sso_needs_nothing_else(
    aws: pytest.MonkeyPatch, configure: Callable[[str], None], tmp_path: Path, profile: str, token: str
) -> None:
    configure(profile)
    sso_token(tmp_path, token, HOUR)
    issuer = Issuer()
    async with canned_server(respond=portal(issuer)) as sso, calling() as (client, service):
        aws.setenv("AWS_ENDPOINT_URL_SSO", sso.url)
        await client.call("GetItem", GET)

    [asked] = issuer.asked
    assert asked.path == "/federation/credentials?role_name=developer&account_id=123456789012"
    assert asked.headers["x-amz-sso_bearer_token"] == "of-the-login"
    assert keys(service) == ["ASIA1"]


async def test_an_sso_sessions_token_is_renewed_when_it_is_over(
    aws: pytest.MonkeyPatch, configure: Callable[[str], None], tmp_path: Path
) -> None:
    configure(SSO_SESSION)
    sso_token(tmp_path, "work", -HOUR)
    issuer = Issuer()
    async with canned_server(respond=portal(issuer)) as sso, calling() as (client, service):
        aws.setenv("AWS_ENDPOINT_URL_SSO", sso.url)
        aws.setenv("AWS_ENDPOINT_URL_SSO_OIDC", sso.url)
        await client.call("GetItem", GET)

    renewal, asked = issuer.asked
    assert (renewal.path, json.loads(renewal.body)["refreshToken"]) == ("/token", "refresh")
    assert asked.headers["x-amz-sso_bearer_token"] == "renewed"
    assert keys(service) == ["ASIA1"]


# Containers and instances.


async def test_a_container_is_given_others_before_they_expire(aws: pytest.MonkeyPatch) -> None:
    issuer = Issuer(MINUTES, MINUTES, HOUR)
    async with canned_server(respond=issuer.container) as agent, calling() as (client, service):
        aws.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url}/v2/credentials")
        aws.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the-pods")
        for _ in range(3):
            await client.call("GetItem", GET)

    assert keys(service) == ["ASIA2", "ASIA3", "ASIA3"]
    assert {request.headers["authorization"] for request in issuer.asked} == {"the-pods"}
    assert [request.headers["x-amz-security-token"] for request in service.requests] == ["token2", "token3", "token3"]


async def test_an_instance_is_asked_by_the_second_version_of_its_metadata_service(aws: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    aws.delenv("AWS_EC2_METADATA_DISABLED")
    async with canned_server(respond=issuer.instance) as metadata, calling() as (client, service):
        aws.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        await client.call("GetItem", GET)
        await client.call("GetItem", GET)

    assert keys(service) == ["ASIA1", "ASIA1"]


async def test_what_aws_takes_for_expired_is_asked_for_anew(aws: pytest.MonkeyPatch) -> None:
    """A session that was revoked, or a clock that is wrong: nothing but the service's answer says so."""
    issuer = Issuer()
    async with canned_server(respond=issuer.container) as agent, calling(EXPIRED) as (client, service):
        aws.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url}/v2/credentials")
        await client.call("GetItem", GET)

    assert keys(service) == ["ASIA1", "ASIA2"]


# What goes wrong there.


@pytest.fixture(params=[AsyncioClient, Boto3Client])
async def caller(request: pytest.FixtureRequest) -> AsyncIterator[AWSClient]:
    """Each client in turn; it calls a service that nobody is to reach."""
    client: AWSClient = request.param("dynamodb", region="eu-central-1", endpoint_url="http://127.0.0.1:9")
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/not/there", "No such file or directory: '/not/there'"),
        (f"{sys.executable} -c 'raise SystemExit(\"log in first\")'", "log in first"),
        (f"{sys.executable} -c 'print(1)'", "has no attribute 'get'"),
        (f"{sys.executable} -c pass", "Expecting value"),
    ],
)
async def test_a_program_that_fails_is_named_with_what_it_said(
    configure: Callable[[str], None], program: str, said: str
) -> None:
    configure(f"[profile dev]\ncredential_process = {program}\n")
    async with calling() as (client, service):
        with pytest.raises(ConfigurationError, match="no AWS credentials can be had: ") as caught:
            await client.call("GetItem", GET)

    assert said in str(caught.value)
    assert "AWS_PROFILE" in str(caught.value)
    assert service.requests == []


async def test_a_role_that_may_not_be_assumed_is_no_refusal_of_the_service(
    aws: pytest.MonkeyPatch, configure: Callable[[str], None], caller: AWSClient
) -> None:
    configure(
        f"[profile dev]\nrole_arn = {ROLE}\nsource_profile = me\n"
        "[profile me]\naws_access_key_id = AKIAME\naws_secret_access_key = secret\n"
    )
    denied = (
        b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not you</Message></Error>"
        b"</ErrorResponse>"
    )
    async with canned_server(answer(403, denied, content_type="text/xml")) as sts:
        aws.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with pytest.raises(ConfigurationError, match=r"AccessDenied.*AssumeRole.*not you.*AWS_PROFILE"):
            await caller.call("GetItem", GET)


async def test_an_sso_session_that_is_over_says_how_to_begin_another(
    configure: Callable[[str], None], tmp_path: Path, caller: AWSClient
) -> None:
    configure(SSO_PROFILE)
    sso_token(tmp_path, START, -HOUR)
    with pytest.raises(ConfigurationError, match=r"SSO session .* has expired.*aws sso login"):
        await caller.call("GetItem", GET)


async def test_who_has_never_logged_in_by_sso_is_told_so(configure: Callable[[str], None], caller: AWSClient) -> None:
    configure(SSO_PROFILE)
    with pytest.raises(ConfigurationError, match=f"Error loading SSO Token: Token for {START} does not exist"):
        await caller.call("GetItem", GET)


async def test_what_is_given_after_it_has_expired_is_said_to_be(aws: pytest.MonkeyPatch) -> None:
    issuer = Issuer(-HOUR, -HOUR, -HOUR)
    async with canned_server(respond=issuer.container) as agent, calling() as (client, service):
        aws.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url}/v2/credentials")
        with pytest.raises(ConfigurationError, match="no AWS credentials can be had: .*still expired"):
            await client.call("GetItem", GET)

    assert service.requests == []
