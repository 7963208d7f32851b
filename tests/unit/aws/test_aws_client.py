"""The lean client's calls, against a server that answers as the test says."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatesocket.aws import AsyncioClient, AWSClient, Boto3Client, Refused, Unreachable, client_for
from gatesocket.aws.client import tls_context
from gatesocket.aws.http import Timeouts
from gatesocket.aws.retry import Policy
from gatesocket.aws.sigv4 import Credentials
from gatesocket.emulator.tls import Certificate
from gatesocket.exceptions import ConfigurationError
from gatesocket.observation import Observation, Observers
from gatesocket.patience import patience
from support.aws_environment import forget_aws
from support.canned_http import CannedServer, Request, answer, canned_server

GET = {"TableName": "t", "Key": {"pk": {"S": "1"}}}
THROTTLED = answer(400, b'{"__type": "x#ThrottlingException", "message": "slow down"}')


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment like a Lambda function's."""
    forget_aws(monkeypatch)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "toptoken")
    return monkeypatch


class World:
    """A clock that the client's pauses move, and chance that always says 1."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self.pauses: list[float] = []

    def clock(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += int(seconds * 1000)


@asynccontextmanager
async def client_of(
    server: CannedServer, service: str = "dynamodb", *, world: World | None = None, path: str = "", **options: Any
) -> AsyncIterator[AsyncioClient]:
    world = world or World()
    client = AsyncioClient(
        service, endpoint_url=server.url + path, clock=world.clock, sleep=world.sleep, chance=lambda: 1.0, **options
    )
    try:
        yield client
    finally:
        await client.aclose()


async def test_a_call_is_signed_with_the_credentials_of_the_environment(aws: pytest.MonkeyPatch) -> None:
    async with canned_server(answer(body=b'{"Item": {"a": {"B": "AAE="}}}')) as server, client_of(server) as client:
        assert await client.call("GetItem", GET) == {"Item": {"a": {"B": b"\0\x01"}}}

    (request,) = server.requests
    assert (request.method, request.path, request.headers["x-amz-target"]) == ("POST", "/", "DynamoDB_20120810.GetItem")
    assert request.headers["x-amz-security-token"] == "toptoken"
    assert request.headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=ASIA/20231114/eu-central-1/dynamodb/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature="
    )


async def test_the_endpoints_path_is_before_the_calls(aws: pytest.MonkeyPatch) -> None:
    async with (
        canned_server() as server,
        client_of(server, "apigatewaymanagementapi", path="/prod", region="us-east-1") as client,
    ):
        assert await client.call("PostToConnection", {"ConnectionId": "TXz=", "Data": b"hello"}) == {}

    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/prod/@connections/TXz%3D", b"hello")
    assert "/us-east-1/execute-api/aws4_request" in request.headers["authorization"]


async def test_the_environment_says_where(aws: pytest.MonkeyPatch) -> None:
    async with canned_server() as server:
        aws.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        client = AsyncioClient("sqs")
        await client.call("SendMessage", {"QueueUrl": "q", "MessageBody": "m"})
        await client.aclose()

    assert len(server.requests) == 1


async def test_the_environment_is_looked_at_once(aws: pytest.MonkeyPatch) -> None:
    async with canned_server() as server:
        aws.setenv("AWS_ENDPOINT_URL", server.url)
        client = AsyncioClient("dynamodb")
        await client.call("GetItem", GET)
        aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        aws.setenv("AWS_REGION", "us-east-1")
        await client.call("GetItem", GET)
        await client.aclose()

    assert ["/eu-central-1/" in request.headers["authorization"] for request in server.requests] == [True, True]


async def test_a_profile_says_the_region_where_the_environment_does_not(
    aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile dev]\nregion = eu-north-1\n")
    aws.delenv("AWS_REGION")
    aws.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    aws.setenv("AWS_PROFILE", "dev")
    async with canned_server() as server, client_of(server) as client:
        await client.call("GetItem", GET)

    assert "/eu-north-1/dynamodb/" in server.requests[0].headers["authorization"]


# Trying again.


async def test_what_was_throttled_is_tried_again_after_pauses_that_grow(aws: pytest.MonkeyPatch) -> None:
    world = World()
    answers = (THROTTLED, answer(503, b""), THROTTLED)
    async with canned_server(*answers) as server, client_of(server, world=world) as client:
        assert await client.call("GetItem", GET) == {}

    assert len(server.requests) == 4
    assert world.pauses == [0.05, 0.1, 0.2]
    assert len({request.headers["authorization"] for request in server.requests}) == 1, "all within one second"


async def test_attempts_are_counted_where_somebody_observes(aws: pytest.MonkeyPatch) -> None:
    observation = Observation("message", "c", "r")
    async with canned_server(THROTTLED, THROTTLED, answer(200, b"{}")) as server, client_of(server) as client:
        with Observers().watching(observation):
            await client.call("GetItem", GET)

    assert observation.retries == 2


async def test_each_attempt_is_signed_for_its_own_time(aws: pytest.MonkeyPatch) -> None:
    world = World()
    policy = Policy(first_pause=2)
    async with canned_server(THROTTLED) as server, client_of(server, world=world, policy=policy) as client:
        await client.call("GetItem", GET)

    assert [request.headers["x-amz-date"] for request in server.requests] == ["20231114T221320Z", "20231114T221322Z"]


async def test_what_stays_throttled_is_said_in_the_end(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_MAX_ATTEMPTS", "2")
    world = World()
    async with canned_server(THROTTLED, THROTTLED, THROTTLED) as server, client_of(server, world=world) as client:
        with pytest.raises(Refused, match="^ThrottlingException: slow down$"):
            await client.call("GetItem", GET)

    assert (len(server.requests), world.pauses) == (2, [0.05])


async def test_who_has_less_patience_than_the_policy_is_told_sooner(aws: pytest.MonkeyPatch) -> None:
    world = World()
    async with canned_server(THROTTLED, THROTTLED) as server, client_of(server, world=world) as client:
        with patience(0.12), pytest.raises(Refused, match="^ThrottlingException: slow down$"):
            await client.call("GetItem", GET)
        assert await client.call("GetItem", GET) == {}

    assert (len(server.requests), world.pauses) == (3, [0.05]), "another pause, of 0.1 s, would be too long"


async def test_no_answer_is_asked_for_again(aws: pytest.MonkeyPatch) -> None:
    async with canned_server(None, None, answer()) as server, client_of(server) as client:
        await client.call("GetItem", GET)

    assert len(server.requests) == 3


async def test_a_slow_server_uses_up_the_time(aws: pytest.MonkeyPatch) -> None:
    world = World()

    async def respond(request: Request) -> bytes:
        world.now += 7_000
        return THROTTLED

    async with canned_server(respond=respond) as server, client_of(server, world=world) as client:
        with pytest.raises(Refused, match="ThrottlingException"):
            await client.call("GetItem", GET)

    assert len(server.requests) == 2


async def test_what_would_be_refused_again_is_not_tried_again(aws: pytest.MonkeyPatch) -> None:
    refused = answer(400, b'{"__type": "x#ValidationException", "message": "no"}', x_amzn_RequestId="R1")
    async with canned_server(refused) as server, client_of(server) as client:
        with pytest.raises(Refused, match="^ValidationException: no$") as caught:
            await client.call("GetItem", GET)

    assert len(server.requests) == 1
    assert caught.value.request_id == "R1"


# Credentials.


class Renewable:
    """Credentials of which others can be had once AWS takes them for expired."""

    def __init__(self) -> None:
        self.number = 1

    async def get(self) -> Credentials:
        return Credentials(f"ASIA{self.number}", "secret")

    def reject(self, credentials: Credentials) -> bool:
        self.number += 1
        return True


EXPIRED = answer(400, b'{"__type": "x#ExpiredTokenException", "message": "The security token is expired."}')


async def test_expired_credentials_are_renewed_once(aws: pytest.MonkeyPatch) -> None:
    async with canned_server(EXPIRED) as server, client_of(server, credentials=Renewable()) as client:
        await client.call("GetItem", GET)

    keys = [request.headers["authorization"].split("=")[1].split("/")[0] for request in server.requests]
    assert keys == ["ASIA1", "ASIA2"]


async def test_credentials_that_stay_expired_are_said_to_be(aws: pytest.MonkeyPatch) -> None:
    async with canned_server(EXPIRED, EXPIRED, EXPIRED) as server, client_of(server, credentials=Renewable()) as client:
        with pytest.raises(Refused, match=r"The security token is expired\. The credentials .*renew them"):
            await client.call("GetItem", GET)

    assert len(server.requests) == 2


async def test_expired_credentials_of_the_environment_are_not_tried_again(aws: pytest.MonkeyPatch) -> None:
    async with canned_server(EXPIRED) as server, client_of(server) as client:
        with pytest.raises(Refused, match="The credentials have expired: renew them") as caught:
            await client.call("GetItem", GET)

    assert len(server.requests) == 1
    assert "top" not in str(caught.value)


# What else can be wrong.


async def test_a_server_that_is_something_else_is_named_with_what_it_said(aws: pytest.MonkeyPatch) -> None:
    page = answer(200, b"<html>It works!</html>")
    async with canned_server(page) as server, client_of(server, policy=Policy(attempts=1)) as client:
        with pytest.raises(
            Unreachable, match=r"http://127\.0\.0\.1:\d+ doesn't answer as dynamodb does: .*It works"
        ) as caught:
            await client.call("GetItem", GET)

    assert "Check the endpoint" in str(caught.value)


async def test_a_redirection_is_a_refusal(aws: pytest.MonkeyPatch) -> None:
    async with canned_server(answer(301, b"", location="https://elsewhere")) as server, client_of(server) as client:
        with pytest.raises(Refused, match="^301$"):
            await client.call("GetItem", GET)


async def test_a_dead_network_is_said_after_all_attempts(aws: pytest.MonkeyPatch) -> None:
    async with canned_server() as server:
        pass
    world = World()
    async with client_of(server, world=world) as client:
        with pytest.raises(Unreachable, match=rf"http://127\.0\.0\.1:{server.port} can't be connected to: "):
            await client.call("GetItem", GET)

    assert world.pauses == [0.05, 0.1, 0.2, 0.4, 0.8]


async def test_an_endpoint_that_is_no_url_is_named(aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="endpoint_url gives an endpoint that isn't a URL"):
        await AsyncioClient("dynamodb", endpoint_url="localhost").call("GetItem", GET)


async def test_a_proxy_is_not_passed_by(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("HTTPS_PROXY", "http://proxy:3128")
    aws.delenv("NO_PROXY", raising=False)
    aws.delenv("no_proxy", raising=False)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY is set"):
        await AsyncioClient("dynamodb").call("GetItem", GET)


# Event loops.


def test_each_event_loop_has_connections_of_its_own(aws: pytest.MonkeyPatch) -> None:
    """A script may run one loop after another; the connections of the first are lost with it."""
    client: AsyncioClient

    async def serve_and_call() -> int:
        nonlocal client
        async with canned_server() as server:
            client = AsyncioClient("dynamodb", endpoint_url=server.url)
            await client.call("GetItem", GET)
            await client.aclose()
            return server.connections

    assert asyncio.run(serve_and_call()) == 1
    assert client._pools == {}

    async def call_again() -> int:
        async with canned_server() as server:
            aws.setattr(client, "_found", None)
            aws.setattr(client, "_endpoint_url", server.url)
            await client.call("GetItem", GET)
            calls = len(client._pools)
            await client.aclose()
            return calls

    assert asyncio.run(call_again()) == 1


def test_a_closed_loops_connections_are_forgotten() -> None:
    client = AsyncioClient("dynamodb")
    closed = asyncio.new_event_loop()
    closed.close()
    client._pools[closed] = None  # type: ignore[assignment]  # whatever it was

    asyncio.run(client.aclose())

    assert client._pools == {}


# TLS.


async def test_the_authorities_of_aws_ca_bundle_are_trusted(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate = Certificate("127.0.0.1", tmp_path)
    aws.setenv("AWS_CA_BUNDLE", str(certificate.path))
    tls_context.cache_clear()
    async with (
        canned_server(tls=certificate.context) as server,
        client_of(server, timeouts=Timeouts(connect=20)) as client,
    ):
        await client.call("GetItem", GET)
    tls_context.cache_clear()

    assert server.url.startswith("https://")
    assert len(server.requests) == 1


def test_without_it_the_systems_authorities_are(aws: pytest.MonkeyPatch) -> None:
    tls_context.cache_clear()
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert tls_context() is context


def test_a_bundle_that_is_not_there_is_named(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_CA_BUNDLE", "/not/there.pem")
    tls_context.cache_clear()
    with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE names '/not/there.pem', which holds no certificates"):
        tls_context()


# Which client it is.


def test_the_lean_client_is_made_where_none_is_given() -> None:
    assert isinstance(client_for("sqs", None), AsyncioClient)


def test_a_client_that_is_one_stays_itself() -> None:
    ours: AWSClient = Boto3Client("sqs")
    assert client_for("sqs", ours) is ours


def test_a_client_of_boto3_is_called_in_threads() -> None:
    class Theirs:
        def send_message(self) -> None: ...

    assert isinstance(client_for("sqs", Theirs()), Boto3Client)


def test_a_call_in_lambda_imports_nothing_of_boto3(aws: pytest.MonkeyPatch) -> None:
    script = """
import asyncio, sys
from gatesocket.handler import WebSocketHandler
from gatesocket.aws import AsyncioClient, Unreachable
from gatesocket.aws.retry import Policy
async def call():
    client = AsyncioClient("dynamodb", endpoint_url="http://127.0.0.1:9", policy=Policy(attempts=1))
    try:
        await client.call("GetItem", {})
    except Unreachable:
        sys.exit(sorted({name.partition(".")[0] for name in sys.modules} & {"boto3", "botocore", "urllib3"}) or 0)
asyncio.run(call())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, "")
