"""A FIFO queue in front of messages: API Gateway -> SQS -> function, as the emulator runs it.

First for a function without Gatesocket, by a template such as AWS's own sample for it; then for the chat, as
`gatesocket dev --parameter OrderedIngress=fifo` serves it.

https://github.com/aws-samples/serverless-patterns/tree/main/apigw-websocket-api-sqs-lambda
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from support.servers import Server
from support.stack import running

BURST = 200
PATIENCE = 30  # s: SQS on a busy machine

TEMPLATE = r"""
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub "integrations/${Integration}"}
  Role: {Type: AWS::IAM::Role, Properties: {}}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationMethod: POST
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:sqs:path/${AWS::AccountId}/${Queue.QueueName}
      CredentialsArn: !GetAtt Role.Arn
      RequestParameters: {integration.request.header.Content-Type: "'application/x-www-form-urlencoded'"}
      TemplateSelectionExpression: \$default
      RequestTemplates:
        $default: !Join
          - "&"
          - - Action=SendMessage
            - MessageGroupId=$input.path('$.group')
            - MessageDeduplicationId=$util.urlEncode($context.requestId)
            - MessageAttribute.1.Name=connectionId
            - MessageAttribute.1.Value.StringValue=$util.urlEncode($context.connectionId)
            - MessageAttribute.1.Value.DataType=String
            - MessageBody=$util.urlEncode($input.json('$'))
  Queue: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Function:
    Type: AWS::Serverless::Function
    Properties: {Handler: main.handler, CodeUri: code/, Runtime: python3.13, Timeout: 20}
  Messages:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {FunctionName: !Ref Function, EventSourceArn: !GetAtt Queue.Arn}
"""
HANDLER = """
    import boto3

    def handler(event, context):
        gateway = boto3.client("apigatewaymanagementapi")
        for record in event["Records"]:
            connection_id = record["messageAttributes"]["connectionId"]["stringValue"]
            gateway.post_to_connection(ConnectionId=connection_id, Data=record["body"].encode())
"""


@pytest.fixture
def forget_main() -> Iterator[None]:
    """Let the stack import its own ``main``."""
    yield
    sys.modules.pop("main", None)


@pytest.mark.usefixtures("forget_main")
async def test_a_template_without_gatesocket_has_its_messages_in_order(tmp_path: Path) -> None:
    async with (
        running(tmp_path, template=TEMPLATE, handler=HANDLER) as (_, address),
        connect(f"ws://{address}/prod") as client,
    ):
        sent = [{"group": "all", "number": number} for number in range(20)]
        for message in sent:
            await client.send(json.dumps(message))
        answers = [json.loads(await asyncio.wait_for(client.recv(), PATIENCE)) for _ in sent]
        assert answers == sent
        await client.send("no JSON")
        failure = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
        assert failure["message"] == "Internal server error"


@pytest.fixture(scope="module")
def ordered() -> Iterator[str]:
    """The chat's WebSocket address."""
    with Server("gateway", "--parameter", "OrderedIngress=fifo") as server:
        yield server.url.replace("http", "ws", 1)


@pytest.mark.slow
async def test_messages_that_are_sent_at_once_are_served_in_their_order(ordered: str) -> None:
    """The route counts them, each in an invocation that may be another's neighbour."""
    async with connect(f"{ordered}/ws/json", open_timeout=PATIENCE) as client:
        for number in range(1, BURST + 1):
            await client.send(json.dumps(number))
        for number in range(1, BURST + 1):
            answer = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
            assert answer == {"number": number, "you_sent": number}


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "a&b=c d+%41", "$context.stage #set", '{"x": "ü\u2028"}', "\x01\ufffe"])
async def test_any_text_passes_the_queue_as_it_is(ordered: str, text: str) -> None:
    """SQS takes neither an empty message nor every character, and a form has characters of its own."""
    async with connect(f"{ordered}/ws/echo", open_timeout=PATIENCE) as client:
        await client.send(text)
        assert await asyncio.wait_for(client.recv(), PATIENCE) == f"You said: {text}"


@pytest.mark.slow
async def test_handshakes_and_goodbyes_do_not_take_the_queue(ordered: str) -> None:
    async with connect(f"{ordered}/ws/lobby?name=ann", open_timeout=PATIENCE) as ann:
        assert json.loads(await asyncio.wait_for(ann.recv(), PATIENCE))["type"] == "welcome"
        async with connect(f"{ordered}/ws/lobby?name=bob", open_timeout=PATIENCE):
            assert json.loads(await asyncio.wait_for(ann.recv(), PATIENCE))["type"] == "joined"
        assert json.loads(await asyncio.wait_for(ann.recv(), PATIENCE))["type"] == "left"
