"""The optional authorizer of handshakes: whom it lets in, and what the app learns of them.

What it answers is judged by the emulator, which reads answers as API Gateway does.
"""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import jwt
import pytest
from cfnlint import api as cfnlint  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gatesocket import WebSocketHandler
from gatesocket.emulator.answers import Failed, Returned
from gatesocket.emulator.authorizer import Allowed, Denied, judge
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.memory import MemoryRegistry
from support.deployment import deploy
from support.stack import running

AUTHORIZER = Path(__file__).parents[2] / "infra/authorizer"
TEMPLATE = AUTHORIZER / "template.yaml"
METHOD_ARN = "arn:aws:execute-api:us-east-1:123456789012:abcd1234/prod/$connect"
SHARED = {"SHARED_TOKEN": "sesame-open-sesame"}
ISSUED = {"ISSUER": "https://issuer.example.com", "AUDIENCE": "chat"}


@pytest.fixture
def authorizer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(AUTHORIZER / "function")
    return importlib.import_module("authorizer")


def decision(authorizer: Any, event: dict[str, Any]) -> Allowed | Denied:
    """Ask the authorizer, and read its answer as API Gateway does."""
    try:
        answer: Any = Returned(authorizer({"methodArn": METHOD_ARN, **event}, None))
    except Exception as error:
        answer = Failed(type(error).__name__, str(error))
    return judge(answer, method_arn=METHOD_ARN)


BROUGHT = [
    pytest.param({"headers": {"Authorization": "Bearer {}"}}, id="header"),
    pytest.param({"headers": {"authorization": "bearer {}"}}, id="lower-cased header"),
    pytest.param({"headers": {"Sec-WebSocket-Protocol": "bearer, {}, chat"}}, id="subprotocol"),
    pytest.param({"queryStringParameters": {"token": "{}"}, "headers": None}, id="query"),
]


def bring(token: str, where: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(where).replace("{}", token)))


@pytest.mark.parametrize("where", BROUGHT)
def test_who_brings_the_shared_token_passes(authorizer: ModuleType, where: dict[str, Any]) -> None:
    shared = authorizer.Authorizer(SHARED)
    assert decision(shared, bring(SHARED["SHARED_TOKEN"], where)) == Allowed({"principalId": "shared-token"})
    refused = decision(shared, bring("sesame", where))
    assert isinstance(refused, Denied)
    assert refused.status == 401


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"headers": {"Authorization": "Basic sesame-open-sesame"}},
        {"headers": {"Authorization": "Bearer "}},
        {"headers": {"Sec-WebSocket-Protocol": "sesame-open-sesame"}},
        {"headers": {"Sec-WebSocket-Protocol": "bearer"}},
        {"queryStringParameters": {"token": ""}},
        {"queryStringParameters": None},
    ],
)
def test_who_brings_no_token_is_answered_401(authorizer: ModuleType, event: dict[str, Any]) -> None:
    refused = decision(authorizer.Authorizer(SHARED), event)
    assert isinstance(refused, Denied)
    assert refused.status == 401


class Issuer:
    """Signs tokens, and publishes its key on this machine."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        published = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        keys = json.dumps({"keys": [published | {"kid": "1", "use": "sig", "alg": "RS256"}]}).encode()

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(keys)))
                self.end_headers()
                self.wfile.write(keys)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        self.environment = ISSUED | {"JWKS_URL": f"http://127.0.0.1:{self.server.server_port}/keys"}

    def token(self, *, signed_by: Any = None, kid: str = "1", **claims: Any) -> str:
        said = {"sub": "ann", "iss": ISSUED["ISSUER"], "aud": "chat", "exp": time.time() + 60} | claims
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, signed_by or self.key, "RS256", headers={"kid": kid})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    serving = Thread(target=made.server.serve_forever, args=(0.01,))
    serving.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        serving.join()
        made.server.server_close()


def test_an_issuers_token_passes_and_its_claims_are_told(authorizer: ModuleType, issuer: Issuer) -> None:
    token = issuer.token(exp=4102444800, scope="chat:write", roles=["admin"], admin=True)
    issued = authorizer.Authorizer(issuer.environment | {"CLAIMS": "sub exp scope roles admin absent"})
    allowed = decision(issued, {"queryStringParameters": {"token": token}})
    assert isinstance(allowed, Allowed)
    # A list can't be told: API Gateway's context is flat.
    assert {name: str(value).lower() for name, value in allowed.context.items()} == {
        "principalId": "ann",
        "sub": "ann",
        "exp": "4102444800",
        "scope": "chat:write",
        "admin": "true",
    }


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"aud": "another app"},
        {"aud": None},
        {"iss": "https://elsewhere.example.com"},
        {"kid": "2"},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_app_now_is_answered_401(
    authorizer: ModuleType, issuer: Issuer, caplog: pytest.LogCaptureFixture, claims: dict[str, Any]
) -> None:
    token = issuer.token(**claims)
    refused = decision(authorizer.Authorizer(issuer.environment), {"queryStringParameters": {"token": token}})
    assert isinstance(refused, Denied)
    assert refused.status == 401
    assert caplog.messages
    assert token not in caplog.text


@pytest.mark.parametrize("forged", ["another key", "none", "not a token"])
def test_a_forged_token_is_answered_401(authorizer: ModuleType, issuer: Issuer, forged: str) -> None:
    match forged:
        case "another key":
            token = issuer.token(signed_by=rsa.generate_private_key(public_exponent=65537, key_size=2048))
        case "none":
            claims = {"sub": "ann", "iss": ISSUED["ISSUER"], "aud": "chat", "exp": time.time() + 60}
            token = jwt.encode(claims, "", "none", headers={"kid": "1"})
        case _:
            token = forged
    refused = decision(authorizer.Authorizer(issuer.environment), {"queryStringParameters": {"token": token}})
    assert isinstance(refused, Denied)
    assert refused.status == 401


def test_an_issuer_that_cannot_be_reached_is_an_error_and_no_refusal(authorizer: ModuleType, issuer: Issuer) -> None:
    """A client that is told 401 would ask for another token, and go on asking."""
    unreachable = issuer.environment | {"JWKS_URL": "http://127.0.0.1:1/keys"}
    refused = decision(authorizer.Authorizer(unreachable), {"queryStringParameters": {"token": issuer.token()}})
    assert isinstance(refused, Denied)
    assert refused.status == 500


def test_claims_that_api_gateway_would_not_pass_on_are_an_error(authorizer: ModuleType, issuer: Issuer) -> None:
    issued = authorizer.Authorizer(issuer.environment)
    token = issuer.token(scope="x" * 5000)
    with pytest.raises(ValueError, match="name fewer in CLAIMS"):
        issued({"methodArn": METHOD_ARN, "queryStringParameters": {"token": token}}, None)


@pytest.mark.parametrize(
    ("environment", "got"),
    [({}, "none"), (SHARED | ISSUED, "SHARED_TOKEN"), (ISSUED, "ISSUER"), ({"JWKS_URL": "https://x"}, "JWKS_URL")],
)
def test_an_authorizer_that_would_not_know_what_to_check_does_not_start(
    authorizer: ModuleType, environment: dict[str, str], got: str
) -> None:
    with pytest.raises(
        ValueError, match=f"expected either SHARED_TOKEN, or JWKS_URL, ISSUER and AUDIENCE, got .*{got}"
    ):
        authorizer.Authorizer(environment)


def test_the_entry_point_reads_the_functions_variables(authorizer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    authorizer._authorizer.cache_clear()
    monkeypatch.setenv("SHARED_TOKEN", SHARED["SHARED_TOKEN"])
    for _ in range(2):
        event = bring(SHARED["SHARED_TOKEN"], {"queryStringParameters": {"token": "{}"}})
        assert isinstance(decision(authorizer.handler, event), Allowed)
    assert authorizer._authorizer.cache_info().misses == 1


async def test_the_app_finds_in_the_scope_who_was_let_in() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def who(websocket: WebSocket) -> None:
        about = websocket.scope["aws.event"]["requestContext"]["authorizer"]
        if about["principalId"] != "ann":
            await websocket.close()
            return
        await websocket.accept()
        await websocket.receive_text()

    handler = WebSocketHandler(app, registry=MemoryRegistry(), gateway=FakeGateway())
    path = Path(__file__).parents[2] / "local/events/connect.json"
    event = json.loads(await asyncio.to_thread(path.read_text))
    del event["queryStringParameters"], event["multiValueQueryStringParameters"]
    for principal, status in (("ann", 200), ("eve", 403)):
        event["requestContext"]["authorizer"] = {"principalId": principal}
        assert (await handler.invoke(event, None))["statusCode"] == status


GUARDED = f"""
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {{Runtime: python3.13, Timeout: 20}}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      RouteSelectionExpression: \\$default
      Routes:
        $connect: {{FunctionArn: !GetAtt App.Arn}}
        $default: {{FunctionArn: !GetAtt App.Arn}}
        $disconnect: {{FunctionArn: !GetAtt App.Arn}}
      Auth: {{AuthType: CUSTOM, AuthArn: !GetAtt Authorizer.Arn}}
  App:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: main.handler
      Environment:
        Variables:
          GATESOCKET_TABLE: !Ref Table
          GATESOCKET_ENDPOINT: !Sub https://${{Api}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/prod
  Authorizer:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: {AUTHORIZER / "function"}
      Handler: authorizer.handler
      Environment: {{Variables: {{JWKS_URL: THE_ISSUERS, ISSUER: {ISSUED["ISSUER"]}, AUDIENCE: {ISSUED["AUDIENCE"]}}}}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{{AttributeName: pk, AttributeType: S}}, {{AttributeName: sk, AttributeType: S}}]
      KeySchema: [{{AttributeName: pk, KeyType: HASH}}, {{AttributeName: sk, KeyType: RANGE}}]
"""
APP = """
    from fastapi import FastAPI, WebSocket

    from gatesocket import WebSocketHandler

    app = FastAPI()

    @app.websocket("/")
    async def who(websocket: WebSocket):
        await websocket.accept()
        while True:
            asked = await websocket.receive_text()
            await websocket.send_json(websocket.scope["aws.event"]["requestContext"]["authorizer"][asked])

    handler = WebSocketHandler(app)
"""


@pytest.fixture
def forget_modules(authorizer: ModuleType) -> Iterator[None]:
    """Let the functions import their own modules, and the authorizer read its own variables."""
    authorizer._authorizer.cache_clear()
    yield
    authorizer._authorizer.cache_clear()
    sys.modules.pop("main", None)


@pytest.mark.usefixtures("forget_modules")
async def test_behind_api_gateway_it_refuses_and_the_app_knows_whom_it_let_in_on_every_message(
    tmp_path: Path, issuer: Issuer
) -> None:
    template = GUARDED.replace("THE_ISSUERS", issuer.environment["JWKS_URL"])
    async with running(tmp_path, template=template, handler=APP) as (_, address):
        with pytest.raises(InvalidStatus, match="401"):
            await connect(f"ws://{address}/prod?token={issuer.token(aud='another')}")
        async with connect(f"ws://{address}/prod?token={issuer.token(scope='read')}") as client:
            for asked, told in (("principalId", "ann"), ("scope", "read")):
                await client.send(asked)
                assert json.loads(await asyncio.wait_for(client.recv(), 20)) == told


def test_its_template_passes_cfn_lint() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert [str(match) for match in cfnlint.lint(text, regions=["us-east-1"])] == []


JWKS = {"JwksUrl": "https://issuer.example.com/keys", "Issuer": "https://issuer.example.com", "Audience": "chat"}


@pytest.mark.parametrize("parameters", [{"SharedToken": "sesame-open-sesame"}, JWKS])
def test_its_template_gives_the_function_what_it_reads(authorizer: ModuleType, parameters: dict[str, str]) -> None:
    function = deploy(TEMPLATE, **parameters)["AuthorizerFunction"]["Properties"]
    assert function["Handler"] == "authorizer.handler"
    assert authorizer.Authorizer(function["Environment"]["Variables"])


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "either SharedToken, or JwksUrl, Issuer and Audience together"),
        ({"SharedToken": "sesame-open-sesame"} | JWKS, "either SharedToken, or JwksUrl"),
        ({"JwksUrl": JWKS["JwksUrl"]}, "Issuer and Audience together"),
        ({"SharedToken": "sesame"}, "at least 16 characters"),
        (JWKS | {"JwksUrl": "http://issuer.example.com/keys"}, "the https:// address"),
    ],
)
def test_its_template_refuses_what_makes_no_sense(parameters: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        deploy(TEMPLATE, **parameters)
