"""A chat of plain Lambda functions, as AWS's own WebSocket samples have it, without any Gatesocket in it.

Its functions make their client of the Management API for ``https://{domainName}/{stage}`` of the event, as such
functions do, and reach the emulator with it.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from support.stack import running

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    CodeUri: code/
    Runtime: python3.13
    Timeout: 20
    Environment: {Variables: {TABLE_NAME: !Ref Connections}}
Resources:
  Chat:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: Prod
      RouteSelectionExpression: $request.body.message
      Routes:
        $connect: {FunctionArn: !GetAtt OnConnect.Arn}
        $disconnect: {FunctionArn: !GetAtt OnDisconnect.Arn}
        sendmessage: {FunctionArn: !GetAtt SendMessage.Arn}
        whoami: {FunctionArn: !GetAtt WhoAmI.Arn}
  OnConnect: {Type: AWS::Serverless::Function, Properties: {Handler: main.on_connect}}
  OnDisconnect: {Type: AWS::Serverless::Function, Properties: {Handler: main.on_disconnect}}
  SendMessage: {Type: AWS::Serverless::Function, Properties: {Handler: main.send_message}}
  WhoAmI: {Type: AWS::Serverless::Function, Properties: {Handler: main.who_am_i}}
  Connections:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: connectionId, AttributeType: S}]
      KeySchema: [{AttributeName: connectionId, KeyType: HASH}]
"""

HANDLER = """
    import json
    import os

    import boto3

    table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])

    def on_connect(event, context):
        table.put_item(Item={"connectionId": event["requestContext"]["connectionId"]})
        return {"statusCode": 200, "body": "Connected."}

    def on_disconnect(event, context):
        table.delete_item(Key={"connectionId": event["requestContext"]["connectionId"]})
        return {"statusCode": 200, "body": "Disconnected."}

    def send_message(event, context):
        where = event["requestContext"]
        gateway = boto3.client(
            "apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}"
        )
        data = json.loads(event["body"])["data"].encode()
        for item in table.scan(ConsistentRead=True)["Items"]:
            try:
                gateway.post_to_connection(ConnectionId=item["connectionId"], Data=data)
            except gateway.exceptions.GoneException:
                table.delete_item(Key=item)
        return {"statusCode": 200, "body": "Data sent."}

    def who_am_i(event, context):
        connection_id = event["requestContext"]["connectionId"]
        gateway = boto3.client("apigatewaymanagementapi")
        about = gateway.get_connection(ConnectionId=connection_id)["Identity"]
        gateway.post_to_connection(ConnectionId=connection_id, Data=json.dumps(about))
"""


@pytest.fixture(autouse=True)
def forget_main() -> Iterator[None]:
    """Let every stack import its own ``main``."""
    yield
    sys.modules.pop("main", None)


@pytest.fixture(params=[None, 1], ids=["in process", "in runtimes"])
async def address(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with running(tmp_path, template=TEMPLATE, handler=HANDLER, runtimes=request.param) as (_, where):
        yield where


async def say(client: ClientConnection, text: str) -> None:
    await client.send(json.dumps({"message": "sendmessage", "data": text}))


async def heard(client: ClientConnection) -> str:
    return str(await asyncio.wait_for(client.recv(), 20))


async def test_a_chat_of_plain_functions_works_as_it_is(address: str) -> None:
    url = f"ws://{address}/Prod"
    async with connect(url) as ann, connect(url) as bob:
        await say(ann, "hello")
        assert [await heard(ann), await heard(bob)] == ["hello", "hello"]
        # Nothing serves any other message, and what a function answers goes to nobody.
        await ann.send(json.dumps({"message": "dance"}))
        assert json.loads(await heard(ann))["message"] == "Forbidden"
        await say(bob, "still here")
        assert [await heard(ann), await heard(bob)] == ["still here", "still here"]


async def test_a_client_of_the_management_api_needs_no_endpoint(address: str) -> None:
    """boto3 takes it from AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI, which functions have here."""
    async with connect(f"ws://{address}/Prod", user_agent_header="wscat") as client:
        await client.send(json.dumps({"message": "whoami"}))
        assert json.loads(await heard(client)) == {"SourceIp": "127.0.0.1", "UserAgent": "wscat"}
