"""What a stack on one machine makes of a template."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatesocket.emulator.api import Authorizer, Route
from gatesocket.emulator.description import describe
from gatesocket.emulator.http_api import HttpRoute
from gatesocket.emulator.resources import ACCOUNT, Addresses, EventSource, Resources, StreamSource
from gatesocket.emulator.template import load
from gatesocket.emulator.throttle import RateLimit
from gatesocket.exceptions import ConfigurationError

ADDRESSES = Addresses(gateway="http://127.0.0.1:8000", aws="http://127.0.0.1:5000")

SAM = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {CodeUri: code/, Runtime: python3.13}
Resources:
"""
FUNCTION = """
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
"""
WEBSOCKET_API = """
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      StageVariables: {colour: red}
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Function.Arn}
        join: {FunctionArn: !GetAtt Function.Arn, RouteResponseSelectionExpression: $default}
"""

Describe = Callable[[str], Resources]


@pytest.fixture
def described(tmp_path: Path) -> Describe:
    (tmp_path / "code").mkdir()

    def described(text: str) -> Resources:
        path = tmp_path / "template.yaml"
        path.write_text(text, encoding="utf-8")
        return describe(load(path, region="eu-west-1"), region="eu-west-1", addresses=ADDRESSES)

    return described


def environment(described: Describe, value: str, more: str = "") -> str:
    text = f"{SAM}{FUNCTION}      Environment: {{Variables: {{X: {value}}}}}\n{more}"
    return described(text).functions["Function"].environment["X"]


def notes(resources: Resources) -> list[str]:
    return [str(note) for note in resources.notes]


def test_a_function_has_its_directory_handler_and_limits(described: Describe, tmp_path: Path) -> None:
    function = described(f"{SAM}{FUNCTION}      Timeout: 29\n      MemorySize: 512\n").functions["Function"]
    assert function.code == tmp_path / "code"
    assert (function.name, function.handler) == ("Function", "app.handler")
    assert (function.timeout, function.memory) == (29, 512)
    assert function.arn == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:Function"


def test_a_function_has_lambdas_defaults(described: Describe) -> None:
    function = described(SAM + FUNCTION).functions["Function"]
    assert (function.timeout, function.memory, function.environment) == (3, 128, {})


TABLE = """
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub ${AWS::StackName}-table
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
"""
QUEUE = "  Queue: {Type: AWS::SQS::Queue}\n"
FIFO = "  Queue: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}\n"


@pytest.mark.parametrize(
    ("value", "more", "expected"),
    [
        ("7", "", "7"),
        ("!Ref AWS::Region", "", "eu-west-1"),
        ("!Ref Table", TABLE, "local-table"),
        ("!GetAtt Table.Arn", TABLE, f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/local-table"),
        ("!Ref Queue", QUEUE, f"http://127.0.0.1:5000/{ACCOUNT}/Queue"),
        ("!GetAtt Queue.QueueUrl", FIFO, f"http://127.0.0.1:5000/{ACCOUNT}/Queue.fifo"),
        ("!GetAtt Queue.QueueName", QUEUE, "Queue"),
        ("!GetAtt Queue.Arn", QUEUE, f"arn:aws:sqs:eu-west-1:{ACCOUNT}:Queue"),
        ("!Ref Bucket", "  Bucket: {Type: AWS::S3::Bucket}\n", "Bucket"),
        ("!Ref ApiprodStage", WEBSOCKET_API, "prod"),
        ("!GetAtt FunctionRole.Arn", "", f"arn:aws:iam::{ACCOUNT}:role/FunctionRole"),
    ],
)
def test_references_are_what_is_on_this_machine(described: Describe, value: str, more: str, expected: str) -> None:
    assert environment(described, f'"{value}"' if value == "7" else value, more) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/prod", "http://127.0.0.1:8000/prod"),
        ("wss://${Api}.execute-api.${AWS::Region}.amazonaws.com/prod", "ws://127.0.0.1:8000/prod"),
        ("${Api.ApiEndpoint}/prod", "http://127.0.0.1:8000/prod"),
        ("https://example.com", "https://example.com"),
    ],
)
def test_addresses_of_the_templates_own_apis_lead_to_this_machine(
    described: Describe, value: str, expected: str
) -> None:
    assert environment(described, f'!Sub "{value}"', WEBSOCKET_API) == expected


def test_the_websocket_api_has_its_routes(described: Describe) -> None:
    api = described(SAM + FUNCTION + WEBSOCKET_API).api
    assert api is not None
    assert (api.stage, api.region, api.domain_name) == ("prod", "eu-west-1", "127.0.0.1:8000")
    assert api.selection_expression == "$request.body.action"
    assert api.routes == {"$connect": Route("Function"), "join": Route("Function", selects_response=True)}
    assert api.stage_variables == {"colour": "red"}


def test_an_api_keeps_its_id_between_starts(described: Describe) -> None:
    first, second = (described(SAM + FUNCTION + WEBSOCKET_API).api for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.api_id == second.api_id
    assert len(first.api_id) == 10


def test_a_route_answers_only_with_both_an_expression_and_a_response(described: Describe) -> None:
    response = """
  Answer:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref %s, RouteResponseKey: $default}
"""
    api = described(SAM + FUNCTION + WEBSOCKET_API + response % "ApiJoinRoute").api
    assert api is not None
    assert api.routes["join"].two_way
    api = described(SAM + FUNCTION + WEBSOCKET_API + response % "ApiConnectRoute").api
    assert api is not None
    assert not api.routes["$connect"].two_way


def test_a_route_has_the_time_of_its_integration(described: Describe) -> None:
    api = described(
        SAM + FUNCTION + WEBSOCKET_API.replace("{FunctionArn", "{IntegrationTimeout: 1500, FunctionArn")
    ).api
    assert api is not None
    assert [route.timeout for route in api.routes.values()] == [1500, 1500]


def test_a_time_that_api_gateway_does_not_take_is_refused(described: Describe, tmp_path: Path) -> None:
    text = SAM + FUNCTION + WEBSOCKET_API.replace("{FunctionArn", "{IntegrationTimeout: 60000, FunctionArn")
    with pytest.raises(ConfigurationError) as refused:
        described(text)
    expected = "ApiConnectIntegration: expected a TimeoutInMillis of 50 to 29000, got 60000"
    assert str(refused.value).endswith(expected)


SELECTED = WEBSOCKET_API.replace(
    "join: {",
    "join: {ModelSelectionExpression: $request.body.kind, RequestModels: {a: Named, b: !Ref Model, c: Model}, ",
)
MODEL = """
  Model:
    Type: AWS::ApiGatewayV2::Model
    Properties: {ApiId: !Ref Api, Name: Named, Schema: %s}
"""


@pytest.mark.parametrize("schema", ["{type: string}", '\'{"type": "string"}\''])
def test_a_route_has_the_models_of_its_messages(described: Describe, schema: str) -> None:
    resources = described(SAM + FUNCTION + SELECTED + MODEL % schema)
    assert resources.api is not None
    models = resources.api.routes["join"].models
    assert models is not None
    assert [models.validators[key].schema for key in ("a", "b", "c")] == [{"type": "string"}] * 3
    assert resources.api.routes["$connect"].models is None
    assert notes(resources) == []


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("", "ApiJoinRoute: its RequestModels name Named, which no AWS::ApiGatewayV2::Model of the template has"),
        (MODEL % "{type: text}", "ApiJoinRoute: the model of a isn't a JSON schema: 'text' is not valid under any of "),
    ],
)
def test_models_that_cannot_be_checked_are_refused(described: Describe, models: str, message: str) -> None:
    text = SELECTED.replace("!Ref Model", "Model") if not models else SELECTED
    with pytest.raises(ConfigurationError) as refused:
        described(SAM + FUNCTION + text + models)
    assert message in str(refused.value)


def test_connect_has_its_authorizer(described: Describe) -> None:
    auth = """
      Auth:
        AuthType: CUSTOM
        AuthArn: !GetAtt Function.Arn
        IdentitySource: [route.request.header.Auth, route.request.querystring.token]
"""
    api = described(SAM + FUNCTION + WEBSOCKET_API + auth).api
    assert api is not None
    sources = ("route.request.header.Auth", "route.request.querystring.token")
    assert api.routes["$connect"].authorizer == Authorizer("Function", sources)
    assert api.routes["join"].authorizer is None


def test_a_stage_throttles_each_route_by_its_settings_or_by_everybodys(described: Describe) -> None:
    settings = """
      DefaultRouteSettings: {ThrottlingRateLimit: 5.5, ThrottlingBurstLimit: 2}
      RouteSettings: {join: {ThrottlingBurstLimit: 7}}
"""
    api = described(SAM + FUNCTION + WEBSOCKET_API + settings).api
    assert api is not None
    assert {key: route.limit for key, route in api.routes.items()} == {
        "$connect": RateLimit(5.5, 2),
        "join": RateLimit(5.5, 7),
    }


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ("{ThrottlingRateLimit: 1}", RateLimit(1, 5_000)),
        ("{ThrottlingBurstLimit: 1}", RateLimit(10_000, 1)),
        ("{DetailedMetricsEnabled: true}", None),
    ],
)
def test_what_a_stage_leaves_open_is_the_accounts(described: Describe, settings: str, limit: RateLimit | None) -> None:
    api = described(f"{SAM}{FUNCTION}{WEBSOCKET_API}      DefaultRouteSettings: {settings}\n").api
    assert api is not None
    assert api.routes["join"].limit == limit


def test_a_template_need_not_have_a_websocket_api(described: Describe) -> None:
    assert described(SAM + FUNCTION).api is None


def test_an_api_without_a_stage_is_refused(described: Describe) -> None:
    api = "  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: $x}}\n"
    with pytest.raises(ConfigurationError, match=r"the WebSocket API has no stage; add AWS::ApiGatewayV2::Stage"):
        described(SAM + api)


def test_an_api_has_the_stage_of_its_own(described: Describe) -> None:
    http = "  Http: {Type: AWS::Serverless::HttpApi, Properties: {StageName: other}}\n"
    events = "      Events: {Any: {Type: HttpApi, Properties: {ApiId: !Ref Http}}}\n"
    api = described(SAM + http + FUNCTION + events + WEBSOCKET_API).api
    assert api is not None
    assert api.stage == "prod"


def test_http_events_are_routes(described: Describe) -> None:
    events = """
      Events:
        Rest: {Type: HttpApi}
        User: {Type: HttpApi, Properties: {Path: "/users/{id}", Method: get}}
        All: {Type: HttpApi, Properties: {Path: /all, Method: ANY}}
"""
    assert set(described(SAM + FUNCTION + events).http_routes) == {
        HttpRoute("ANY", "$default", "Function"),
        HttpRoute("GET", "/users/{id}", "Function"),
        HttpRoute("ANY", "/all", "Function"),
    }


def test_routes_written_in_plain_cloudformation_are_read_as_well(described: Describe) -> None:
    plain = """
  Http: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: HTTP, Name: http}}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Http, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Function.Arn}
  Users:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Http, RouteKey: POST /users, Target: !Sub "integrations/${Integration}"}
  Rest:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Http, RouteKey: $default, Target: !Sub "integrations/${Integration}"}
  Nowhere:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Http, RouteKey: GET /x, Target: integrations/none}
"""
    resources = described(SAM + FUNCTION + WEBSOCKET_API + plain)
    assert set(resources.http_routes) == {
        HttpRoute("POST", "/users", "Function"),
        HttpRoute("ANY", "$default", "Function"),
    }
    assert notes(resources) == ["Nowhere: its integration isn't a function of this template (AWS_PROXY); it isn't run"]


def test_a_table_is_created_as_the_template_says(described: Describe) -> None:
    more = """
      BillingMode: PAY_PER_REQUEST
      StreamSpecification: {StreamViewType: NEW_IMAGE}
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
      SSESpecification: {SSEEnabled: true}
"""
    (table,) = described(SAM + TABLE + more).tables
    assert table.name == "local-table"
    assert table.ttl_attribute == "expires_at"
    assert table.definition == {
        "TableName": "local-table",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    }


def test_a_table_with_provisioned_throughput_keeps_it(described: Describe) -> None:
    more = "      ProvisionedThroughput: {ReadCapacityUnits: 1, WriteCapacityUnits: 2}\n"
    (table,) = described(SAM + TABLE + more).tables
    assert table.definition["ProvisionedThroughput"] == {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}
    assert "BillingMode" not in table.definition


def test_queues_and_their_dead_letter_queues(described: Describe) -> None:
    text = """
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: jobs.fifo
      FifoQueue: true
      VisibilityTimeout: 60
      SqsManagedSseEnabled: true
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}
  Dead: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
"""
    jobs, dead = described(SAM + text).queues
    assert jobs.name == "jobs.fifo"
    assert jobs.attributes == {"FifoQueue": "true", "VisibilityTimeout": "60"}
    assert jobs.redrive_policy is not None
    assert f"arn:aws:sqs:eu-west-1:{ACCOUNT}:Dead.fifo" in jobs.redrive_policy
    assert (dead.name, dead.redrive_policy) == ("Dead.fifo", None)


def test_a_queue_invokes_its_function(described: Describe) -> None:
    events = """
      Events:
        A:
          Type: SQS
          Properties: {Queue: !GetAtt Queue.Arn, BatchSize: 5, FunctionResponseTypes: [ReportBatchItemFailures]}
        B: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}
"""
    assert described(SAM + FUNCTION + events + QUEUE).sources == (
        EventSource("Queue", "Function", 5, reports_failures=True),
        EventSource("Queue", "Function", 10, reports_failures=False),
    )


STREAM = f"""{FUNCTION}
      Events:
        Changes:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Table.StreamArn
            StartingPosition: LATEST
MORE
{TABLE}
      StreamSpecification: {{StreamViewType: NEW_IMAGE}}
"""
MORE = """
            BatchSize: 5
            MaximumRetryAttempts: 2
            FunctionResponseTypes: [ReportBatchItemFailures]
            FilterCriteria: {Filters: [{Pattern: '{"eventName": ["REMOVE"]}'}]}
"""


def test_the_changes_of_a_table_invoke_a_function(described: Describe) -> None:
    (plain,) = described(SAM + STREAM.replace("MORE", "")).streams
    assert plain == StreamSource("local-table", "Function", "LATEST", 100, (), -1, reports_failures=False)
    (full,) = described(SAM + STREAM.replace("MORE", MORE)).streams
    filters = ({"eventName": ["REMOVE"]},)
    assert full == StreamSource("local-table", "Function", "LATEST", 5, filters, 2, reports_failures=True)


def test_resources_with_a_false_condition_are_not_there(described: Describe) -> None:
    text = """
Conditions: {Never: !Equals [a, b], Always: !Equals [a, a]}
Resources:
  Gone: {Type: AWS::SQS::Queue, Condition: Never}
  Kept: {Type: AWS::SQS::Queue, Condition: Always}
"""
    assert [queue.name for queue in described(text).queues] == ["Kept"]


FORWARDED = rf"""{FUNCTION}{WEBSOCKET_API}{FIFO}
  Role: {{Type: AWS::IAM::Role, Properties: {{}}}}
  Say: {{Type: AWS::ApiGatewayV2::Route, Properties: {{ApiId: !Ref Api, RouteKey: say, Target: !Ref Forwarding}}}}
  Forwarding:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationMethod: POST
      IntegrationUri: !Sub arn:aws:apigateway:${{AWS::Region}}:sqs:path/${{AWS::AccountId}}/${{Queue.QueueName}}
      CredentialsArn: !GetAtt Role.Arn
      RequestParameters: {{integration.request.header.Content-Type: "'application/x-www-form-urlencoded'"}}
      TemplateSelectionExpression: \$default
      RequestTemplates: {{$default: Action=SendMessage&MessageBody=$input.body}}
"""


def test_a_route_may_put_messages_into_a_queue(described: Describe) -> None:
    resources = described(SAM + FORWARDED)
    assert resources.api is not None
    assert resources.api.routes["say"] == Route("Forwarding")
    forwarding = resources.forwardings["Forwarding"]
    assert forwarding.queue == "Queue.fifo"
    event: Any = {"requestContext": {}, "body": "hello"}
    assert forwarding.template.render(event) == "Action=SendMessage&MessageBody=hello"
    assert notes(resources) == []


def test_a_template_need_not_be_selected_where_there_is_one_by_default(described: Describe) -> None:
    assert described(SAM + FORWARDED.replace("TemplateSelectionExpression: \\$default", "")).forwardings


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [
        ("CredentialsArn: !GetAtt Role.Arn", "", "expected CredentialsArn, a role by which API Gateway may send"),
        ("IntegrationMethod: POST", "IntegrationMethod: PUT", "expected the IntegrationMethod POST and the RequestPar"),
        ("RequestParameters: {integration", "Unread: {integration", "by which SQS takes a form; got POST and {}"),
        ("Expression: \\$default", "Expression: $request.body.kind", "'$request.body.kind' reads the message"),
        ("Expression: \\$default", "Expression: other", "expected a template other in RequestTemplates; got $default"),
        ("RequestTemplates: {$default", "Unread: {$default", "a template $default in RequestTemplates; got none"),
        ("$input.body", "$input.params('a')", "its request template has '$input.params', which isn't run"),
    ],
)
def test_a_queue_that_messages_would_not_reach_is_refused(
    described: Describe, written: str, instead: str, says: str
) -> None:
    text = SAM + FORWARDED
    assert written in text
    with pytest.raises(ConfigurationError, match=r"template\.yaml:\d+: Forwarding: ") as refused:
        described(text.replace(written, instead))
    assert says in str(refused.value)


CONSTRAINED = """
Parameters:
  Ingress: {Type: String, Default: onn, AllowedValues: ["off", "on"], ConstraintDescription: off or on.}
Rules:
  Both:
    Assertions: [{Assert: !Equals [!Ref Ingress, "on"], AssertDescription: it has to be on.}]
  Account:
    Assertions: [{Assert: !EachMemberIn [!RefAll "AWS::EC2::VPC::Id", [a]]}]
Resources: {Queue: {Type: AWS::SQS::Queue}}
"""


def test_parameters_that_cloudformation_would_refuse_are_refused_with_the_templates_words(described: Describe) -> None:
    with pytest.raises(ConfigurationError) as refused:
        described(CONSTRAINED)
    first, second = str(refused.value).splitlines()
    assert first.endswith("template.yaml: parameter Ingress: got 'onn', expected off or on.")
    assert second.endswith("template.yaml: it has to be on.")


def test_a_rule_that_asks_for_something_of_the_account_is_named(described: Describe) -> None:
    [note] = notes(described(CONSTRAINED.replace("onn", '"on"')))
    assert note.startswith("Account: this rule for parameters isn't checked: Fn::EachMemberIn isn't supported")


NODE = """
  Node:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: nodejs22.x}
"""
INLINE = """
  Inline:
    Type: AWS::Serverless::Function
    Properties: {Handler: index.handler, InlineCode: x}
"""
LAYERS = f"{FUNCTION}      Layers: [arn:aws:lambda:eu-west-1:1:layer:x:1]\n"
TWO_APIS = FUNCTION + WEBSOCKET_API + WEBSOCKET_API.replace("Api:", "Second:", 1)
AUTHORIZED = f"{FUNCTION}{WEBSOCKET_API}      Auth: {{AuthType: AWS_IAM}}\n"
AUTHORIZED_ELSEWHERE = f"""{FUNCTION}{WEBSOCKET_API}
      Auth: {{AuthType: CUSTOM, AuthArn: "arn:aws:lambda:eu-west-1:1:function:other"}}
"""
KEYS = FUNCTION + WEBSOCKET_API.replace("$connect: {", "$connect: {ApiKeyRequired: true, ")
MODELS = FUNCTION + WEBSOCKET_API.replace("join: {", "join: {RequestModels: {x: y}, ")
HTTP_AUTHORIZED = f"""{FUNCTION}
      Events:
        X: {{Type: HttpApi, Properties: {{Path: /x, Method: get, ApiId: !Ref Http, Auth: {{Authorizer: Token}}}}}}
  Http:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Token:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: {{issuer: "https://issuer.example", audience: [app]}}
"""
PLAIN_AUTHORIZED = f"""{FUNCTION}
  Http: {{Type: AWS::ApiGatewayV2::Api, Properties: {{ProtocolType: HTTP, Name: http}}}}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {{ApiId: !Ref Http, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Function.Arn}}
  Users:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      {{ApiId: !Ref Http, RouteKey: POST /u, AuthorizationType: AWS_IAM, Target: !Sub "integrations/${{Integration}}"}}
"""
KINESIS = f"""{FUNCTION}
      Events:
        Changes:
          Type: Kinesis
          Properties: {{Stream: "arn:aws:kinesis:eu-west-1:1:stream/x", StartingPosition: LATEST}}
"""
PROXY = """
  Http:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Body: {paths: {/x: {get: {x-amazon-apigateway-integration: {type: http_proxy, uri: "http://x"}}}}}
"""


ELSEWHERE = f"""{FUNCTION}{WEBSOCKET_API}
  Leave: {{Type: AWS::ApiGatewayV2::Route, Properties: {{ApiId: !Ref Api, RouteKey: leave, Target: !Ref Integration}}}}
  Integration: {{Type: AWS::ApiGatewayV2::Integration, Properties: {{ApiId: !Ref Api, IntegrationUri: "http://x"}}}}
"""
ANSWER = """
  Answer:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref Say, RouteResponseKey: $default}
"""


PLAIN_ROUTE = f"""{FUNCTION}{WEBSOCKET_API}
  Say:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref Api, RouteKey: say, Target: !Sub "integrations/${{Integration}}"}}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub "arn:aws:apigateway:x:lambda:path/2015-03-31/functions/${{Function.Arn}}/invocations"
"""
UNPERMITTED = (
    "Integration: no AWS::Lambda::Permission lets API Gateway invoke Function for {api}/prod/say: on AWS its clients "
    "get Internal server error; it is invoked here all the same"
)
CALL = "Action: lambda:InvokeFunction, Principal: apigateway.amazonaws.com"
SOURCE = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}"


def permission(properties: str) -> str:
    return f"  Allow: {{Type: AWS::Lambda::Permission, Properties: {{{properties}}}}}\n"


@pytest.mark.parametrize(
    "more",
    [
        permission(f"FunctionName: !Ref Function, {CALL}"),
        permission(f'FunctionName: !GetAtt Function.Arn, {CALL}, SourceArn: !Sub "{SOURCE}/*/say"'),
        permission(f'FunctionName: !Ref Function, {CALL}, SourceArn: !Sub "{SOURCE}/*"'),
        permission(f"FunctionName: !Ref Function, {CALL}, SourceArn: !GetAtt Elsewhere.Arn"),
        "      CredentialsArn: arn:aws:iam::123456789012:role/invokes\n",
    ],
    ids=["any source", "the route", "the api", "unknown here", "a role"],
)
def test_a_function_that_api_gateway_may_invoke_needs_no_word(described: Describe, more: str) -> None:
    assert notes(described(SAM + PLAIN_ROUTE + more)) == []


@pytest.mark.parametrize(
    "more",
    [
        "",
        permission(f"FunctionName: other, {CALL}"),
        permission("FunctionName: !Ref Function, Action: lambda:GetFunction, Principal: apigateway.amazonaws.com"),
        permission("FunctionName: !Ref Function, Action: lambda:InvokeFunction, Principal: sns.amazonaws.com"),
        permission(f'FunctionName: !Ref Function, {CALL}, SourceArn: !Sub "{SOURCE}/*/other"'),
    ],
    ids=["nobody", "another function", "another action", "another service", "another route"],
)
def test_a_function_that_api_gateway_may_not_invoke_is_named(described: Describe, more: str) -> None:
    resources = described(SAM + PLAIN_ROUTE + more)
    assert resources.api is not None
    assert notes(resources) == [UNPERMITTED.format(api=resources.api.api_id)]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("  Bucket: {Type: AWS::S3::Bucket}\n", "Bucket: AWS::S3::Bucket isn't run on this machine"),
        (NODE, "Node: its runtime is 'nodejs22.x': only Python functions in a directory run here"),
        (INLINE, "Inline: its code isn't a directory: only Python functions in a directory run here"),
        (LAYERS, "Function: its layers aren't loaded; install what they hold into this environment"),
        (TWO_APIS, "Second: only the first WebSocket API of a template is run, which is Api"),
        (AUTHORIZED, "ApiConnectRoute: its authorization by AWS_IAM isn't checked: every client passes"),
        (
            AUTHORIZED_ELSEWHERE,
            "ApiConnectRoute: its authorizer isn't a function of this template; every handshake is answered 500",
        ),
        (
            FUNCTION.replace("Properties:", "Properties:\n      Runtime: python2.7"),
            "Function: its runtime is 'python2.7': only Python functions in a directory run here",
        ),
        (
            f"{FUNCTION}{WEBSOCKET_API}      DisableExecuteApiEndpoint: true\n",
            "Api: its DisableExecuteApiEndpoint isn't applied: there is one address here",
        ),
        (
            f"{PLAIN_ROUTE}      ContentHandlingStrategy: CONVERT_TO_BINARY\n"
            + permission(f"FunctionName: !Ref Function, {CALL}"),
            "Integration: its ContentHandlingStrategy isn't applied: messages stay texts",
        ),
        (KEYS, "ApiConnectRoute: API keys aren't checked: every client passes"),
        (MODELS, "ApiJoinRoute: its request models are for nothing: it has no ModelSelectionExpression"),
        (HTTP_AUTHORIZED, "Http: the authorizer of /x isn't run: every client passes"),
        (PLAIN_AUTHORIZED, "Users: its authorizer isn't run: every client passes"),
        (
            KINESIS,
            "FunctionChanges: only SQS queues and this template's streams invoke functions here; it isn't polled",
        ),
        (ELSEWHERE, "Leave: its integration isn't a function of this template (AWS_PROXY); it isn't run"),
        (
            FORWARDED.replace("/${Queue.QueueName}", "/Other"),
            "Say: its integration isn't a function of this template (AWS_PROXY); it isn't run",
        ),
        (
            FORWARDED.replace("RouteKey: say", "RouteKey: $connect"),
            "Say: handshakes aren't put into a queue here; its integration isn't run",
        ),
        (
            FORWARDED.replace("RouteKey: say", "RouteKey: say, RouteResponseSelectionExpression: $default") + ANSWER,
            "Say: what the queue answers isn't sent to clients",
        ),
        (PROXY, "Http: /x has no function of this template behind it; it isn't run"),
    ],
)
def test_what_cannot_be_run_is_named(described: Describe, text: str, note: str) -> None:
    assert notes(described(SAM + text)) == [note]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            FUNCTION.replace("app.handler", "handler"),
            "template.yaml:7: Function: Handler must be module.attribute, got 'handler'",
        ),
        (f"{FUNCTION}      CodeUri: nowhere/\n", "template.yaml:7: Function: there is no directory "),
        (
            f"{FUNCTION}      Environment: {{Variables: {{X: !GetAtt Function.Colour}}}}\n",
            "template.yaml:7: Function: Function.Colour has no value on this machine",
        ),
        (
            STREAM.replace("MORE", MORE.replace('["REMOVE"]', '[{"numeric": [">", 1]}]')),
            "FunctionChanges: the pattern's rule {'numeric': ['>', 1]} isn't known on this machine",
        ),
        ("  Queue: {Type: [1]}\n", "template.yaml:6: Queue: expected a resource with a Type"),
        ("  Queue: 7\n", "template.yaml"),
        (f"{FUNCTION}      Timeout: soon\n", "template.yaml:7: Function: its properties can't be read: ValueError("),
        ("  Queue: {Type: AWS::SQS::Queue, Properties: 7}\n", "template.yaml:6: Queue: its properties can't be read"),
        (
            f"{FUNCTION}      Environment: {{Variables: {{X: !Ref Nobody}}}}\n",
            "template.yaml:7: Function: Ref names 'Nobody', which is neither a parameter nor a resource",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(described: Describe, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        described(SAM + text)
    assert message in str(raised.value)


def test_the_reference_app_needs_nothing_that_is_not_run() -> None:
    template = load(Path(__file__).parents[2] / "template.yaml", region="us-east-1")
    resources = describe(template, region="us-east-1", addresses=ADDRESSES)
    assert notes(resources) == []
    (stream,) = resources.streams
    assert (stream.table, stream.function, stream.batch_size) == ("ConnectionsTable", "ReaperFunction", 10)
    assert resources.api is not None
    assert set(resources.api.routes) == {"$connect", "$default", "$disconnect"}
    assert resources.http_routes == (HttpRoute("ANY", "$default", "HttpFunction"),)
    assert set(resources.sources) == {
        EventSource("WakeQueue", "WakeFunction", 10, reports_failures=True),
        EventSource("JobsQueue", "JobsFunction", 1, reports_failures=True),
        EventSource("FanoutQueue", "FanoutFunction", 1, reports_failures=True),
    }
    for function in resources.functions.values():
        assert function.environment["GATESOCKET_ENDPOINT"] == "http://127.0.0.1:8000/prod"
        assert function.environment["GATESOCKET_TABLE"] == "ConnectionsTable"
        assert function.environment["GATESOCKET_WAKE_QUEUE"] == f"http://127.0.0.1:5000/{ACCOUNT}/WakeQueue"
        assert function.environment["GATESOCKET_JOBS_QUEUE"] == f"http://127.0.0.1:5000/{ACCOUNT}/JobsQueue"
        assert function.environment["GATESOCKET_FANOUT_QUEUE"] == f"http://127.0.0.1:5000/{ACCOUNT}/FanoutQueue"
