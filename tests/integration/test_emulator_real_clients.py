"""Clients that people use on API Gateway, on the emulator: wscat, which AWS's documentation uses, and the AWS CLI.

They are installed for these tests, from npm and PyPI; where that can't be done, the tests are skipped and say so.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from gatesocket.emulator.stack import Stack
from support.packages import from_npm, from_pypi
from support.stack import running

pytestmark = pytest.mark.slow

WSCAT = "wscat@6.1.0"
AWS_CLI = "awscli==1.46.3"

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {CodeUri: code/, Runtime: python3.13, Timeout: 20}}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      RouteSelectionExpression: \\$default
      Routes:
        $connect: {FunctionArn: !GetAtt Function.Arn}
        $default: {FunctionArn: !GetAtt Function.Arn, RouteResponseSelectionExpression: $default}
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref ApiDefaultRoute, RouteResponseKey: $default}
  Function: {Type: AWS::Serverless::Function, Properties: {Handler: main.handler}}
"""
HANDLER = """
    def handler(event, context):
        if event["requestContext"]["eventType"] == "MESSAGE":
            return {"statusCode": 200, "body": "heard " + event["body"]}
        offered = event["headers"].get("Sec-WebSocket-Protocol")
        if offered == "wrong":
            return {"statusCode": 400}
        return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": offered} if offered else {}}
"""


@pytest.fixture(autouse=True)
def forget_main() -> Iterator[None]:
    """Let every stack import its own ``main``."""
    yield
    sys.modules.pop("main", None)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Stack, str]]:
    """The stack, and ``127.0.0.1:port``."""
    async with running(tmp_path, template=TEMPLATE, handler=HANDLER) as stack_and_address:
        yield stack_and_address


async def run(*command: object, **variables: str) -> tuple[int, str]:
    """Run a command; return its status and what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | variables
    # Its input stays open: wscat ends with it.
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = await asyncio.create_subprocess_exec(*map(str, command), **pipes, env=environment)
    assert process.stdout is not None
    output = await asyncio.wait_for(process.stdout.read(), 60)
    return await process.wait(), output.decode()


async def test_wscat_talks(served: tuple[Stack, str]) -> None:
    _, address = served
    _, output = await run(
        from_npm(WSCAT) / ".bin" / "wscat", "-c", f"ws://{address}/prod", "-s", "chat", "-x", "hello", "-w", "1"
    )
    assert "heard hello" in output


async def test_wscat_is_told_why_it_is_refused(served: tuple[Stack, str]) -> None:
    """In the words in which AWS's documentation of subprotocols has it."""
    _, address = served
    _, output = await run(from_npm(WSCAT) / ".bin" / "wscat", "-c", f"ws://{address}/prod", "-s", "wrong")
    assert "error: Unexpected server response: 400" in output


async def test_the_aws_cli_posts_tells_and_closes(served: tuple[Stack, str]) -> None:
    stack, address = served
    packages = str(from_pypi(AWS_CLI))

    async def aws(operation: str, *options: str) -> tuple[int, str]:
        command = (sys.executable, "-m", "awscli", "apigatewaymanagementapi", operation)
        credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        endpoint = ("--endpoint-url", f"http://{address}/prod", "--region", "us-east-1")
        return await run(
            *command, f"--connection-id={connection_id}", *options, *endpoint, PYTHONPATH=packages, **credentials
        )

    async with connect(f"ws://{address}/prod") as client:
        (connection_id,) = stack.connections.ids
        assert await aws("post-to-connection", "--data", "hello") == (0, "")
        assert await client.recv() == "hello"
        status, output = await aws("get-connection")
        assert (status, json.loads(output)["Identity"]["SourceIp"]) == (0, "127.0.0.1")
        assert await aws("delete-connection") == (0, "")
        await client.wait_closed()
        assert client.close_code == 1000
        status, output = await aws("post-to-connection", "--data", "late")
        assert status != 0
        assert "(GoneException)" in output
