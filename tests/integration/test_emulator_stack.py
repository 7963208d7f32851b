"""A template without any Gatesocket in it, run as a whole: sockets, functions, HTTP API, table and queue."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import boto3
import httpx2
import pytest
from botocore.exceptions import ClientError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gatesocket.aws import AsyncioClient, Refused
from gatesocket.aws.http import Pool
from gatesocket.aws.http1 import Response
from gatesocket.emulator import stack
from gatesocket.emulator.aws import AwsStandIn
from gatesocket.emulator.chaos import MortalFunction
from gatesocket.emulator.gateway import Quirks, Quotas, RateLimit
from gatesocket.exceptions import ConfigurationError, ConnectionGone, GatewayError
from gatesocket.gateway.management_api import ManagementAPI
from support.stack import running

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    CodeUri: code/
    Runtime: python3.13
    Timeout: 20
    Environment:
      Variables:
        TABLE: !Ref Table
        QUEUE: !Ref Queue
        ENDPOINT: !Sub https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/prod
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Messages.Arn}
        $default: {FunctionArn: !GetAtt Messages.Arn}
        $disconnect: {FunctionArn: !GetAtt Messages.Arn}
        unknown: {FunctionArn: !GetAtt Unknown.Arn}
  Messages:
    Type: AWS::Serverless::Function
    Properties:
      Handler: main.messages
      Events:
        Queue:
          Type: SQS
          Properties: {Queue: !GetAtt Queue.Arn, FunctionResponseTypes: [ReportBatchItemFailures]}
  Pages:
    Type: AWS::Serverless::Function
    Properties:
      Handler: main.pages
      Events:
        Page: {Type: HttpApi, Properties: {Path: "/pages/{name}", Method: get}}
  Unknown:
    Type: AWS::Serverless::Function
    Properties: {Handler: index.handler, Runtime: nodejs22.x}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 0
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2}
  Dead: {Type: AWS::SQS::Queue}
"""

HANDLER = """
    import os

    import boto3

    def messages(event, context):
        if "Records" in event:
            return {"batchItemFailures": [
                {"itemIdentifier": record["messageId"]} for record in event["Records"] if not deliver(record["body"])
            ]}
        connection_id = event["requestContext"]["connectionId"]
        match event["requestContext"]["eventType"]:
            case "CONNECT":
                boto3.client("dynamodb").put_item(TableName=os.environ["TABLE"], Item={"pk": {"S": connection_id}})
            case "MESSAGE":
                body = f"{connection_id} {event['body']}"
                boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=body)
            case "DISCONNECT":
                boto3.client("dynamodb").delete_item(TableName=os.environ["TABLE"], Key={"pk": {"S": connection_id}})
        return {"statusCode": 200}

    def deliver(body):
        connection_id, text = body.split(" ", 1)
        if text == "impossible":
            return False
        gateway = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["ENDPOINT"])
        gateway.post_to_connection(ConnectionId=connection_id, Data=text.upper().encode())
        return True

    def pages(event, context):
        return {"statusCode": 200, "body": f"page {event['pathParameters']['name']}"}
"""


@pytest.fixture(autouse=True)
def forget_main() -> Iterator[None]:
    """Let every stack import its own ``main``."""
    yield
    sys.modules.pop("main", None)


@pytest.mark.parametrize("runtimes", [None, 2], ids=["in process", "in runtimes"])
async def test_a_message_goes_through_table_queue_and_management_api(tmp_path: Path, runtimes: int | None) -> None:
    async with (
        running(tmp_path, template=TEMPLATE, handler=HANDLER, runtimes=runtimes) as (_, address),
        connect(f"ws://{address}/prod") as client,
        httpx2.AsyncClient() as http,
    ):
        await client.send("hello")
        assert await asyncio.wait_for(client.recv(), 20) == "HELLO"
        assert (await http.get(f"http://{address}/pages/one")).text == "page one"
        assert (await http.get(f"http://{address}/nowhere")).json() == {"message": "Not Found"}


async def test_boto3_finds_the_management_api_by_its_own_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    async with running(tmp_path, template=TEMPLATE, handler=HANDLER) as (running_stack, address):
        # This process has the functions' environment as long as the stack runs in it.
        gateway = boto3.client("apigatewaymanagementapi")
        async with connect(f"ws://{address}/prod") as client:
            (connection_id,) = running_stack.connections.ids
            await asyncio.to_thread(gateway.post_to_connection, ConnectionId=connection_id, Data=b"hi")
            assert await client.recv() == "hi"
            about = await asyncio.to_thread(gateway.get_connection, ConnectionId=connection_id)
            assert about["Identity"]["SourceIp"] == "127.0.0.1"
            await asyncio.to_thread(gateway.delete_connection, ConnectionId=connection_id)
            await client.wait_closed()
            assert client.close_code == 1000
        with pytest.raises(gateway.exceptions.GoneException):
            await asyncio.to_thread(gateway.post_to_connection, ConnectionId=connection_id, Data=b"late")
        with pytest.raises(ClientError, match="Invalid connectionId: nonsense"):
            await asyncio.to_thread(gateway.get_connection, ConnectionId="nonsense")
        assert quote(connection_id, safe="").endswith("%3D")


async def test_what_runs_in_the_stacks_process_reaches_the_management_api_without_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def exchange(self: Pool, request: bytes) -> Response:
        raise AssertionError("nothing goes through the network")

    async with running(tmp_path, template=TEMPLATE, handler=HANDLER) as (stack, address):
        monkeypatch.setattr(Pool, "exchange", exchange)
        gateway = ManagementAPI(f"http://{address}/prod")
        async with connect(f"ws://{address}/prod") as client:
            (connection_id,) = stack.connections.ids
            await gateway.post(connection_id, "hello")
            assert await client.recv() == "hello"
        with pytest.raises(ConnectionGone):
            await gateway.post(connection_id, "are you there?")
        with pytest.raises(GatewayError, match="403"):
            await ManagementAPI(f"http://{address}/other").post(connection_id, "hello")
        with pytest.raises(Refused, match="404"):
            await AsyncioClient("sqs", endpoint_url=f"http://{address}").call("ReceiveMessage", {})


async def test_a_message_that_cannot_be_processed_ends_in_the_dead_letter_queue(tmp_path: Path) -> None:
    async with (
        running(tmp_path, template=TEMPLATE, handler=HANDLER) as (_, address),
        connect(f"ws://{address}/prod") as client,
    ):
        await client.send("impossible")
        sqs = boto3.client("sqs")
        dead = (await asyncio.to_thread(sqs.get_queue_url, QueueName="Dead"))["QueueUrl"]
        received = await asyncio.to_thread(sqs.receive_message, QueueUrl=dead, WaitTimeSeconds=20)
        assert received["Messages"][0]["Body"].endswith("impossible")


async def test_a_function_that_is_not_run_answers_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gatesocket.emulator")
    async with (
        running(tmp_path, template=TEMPLATE, handler=HANDLER) as (_, address),
        connect(f"ws://{address}/prod") as client,
    ):
        await client.send('{"action": "unknown"}')
        assert "Internal server error" in str(await client.recv())
    assert any("Runtime.NotRun: Unknown isn't run on this machine" in line for line in caplog.messages)
    assert "Unknown: its runtime is 'nodejs22.x': only Python functions in a directory run here" in caplog.messages


async def test_each_invocation_is_one_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gatesocket.emulator")
    failing = HANDLER + "\n    def pages(event, context):\n        return ['no proxy response']\n"
    async with running(tmp_path, template=TEMPLATE, handler=failing) as (running_stack, address):
        async with connect(f"ws://{address}/prod"):
            (connection_id,) = running_stack.connections.ids
        async with httpx2.AsyncClient() as http:
            await http.get(f"http://{address}/pages/one")
    lines = [line.split("  ") for line in caplog.messages if "  " in line]
    assert [line[:2] + line[3:] for line in lines if line[1] != f"{connection_id} $disconnect"] == [
        ["Messages", f"{connection_id} $connect", "200"],
        ["Pages", "GET /pages/one", "ok"],
    ]
    assert all(line[2].endswith(" ms") for line in lines)


async def test_a_stack_has_an_accounts_quotas_and_settled_quirks(tmp_path: Path) -> None:
    options = {"quotas": Quotas(connections=RateLimit(0, 1)), "quirks": Quirks(oversize_reason="too big")}
    async with running(tmp_path, template=TEMPLATE, handler=HANDLER, **options) as (_, address):
        async with connect(f"ws://{address}/prod") as client:
            await client.send("x" * 40_000)
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (1009, "too big")
        with pytest.raises(InvalidStatus, match="HTTP 429"):
            await connect(f"ws://{address}/prod")


async def test_a_template_without_a_websocket_api_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no WebSocket API; add an AWS::Serverless::WebSocketApi"):
        async with running(tmp_path, template="Resources: {Queue: {Type: AWS::SQS::Queue}}"):
            pass


async def test_a_table_that_dynamodb_would_refuse_is_refused(tmp_path: Path) -> None:
    template = TEMPLATE.replace("AttributeName: pk, AttributeType: S", "AttributeName: other, AttributeType: S")
    with pytest.raises(ConfigurationError, match="Table: .*ValidationException"):
        async with running(tmp_path, template=template, handler=HANDLER):
            pass


async def test_a_handler_that_cannot_be_imported_ends_what_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    class StandIn(AwsStandIn):
        async def aclose(self) -> None:
            await super().aclose()
            ended.append(self.endpoint)

    monkeypatch.setattr(stack, "AwsStandIn", StandIn)
    with pytest.raises(ConfigurationError, match="the handler 'main.messages' isn't there"):
        async with running(tmp_path, template=TEMPLATE, handler="x = 1"):
            pass
    assert len(ended) == 1


async def test_a_function_at_another_endpoint_is_invoked_there_and_the_others_here(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()).startswith(b"POST /2015-03-31/functions/Pages/invocations "):
            body = b'{"statusCode": 200, "body": "from elsewhere"}'
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}"
        async with (
            running(tmp_path, template=TEMPLATE, handler=HANDLER, endpoints={"Pages": url}) as (_, address),
            httpx2.AsyncClient() as http,
        ):
            assert (await http.get(f"http://{address}/pages/one")).text == "from elsewhere"
            async with connect(f"ws://{address}/prod"):
                pass


async def test_an_endpoint_of_a_function_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="--endpoint names Page, but the functions that run are Messages, Pages"
    ):
        async with running(tmp_path, template=TEMPLATE, handler=HANDLER, endpoints={"Page": "http://127.0.0.1:9"}):
            pass


async def test_trouble_reaches_processes_of_their_own_too(tmp_path: Path) -> None:
    async with running(tmp_path, template=TEMPLATE, handler=HANDLER, runtimes=1, chaos=1) as (stack, address):
        assert all(isinstance(function, MortalFunction) for function in stack._functions.values())
        async with httpx2.AsyncClient(timeout=20) as http:
            assert (await http.get(f"http://{address}/pages/one")).text == "page one"
