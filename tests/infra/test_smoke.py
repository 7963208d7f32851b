"""The smoke check, run as whoever has deployed a stack would run it."""

import importlib
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from moto.server import ThreadedMotoServer

from support.checks import CREDENTIALS, PATIENCE, Ended, run_check
from support.edge_function import EdgeFunction
from support.edge_proxy import edge_proxy
from support.servers import Server

# Each starts a stack of its own.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHECKS = [
    "connect and be greeted",
    "echo",
    "JSON and a local variable",
    "wrong token refused with 403",
    "broadcast to two clients",
    "personal send",
    "HTTP announcement to a socket",
    "disconnect seen by the other",
    "frame over 32 KB closed with 1009",
    "binary frame closed with 1003",
    "410 for a connection that left",
]
NO_STAGE = (
    "skip 410 for a connection that left: the Management API's address follows only from a stage's URL, wss://…/{stage}"
)


async def smoke(*arguments: str, **environment: str) -> Ended:
    return await run_check("smoke.py", *arguments, **environment)


def passed(ended: Ended, *names: str) -> bool:
    """Whether just these checks passed, each with its time."""
    ok = [re.fullmatch(r"ok   (.+)  \d+\.\d ms", line) for line in ended.lines if line.startswith("ok")]
    return [line and line[1] for line in ok] == list(names)


def failed(ended: Ended) -> list[str]:
    return [line for line in ended.lines if line.startswith("FAIL")]


def websocket_url(server: Server) -> str:
    return server.url.replace("http", "ws", 1)


async def test_every_check_passes_at_a_stage(emulator: Server) -> None:
    urls = ("--websocket-url", f"{websocket_url(emulator)}/prod", "--http-url", emulator.url)
    ended = await smoke(*urls, **CREDENTIALS)
    assert failed(ended) == []
    assert passed(ended, *CHECKS)
    assert (ended.status, ended.errors) == (0, "")


async def test_every_check_passes_through_the_edge(emulator: Server, edge_function: EdgeFunction) -> None:
    """The function rewrites the addresses, under node; only the Management API can't be reached this way."""
    async with edge_proxy(edge_function, websocket_url(emulator)) as edge:
        ended = await smoke("--websocket-url", edge, "--http-url", emulator.url, **CREDENTIALS)
    assert failed(ended) == []
    assert passed(ended, *CHECKS[:-1])
    assert ended.lines[-1] == NO_STAGE
    assert ended.status == 0


@pytest.mark.parametrize(
    ("environment", "lacks"),
    [
        ({}, "there are no AWS credentials to call the Management API with"),
        (
            {name: CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
            "no AWS region is configured, and a call is signed for one; name it: --region",
        ),
    ],
)
async def test_a_check_that_cannot_be_run_says_what_it_lacks(
    emulator: Server, environment: dict[str, str], lacks: str
) -> None:
    urls = ("--websocket-url", f"{websocket_url(emulator)}/prod", "--http-url", emulator.url)
    ended = await smoke(*urls, **environment)
    assert passed(ended, *CHECKS[:-1])
    assert ended.lines[-1] == f"skip 410 for a connection that left: {lacks}"
    assert ended.status == 0


async def test_credentials_that_may_not_post_are_no_failure(
    emulator: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "infra/checks")
    script = importlib.import_module("smoke")
    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url="http://127.0.0.1/prod",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    monkeypatch.setattr(script, "management_client", lambda target: client)
    target = script.Target(f"{websocket_url(emulator)}/prod", emulator.url)
    with closing(client), Stubber(client) as answers:
        answers.add_client_error("post_to_connection", "ForbiddenException", http_status_code=403)
        assert await script.run(target, seconds=PATIENCE, checks=script.CHECKS[-1:])
    said = "skip 410 for a connection that left: the AWS credentials may not do execute-api:ManageConnections: "
    assert capsys.readouterr().out.startswith(said)


async def test_what_differs_fails_and_the_rest_is_checked_all_the_same() -> None:
    """uvicorn has none of API Gateway's limits: it echoes the large frame, and its end of a failed route is its own."""
    with Server("uvicorn") as server:
        ended = await smoke("--websocket-url", websocket_url(server), "--http-url", server.url)
    assert passed(ended, *CHECKS[:-3])
    oversize, binary = failed(ended)
    assert oversize == (
        "FAIL frame over 32 KB closed with 1009: expected close code 1009, got a message of 32779 characters"
    )
    assert binary.startswith("FAIL binary frame closed with 1003: expected close code 1003, got ")
    assert ended.status == 1


async def test_what_cannot_be_reached_fails(emulator: Server) -> None:
    with socket.socket() as closed:  # bound, but not listening
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        ended = await smoke("--websocket-url", websocket_url(emulator), "--http-url", nowhere)
    (line,) = failed(ended)
    assert line.startswith("FAIL HTTP announcement to a socket: expected no error, got ConnectError: ")
    assert ended.status == 1


async def test_what_does_not_answer_fails_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        ended = await smoke("--websocket-url", f"ws://{address}", "--http-url", f"http://{address}", "--timeout", "0.1")
    assert failed(ended) == [f"FAIL {name}: expected an end within 0.1 s, got none" for name in CHECKS[:-1]]
    assert ended.status == 1


@pytest.fixture(scope="module")
def cloudformation() -> Iterator[str]:
    """The endpoint of a CloudFormation with a stack that is something else than a chat."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        with deployed(endpoint, "other", "{Table: {Value: t}}"):
            yield endpoint
    finally:
        server.stop()


@contextmanager
def deployed(endpoint: str, stack: str, outputs: str) -> Iterator[None]:
    """Keep a stack that has *outputs*, in YAML."""
    client = boto3.client(
        "cloudformation",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    template = f"Resources: {{Queue: {{Type: AWS::SQS::Queue}}}}\nOutputs: {outputs}"  # a stack has to have something
    with closing(client):
        client.create_stack(StackName=stack, TemplateBody=template)
        try:
            yield
        finally:
            client.delete_stack(StackName=stack)


async def test_a_stacks_urls_are_looked_up(cloudformation: str, emulator: Server) -> None:
    stage, http = f"{websocket_url(emulator)}/prod", emulator.url
    outputs = f"{{WebSocketUrl: {{Value: '{stage}'}}, HttpUrl: {{Value: '{http}'}}}}"
    with deployed(cloudformation, "chat", outputs):
        ended = await smoke("--stack", "chat", AWS_ENDPOINT_URL_CLOUDFORMATION=cloudformation, **CREDENTIALS)
    assert passed(ended, *CHECKS)
    assert ended.status == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--stack", "other"), r"the stack other has no output HttpUrl and no WebSocketUrl; got \['Table'\]"),
        (("--stack", "chap"), r"the stack chap can't be looked up: .*does not exist.*"),
        (("--stack", "other", "--http-url", "http://127.0.0.1"), "expected either --stack, or both .*"),
        ((), "expected either --stack, or both --websocket-url and --http-url"),
    ],
)
async def test_what_was_asked_for_wrongly_is_said(cloudformation: str, arguments: tuple[str, ...], says: str) -> None:
    ended = await smoke(*arguments, AWS_ENDPOINT_URL_CLOUDFORMATION=cloudformation, **CREDENTIALS)
    assert (ended.status, ended.lines) == (2, [])
    assert re.fullmatch(rf"smoke(\.py: error)?: {says}", ended.errors.splitlines()[-1])
