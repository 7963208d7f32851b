"""What serverless-offline's end-to-end tests found on AWS itself, asked of the emulator (dherault/serverless-offline).

Its handlers, in Python: a client asks for an action, and a listener is told of every connection that comes and goes.
What AWS has changed since those tests is as today: `identity` and the headers of a `$disconnect`, for which
tests/unit/test_emulator_events.py has newer captures, and the 204 of a DELETE. One of its tests is about
serverless.yml: two functions for one action, which a SAM template can't have.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect

from support.stack import running

ACTIONS = ("getClientInfo", "getCallInfo", "makeError", "answerNothing", "send", "registerListener")
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {CodeUri: code/, Runtime: python3.13, Timeout: 20}}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: main
      RouteSelectionExpression: $request.body.action
      Auth:
        AuthType: CUSTOM
        AuthArn: !GetAtt Authorizer.Arn
      Routes:
        $connect: {FunctionArn: !GetAtt Comes.Arn}
        $disconnect: {FunctionArn: !GetAtt Goes.Arn}
        $default: {FunctionArn: !GetAtt Default.Arn}
ROUTES
  Authorizer: {Type: AWS::Serverless::Function, Properties: {Handler: main.authorize}}
  Comes: {Type: AWS::Serverless::Function, Properties: {Handler: main.comes}}
  Goes: {Type: AWS::Serverless::Function, Properties: {Handler: main.goes}}
  Default: {Type: AWS::Serverless::Function, Properties: {Handler: main.default}}
  Acts: {Type: AWS::Serverless::Function, Properties: {Handler: main.acts}}
  Listeners:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: listeners
      AttributeDefinitions: [{AttributeName: name, AttributeType: S}]
      KeySchema: [{AttributeName: name, KeyType: HASH}]
""".replace("ROUTES", "\n".join(f"        {action}: {{FunctionArn: !GetAtt Acts.Arn}}" for action in ACTIONS))

HANDLER = """
    import json

    import boto3

    gateway = boto3.client("apigatewaymanagementapi")
    listeners = boto3.resource("dynamodb").Table("listeners")
    OK = {"statusCode": 200, "body": "Request is OK."}

    def authorize(event, context):
        token = (event.get("queryStringParameters") or {}).get("token", "")
        if token == "unknown":
            raise Exception("Unauthorized")
        statement = {"Effect": "Deny" if token == "denied" else "Allow", "Action": "*", "Resource": event["methodArn"]}
        return {"principalId": "user", "policyDocument": {"Statement": [statement]}, "context": {"token": token}}

    def post(connection_id, data):
        text = data if isinstance(data, str) else json.dumps(data)
        gateway.post_to_connection(ConnectionId=connection_id, Data=text)

    def update(what, **info):
        return {"action": "update", "event": what, "info": info}

    def tell_listener(what, event):
        listener = listeners.get_item(Key={"name": "default"}, ConsistentRead=True).get("Item")
        if listener:
            try:
                post(listener["id"], update(what, id=event["requestContext"]["connectionId"], event=event))
            except gateway.exceptions.GoneException:
                listeners.delete_item(Key={"name": "default"})
        return OK

    def comes(event, context):
        return tell_listener("connect", event)

    def goes(event, context):
        return tell_listener("disconnect", event)

    def default(event, context):
        post(event["requestContext"]["connectionId"], f"Error: No Supported Action in Payload '{event['body']}'")
        return OK

    def acts(event, context):
        me, request = event["requestContext"]["connectionId"], json.loads(event["body"])
        match request["action"]:
            case "getClientInfo":
                post(me, update("client-info", id=me))
            case "getCallInfo":
                post(me, update("call-info", event=event))
            case "makeError":
                raise ValueError(request)
            case "answerNothing":
                post(me, update("answer-nothing"))
                return None
            case "send":
                try:
                    for connection_id in request["clients"]:
                        post(connection_id, request["data"])
                except gateway.exceptions.ClientError:
                    post(me, "Error: Could not Send all Messages")
            case "registerListener":
                listeners.put_item(Item={"name": "default", "id": me})
                post(me, update("register-listener", id=me))
        return OK
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One stack for all tests, as there was one deployment; each test has its own connections."""
    with ExitStack() as stack:
        stack.callback(sys.modules.pop, "main", None)
        portal = stack.enter_context(start_blocking_portal())
        directory = tmp_path_factory.mktemp("stack")
        context = portal.wrap_async_context_manager(running(directory, template=TEMPLATE, handler=HANDLER))
        _, address = stack.enter_context(context)
        yield address


class Client:
    """A client that knows its connection id."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.id = ""

    async def ask(self, action: str, **more: Any) -> None:
        await self.socket.send(json.dumps({"action": action, **more}, separators=(",", ":")))

    async def text(self) -> str:
        return str(await asyncio.wait_for(self.socket.recv(), 20))

    async def json(self) -> Any:
        return json.loads(await self.text())


@pytest.fixture
async def open_client(address: str) -> AsyncIterator[Any]:
    clients: list[Client] = []

    async def open_client(query: str = "") -> Client:
        client = Client(await connect(f"ws://{address}/main{query}"))
        clients.append(client)
        await client.ask("getClientInfo")
        client.id = (await client.json())["info"]["id"]
        return client

    yield open_client
    for client in clients:
        await client.socket.close()


@pytest.fixture
async def listener(open_client: Any) -> Client:
    client: Client = await open_client()
    await client.ask("registerListener")
    assert (await client.json())["event"] == "register-listener"
    return client


async def call(method: str, address: str, connection_id: str, body: bytes = b"") -> httpx2.Response:
    """Call the Management API by hand, signed with botocore's Signature Version 4."""
    request = AWSRequest(method, f"http://{address}/main/@connections/{quote(connection_id, safe='')}", data=body)
    SigV4Auth(Credentials("local", "local"), "execute-api", "us-east-1").add_auth(request)
    async with httpx2.AsyncClient() as http:
        return await http.request(method, str(request.url), headers=dict(request.headers.items()), content=body)


@pytest.mark.parametrize("path", ["", "/123", "/123/456"])
async def test_a_plain_request_is_told_to_upgrade(address: str, path: str) -> None:
    async with httpx2.AsyncClient() as http:
        assert (await http.get(f"http://{address}/main{path}")).status_code == 426


async def test_a_client_learns_its_id(open_client: Any) -> None:
    client = await open_client()
    assert len(client.id) == 16


@pytest.mark.parametrize("payload", ['{"action":"action123"}', '{"hello":"world"}', "no json"])
async def test_what_no_route_serves_goes_to_the_default_one(open_client: Any, payload: str) -> None:
    client = await open_client()
    await client.socket.send(payload)
    assert await client.text() == f"Error: No Supported Action in Payload '{payload}'"


async def test_a_function_posts_to_whom_it_likes(open_client: Any) -> None:
    one, two = await open_client(), await open_client()
    await one.ask("send", clients=[one.id, two.id], data="Hello World!")
    assert [await one.text(), await two.text()] == ["Hello World!", "Hello World!"]


async def test_an_error_is_a_frame_with_three_keys(open_client: Any) -> None:
    client = await open_client()
    await client.ask("makeError")
    frame = await client.json()
    assert frame == {
        "message": "Internal server error",
        "connectionId": client.id,
        "requestId": frame["requestId"],
    }


async def test_a_function_need_not_answer_anything(open_client: Any) -> None:
    client = await open_client()
    await client.ask("answerNothing")
    assert await client.json() == {"action": "update", "event": "answer-nothing", "info": {}}


@pytest.mark.parametrize("nobody", ["non-existing-id", "AAAAAAAAAAAAAAA="])
async def test_nothing_can_be_posted_to_a_client_that_never_was(open_client: Any, nobody: str) -> None:
    client = await open_client()
    await client.ask("send", clients=[nobody], data="Hello World!")
    assert await client.text() == "Error: Could not Send all Messages"


async def test_a_listener_hears_of_each_connection_that_comes_and_goes(listener: Client, open_client: Any) -> None:
    heard = []
    one = await open_client()
    heard.append(await listener.json())
    two = await open_client()
    heard.append(await listener.json())
    for client in (two, one):
        await client.socket.close()
        heard.append(await listener.json())
    assert [(each["event"], each["info"]["id"]) for each in heard] == [
        ("connect", one.id),
        ("connect", two.id),
        ("disconnect", two.id),
        ("disconnect", one.id),
    ]


async def test_events_have_the_keys_that_aws_sends(listener: Client, open_client: Any) -> None:
    client = await open_client()
    connected = (await listener.json())["info"]["event"]
    await client.ask("getCallInfo")
    called = (await client.json())["info"]["event"]
    await client.socket.close()
    disconnected = (await listener.json())["info"]["event"]
    everywhere = {
        *("apiId", "authorizer", "connectedAt", "connectionId", "domainName", "eventType", "extendedRequestId"),
        *("identity", "messageDirection", "requestId", "requestTime", "requestTimeEpoch", "routeKey", "stage"),
    }
    events = {"CONNECT": connected, "MESSAGE": called, "DISCONNECT": disconnected}
    for kind, event in events.items():
        about = event["requestContext"]
        more = {"MESSAGE": {"messageId"}, "DISCONNECT": {"disconnectStatusCode", "disconnectReason"}}
        assert about.keys() == everywhere | more.get(kind, set())
        assert (about["eventType"], about["stage"], about["connectionId"]) == (kind, "main", client.id)
        assert about["connectedAt"] == connected["requestContext"]["connectedAt"] <= about["requestTimeEpoch"]
        assert about["authorizer"] == {"principalId": "user", "token": ""}
        assert event["isBase64Encoded"] is False
    assert called["body"] == '{"action":"getCallInfo"}'
    headers = {"Host", "User-Agent", "Sec-WebSocket-Extensions", "Sec-WebSocket-Key", "Sec-WebSocket-Version"}
    added = {"X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"}
    assert connected["headers"].keys() == connected["multiValueHeaders"].keys() == headers | added
    assert disconnected["headers"].keys() == {"Host", "x-api-key", "x-restapi", "X-Forwarded-For"}


async def test_a_query_is_in_the_event_if_there_was_one(listener: Client, open_client: Any) -> None:
    await open_client()
    assert "queryStringParameters" not in (await listener.json())["info"]["event"]
    await open_client("?now=1&before=123456789")
    queried = (await listener.json())["info"]["event"]
    assert queried["queryStringParameters"] == {"now": "1", "before": "123456789"}


async def test_the_management_api_takes_requests_signed_by_hand(address: str, open_client: Any) -> None:
    client = await open_client()
    assert (await call("POST", address, client.id, b"Hello World!")).status_code == 200
    assert await client.text() == "Hello World!"
    assert (await call("DELETE", address, client.id)).status_code == 204
    await client.socket.wait_closed()
    assert client.socket.close_code == 1000


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_connection_that_was_closed_is_gone(
    address: str, listener: Client, open_client: Any, method: str
) -> None:
    client = await open_client()
    await listener.text()
    await client.socket.close()
    await listener.text()  # $disconnect
    assert (await call(method, address, client.id, b"Hello World!" if method == "POST" else b"")).status_code == 410


@pytest.mark.parametrize(("token", "status"), [("unknown", 401), ("denied", 403)])
async def test_an_authorizer_refuses(address: str, token: str, status: int) -> None:
    """Which those tests had in mind, but commented out."""
    url = f"http://{address}/main?token={token}"
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    async with httpx2.AsyncClient() as http:
        response = await http.get(url, headers={**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert response.status_code == status
