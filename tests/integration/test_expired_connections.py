"""The end of a connection that API Gateway never told of: its record expires, and the table's stream tells."""

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from gatesocket.emulator import streams
from gatesocket.registry.items import record_key
from support.stack import running

# Without a function for $disconnect, it never comes.
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      RouteSelectionExpression: \\$default
      Routes:
        $connect: {FunctionArn: !GetAtt Function.Arn}
        $default: {FunctionArn: !GetAtt Function.Arn}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: main.handler
      Runtime: python3.13
      Timeout: 20
      Environment:
        Variables:
          GATESOCKET_TABLE: !Ref Table
          GATESOCKET_ENDPOINT: !Sub https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/prod
      Events:
        Expired:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Table.StreamArn
            StartingPosition: TRIM_HORIZON
            FunctionResponseTypes: [ReportBatchItemFailures]
            FilterCriteria:
              Filters:
                - Pattern: >-
                    {"eventName": ["REMOVE"],
                    "userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]},
                    "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "C#"}]}}}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
      StreamSpecification: {StreamViewType: OLD_IMAGE}
"""

HANDLER = """
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    from gatesocket import ConnectionManager, WebSocketHandler

    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/{name}")
    async def route(websocket: WebSocket, name: str):
        await manager.connect(websocket, user=name)
        count = 0
        try:
            while True:
                await websocket.receive_text()
                count += 1
                await websocket.send_text("heard")
        except WebSocketDisconnect as left:
            await manager.send_to_user("bob", f"{name} left with {left.code} after {count}")

    handler = WebSocketHandler(app)
"""


async def test_the_route_of_a_connection_whose_disconnect_never_came_ends_with_1006(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.05)
    async with (
        running(tmp_path, template=TEMPLATE, handler=HANDLER, runtimes=1) as (stack, address),
        connect(f"ws://{address}/bob", open_timeout=60) as bob,
    ):
        (bob_id,) = stack.connections.ids
        async with connect(f"ws://{address}/ann") as ann:
            (ann_id,) = stack.connections.ids - {bob_id}
            await ann.send("hello")
            assert await asyncio.wait_for(ann.recv(), 20) == "heard"

        reaper = stack.reapers["Table"]
        dynamodb = reaper._dynamodb
        dynamodb.update_item(
            TableName="Table",
            Key=record_key(ann_id),
            UpdateExpression="SET expires_at = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )
        reaper.reap()

        assert await asyncio.wait_for(bob.recv(), 20) == "ann left with 1006 after 1"
        # It is forgotten once its route has ended.
        while "Item" in await asyncio.to_thread(dynamodb.get_item, TableName="Table", Key=record_key(ann_id)):
            pass
