"""The reference app's template: what it makes, for whom, with which permissions, and which parameters it refuses."""

import json
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cfnlint import api as cfnlint  # type: ignore[import-untyped]
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.emulator.description import describe
from gatesocket.emulator.mapping import MappingTemplate
from gatesocket.emulator.resources import Addresses
from gatesocket.emulator.template import Template, load
from gatesocket.events import Forwarded, parse
from gatesocket.registry.base import Record
from gatesocket.registry.items import group_membership, key_of
from support.deployment import deploy
from support.edge_function import EDGE_TEMPLATE
from support.lambda_events import removal
from support.regions import lacking

ROOT = Path(__file__).parents[2]
STACK = ROOT / "template.yaml"
OBSERVABILITY = ROOT / "infra/observability/template.yaml"
AUTHORIZER_STACK = ROOT / "infra/authorizer/template.yaml"
AUTHORIZER = "arn:aws:lambda:us-east-1:123456789012:function:tokens"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"

EVERYTHING = {
    "AlarmAddress": "ops@example.com",
    "AllowedOrigins": "https://a.example.com,http://localhost:3000",
    "AuthorizerArn": AUTHORIZER,
    "CertificateArn": CERTIFICATE,
    "DeletionProtection": "true",
    "DomainName": "ws.example.com",
    "OrderedIngress": "fifo",
    "ReservedConcurrency": "100",
}
"""Every part that is added by a parameter."""

either_stack = pytest.mark.parametrize("parameters", [{}, EVERYTHING], ids=["as it is", "with everything"])


@pytest.fixture(scope="module")
def template() -> Template:
    return load(STACK, region="us-east-1")


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in resources.items() if resource["Type"] == kind}


# What the linters say


def findings(text: str) -> list[str]:
    # Linted where every resource type is known; a rule of Amazon's schemas, not a choice of where to deploy.
    return [str(match) for match in cfnlint.lint(text, regions=["us-east-1"])]


@pytest.mark.parametrize("path", [STACK, OBSERVABILITY], ids=["stack", "observability"])
def test_it_passes_cfn_lint(path: Path) -> None:
    assert findings(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [STACK, AUTHORIZER_STACK], ids=["stack", "authorizer"])
def test_what_it_is_translated_to_passes_cfn_lint(path: Path) -> None:
    """Some mistakes, such as a runtime that doesn't exist, are found only there."""
    assert findings(json.dumps(load(path, region="us-east-1").body)) == []


def test_no_rule_of_the_linter_is_ignored_without_a_reason() -> None:
    for path in (STACK, AUTHORIZER_STACK, EDGE_TEMPLATE, OBSERVABILITY):
        lines = path.read_text(encoding="utf-8").splitlines()
        for before, line in pairwise(lines):
            assert "ignore_checks" not in line or before.lstrip().startswith("# "), line


# Routes and what may invoke functions


@either_stack
def test_every_integration_of_a_function_is_permitted_to_invoke_it(parameters: dict[str, str]) -> None:
    resources = deploy(STACK, **parameters)
    permitted = {
        (permission["FunctionName"].removesuffix(".Arn"), permission["SourceArn"].replace(".ApiId/", "/"))
        for permission in of_type(resources, "AWS::Lambda::Permission").values()
    }
    api = "arn:aws:execute-api:us-east-1:123456789012:WebSocketApi"
    integrations = of_type(resources, "AWS::ApiGatewayV2::Integration")
    routed = set()
    for route in of_type(resources, "AWS::ApiGatewayV2::Route").values():
        integration = integrations[route["Target"].removeprefix("integrations/")]
        if integration["IntegrationType"] == "AWS_PROXY":
            [function] = re.findall(r"/functions/(\w+)\.Arn/invocations", integration["IntegrationUri"])
            assert (function, f"{api}/prod/{route['RouteKey']}") in permitted
        routed.add(route["RouteKey"])
    assert routed == {"$connect", "$default", "$disconnect"}
    for authorizer in of_type(resources, "AWS::ApiGatewayV2::Authorizer"):
        assert (AUTHORIZER, f"{api}/authorizers/{authorizer}") in permitted


def test_handshakes_are_authorized_only_by_a_function_that_is_named() -> None:
    plain, guarded = deploy(STACK), deploy(STACK, AuthorizerArn=AUTHORIZER)
    assert plain["ConnectRoute"]["Properties"]["AuthorizationType"] == "NONE"
    assert of_type(plain, "AWS::ApiGatewayV2::Authorizer") == {}
    assert guarded["ConnectRoute"]["Properties"]["AuthorizationType"] == "CUSTOM"
    assert guarded["ConnectRoute"]["Properties"]["AuthorizerId"] == "Authorizer"
    assert guarded["Authorizer"]["Properties"]["AuthorizerUri"].endswith(f"/functions/{AUTHORIZER}/invocations")


def test_messages_take_the_function_or_the_queue() -> None:
    plain, ordered = deploy(STACK), deploy(STACK, OrderedIngress="fifo")
    assert plain["DefaultRoute"]["Properties"]["Target"] == "integrations/FunctionIntegration"
    assert ordered["DefaultRoute"]["Properties"]["Target"] == "integrations/QueueIntegration"
    assert not plain.keys() & {"MessageQueue", "ForwardedMessages", "QueueIntegration", "IngressRole"}
    mapping = ordered["ForwardedMessages"]["Properties"]
    assert (mapping["FunctionName"], mapping["EventSourceArn"]) == ("WebSocketFunction", "MessageQueue.Arn")


EVENT = {
    "routeKey": "$default",
    "eventType": "MESSAGE",
    "connectionId": "TXzPWdnOjoECGjA=",
    "messageId": "TXzPXd+hqR/CJCA=",
    "requestId": "TXzPXEc6KRcFiJQ=",
    "apiId": "abcd1234",
    "stage": "prod",
    "domainName": "abcd1234.execute-api.us-east-1.amazonaws.com",
    "connectedAt": 1708326702789,
    "requestTimeEpoch": 1708326703000,
    "identity": {"sourceIp": "2001:db8::1"},
}


@pytest.fixture(scope="module")
def request_template() -> MappingTemplate:
    """What API Gateway makes a message for the queue of."""
    integration = deploy(STACK, OrderedIngress="fifo")["QueueIntegration"]["Properties"]
    assert list(integration["RequestTemplates"]) == ["$default"]
    return MappingTemplate(integration["RequestTemplates"]["$default"])


@given(body=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_the_queue_is_sent_is_what_the_handler_reads(request_template: MappingTemplate, body: str) -> None:
    """Whatever a client writes, and be it nothing, arrives as it was written."""
    event: Any = {"requestContext": EVENT, "body": body}
    form = request_template.render(event)
    assert "$" not in form
    sent = {name: value for name, [value] in parse_qs(form, strict_parsing=True).items()}
    assert sent.keys() == {"Action", "MessageGroupId", "MessageDeduplicationId", "MessageBody"}

    attributes = {"MessageGroupId": sent["MessageGroupId"]}
    batch = parse({"Records": [{"messageId": "1", "body": sent["MessageBody"], "attributes": attributes}]})
    assert isinstance(batch, tuple)
    [forwarded] = batch
    assert isinstance(forwarded, Forwarded)
    assert forwarded.message.text == body
    assert forwarded.event["requestContext"] == EVENT
    assert (sent["MessageGroupId"], sent["MessageDeduplicationId"]) == (EVENT["connectionId"], EVENT["messageId"])
    assert forwarded.order == forwarded.message.connection_id


def test_a_message_that_takes_the_queue_tells_who_was_let_in() -> None:
    integration = deploy(STACK, OrderedIngress="fifo", AuthorizerArn=AUTHORIZER)["QueueIntegration"]["Properties"]
    context = EVENT | {"authorizer": {"principalId": "ann & bob", "scope": "read"}}
    event: Any = {"requestContext": context, "body": "hello"}
    form = MappingTemplate(integration["RequestTemplates"]["$default"]).render(event)
    [body] = parse_qs(form, strict_parsing=True)["MessageBody"]
    assert json.loads(body)["requestContext"] == EVENT | {"authorizer": {"principalId": "ann & bob"}}


# Permissions


def statements(resources: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in of_type(resources, "AWS::IAM::ManagedPolicy").values():
        yield from policy["PolicyDocument"]["Statement"]
    for role in of_type(resources, "AWS::IAM::Role").values():
        for policy in role.get("Policies", ()):
            yield from policy["PolicyDocument"]["Statement"]


@either_stack
def test_every_permission_names_its_actions_and_its_one_resource(parameters: dict[str, str]) -> None:
    granted = list(statements(deploy(STACK, **parameters)))
    assert granted
    for statement in granted:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any("*" in action for action in actions)
        assert isinstance(statement["Resource"], str)
        assert statement["Resource"] != "*"


@either_stack
def test_functions_get_their_permissions_only_from_the_template(parameters: dict[str, str]) -> None:
    resources = deploy(STACK, **parameters)
    own = of_type(resources, "AWS::IAM::ManagedPolicy").keys()
    from_aws = {
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",  # write its own log
        "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",  # write its own traces
    }
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        policies = set(role.get("ManagedPolicyArns", ()))
        assert policies <= own | from_aws
        assert len(policies) <= 10, "IAM's default quota of managed policies"
        assert "Policies" not in role or name == "IngressRole"


def test_functions_may_do_with_the_table_what_the_library_does_with_it() -> None:
    called = set()
    for module in ("registry/table.py", "tickets.py"):
        source = (ROOT / "src/gatesocket" / module).read_text(encoding="utf-8")
        called |= set(re.findall(r'\b_?(?:call|write_if)\(\s*"(\w+)"', source))
    assert {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "BatchWriteItem"} <= called
    [statement] = deploy(STACK)["KeepConnections"]["Properties"]["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == {f"dynamodb:{operation}" for operation in called}


READERS = {
    "FanoutFunction": "ReadFanoutQueue",
    "JobsFunction": "ReadJobsQueue",
    "ReaperFunction": "ReadExpiredConnections",
    "WakeFunction": "ReadWakeQueue",
    "WebSocketFunction": "ReadMessageQueue",
}


def test_each_function_reads_just_what_invokes_it() -> None:
    resources = deploy(STACK, **EVERYTHING)
    for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values():
        policy = resources[READERS[mapping["FunctionName"]]]["Properties"]["PolicyDocument"]
        assert mapping["EventSourceArn"] in {statement["Resource"] for statement in policy["Statement"]}
    for function in of_type(resources, "AWS::Lambda::Function"):
        policies = resources[f"{function}Role"]["Properties"]["ManagedPolicyArns"]
        reads = {policy for policy in policies if policy.startswith("Read")}
        assert reads == ({READERS[function]} if function in READERS else set())


def test_only_this_stage_is_posted_to(template: Template) -> None:
    [statement] = deploy(STACK)["PostToConnections"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "execute-api:ManageConnections"
    resource = "arn:aws:execute-api:us-east-1:123456789012:WebSocketApi/prod/*/@connections/*"
    assert statement["Resource"] == resource


# Functions, table and queues


def test_every_function_is_the_same_package_and_says_what_it_is_given() -> None:
    functions = of_type(deploy(STACK), "AWS::Lambda::Function")
    assert {name: function["Handler"] for name, function in functions.items()} == {
        "FanoutFunction": "chat.fanout.handler",
        "HttpFunction": "chat.entry.http",
        "JobsFunction": "chat.entry.jobs",
        "ReaperFunction": "chat.entry.websocket",
        "WakeFunction": "chat.entry.websocket",
        "WebSocketFunction": "chat.entry.websocket",
    }
    for function in functions.values():
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
        assert function["MemorySize"] == 512
        assert function["TracingConfig"] == {"Mode": "Active"}
    # API Gateway waits 29 s; for what comes from a queue or a stream nobody does. Batches of a broadcast are short.
    assert {name: function["Timeout"] for name, function in functions.items()} == {
        "FanoutFunction": 29,
        "HttpFunction": 29,
        "JobsFunction": 60,
        "ReaperFunction": 60,
        "WakeFunction": 60,
        "WebSocketFunction": 29,
    }
    assert load(STACK, region="us-east-1").code == dict.fromkeys(functions, ROOT / "handlers")


def test_the_handlers_of_the_template_exist(template: Template) -> None:
    for logical_id, directory in template.code.items():
        handler = template.body["Resources"][logical_id]["Properties"]["Handler"]
        module, _, attribute = handler.rpartition(".")
        source = (directory / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
        assert f"\n{attribute} = " in source


def test_every_function_has_a_log_that_is_kept_as_long_as_was_said() -> None:
    resources = deploy(STACK, LogRetentionDays="7")
    functions = of_type(resources, "AWS::Lambda::Function")
    logs = {function["LoggingConfig"]["LogGroup"] for function in functions.values()}
    assert len(logs) == len(functions)
    assert logs == of_type(resources, "AWS::Logs::LogGroup").keys()
    for log in logs:
        assert resources[log]["Properties"]["RetentionInDays"] == "7"


def test_the_table_has_the_keys_and_the_times_that_the_registry_writes() -> None:
    table = deploy(STACK)["ConnectionsTable"]["Properties"]
    membership = group_membership("TXzPWdnOjoECGjA=", "lobby", None, 2, shards=1)
    assert [key["AttributeName"] for key in table["KeySchema"]] == list(key_of(membership))
    assert {
        attribute["AttributeName"]: {attribute["AttributeType"]} for attribute in table["AttributeDefinitions"]
    } == {name: set(value) for name, value in key_of(membership).items()}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert set(membership["expires_at"]) == {"N"}
    assert table["StreamSpecification"] == {"StreamViewType": "OLD_IMAGE"}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parametrize("protected", ["true", "false"])
def test_the_table_is_protected_if_asked_for(protected: str) -> None:
    table = deploy(STACK, DeletionProtection=protected)["ConnectionsTable"]["Properties"]
    assert table["DeletionProtectionEnabled"] == protected


@either_stack
def test_a_queue_hides_a_message_for_six_of_its_functions_timeouts_and_then_gives_it_up(
    parameters: dict[str, str],
) -> None:
    resources = deploy(STACK, **parameters)
    queues = of_type(resources, "AWS::SQS::Queue")
    read = {
        mapping["EventSourceArn"].removesuffix(".Arn"): mapping["FunctionName"]
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    }
    del read["ConnectionsTable.StreamArn"]
    assert set(read) == {name for name in queues if not name.endswith("DeadLetters")}, (
        "each is read, and by one function"
    )
    for queue, function in read.items():
        assert queues[queue]["VisibilityTimeout"] >= 6 * resources[function]["Properties"]["Timeout"]
        dead = queues[queue]["RedrivePolicy"]["deadLetterTargetArn"].removesuffix(".Arn")
        assert queues[dead].get("FifoQueue") == queues[queue].get("FifoQueue")
        assert queues[dead]["MessageRetentionPeriod"] > queues[queue].get("MessageRetentionPeriod", 0)
    assert all(queue["SqsManagedSseEnabled"] for queue in queues.values())


@either_stack
def test_what_a_queue_has_given_up_lies_with_nothing_else_so_that_sqs_can_send_it_back(
    parameters: dict[str, str],
) -> None:
    """SQS moves messages back from a dead-letter queue only if all of its sources are queues."""
    resources = deploy(STACK, **parameters)
    queues = of_type(resources, "AWS::SQS::Queue")
    sources = [queue["RedrivePolicy"]["deadLetterTargetArn"] for queue in queues.values() if "RedrivePolicy" in queue]
    [stream] = [
        mapping["DestinationConfig"]["OnFailure"]["Destination"]
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
        if "DestinationConfig" in mapping
    ]
    assert len(set(sources)) == len(sources)
    assert stream not in sources
    assert {arn.removesuffix(".Arn") for arn in (*sources, stream)} == {
        name for name in queues if name.endswith("DeadLetters")
    }


def test_the_stream_brings_only_records_that_have_expired(template: Template) -> None:
    """The filter is Lambda's; it lets through what `gatesocket.events` takes for an expired connection, and no more."""
    mapping = template.body["Resources"]["ExpiredConnections"]["Properties"]
    [pattern] = mapping["FilterCriteria"]["Filters"]
    change = removal(Record("TXzPWdnOjoECGjA=", b"", 1, 2))
    membership = group_membership("TXzPWdnOjoECGjA=", "lobby", None, 2, shards=1)

    assert matches(json.loads(pattern["Pattern"]), change)
    assert not matches(json.loads(pattern["Pattern"]), change | {"eventName": "MODIFY"})
    assert not matches(json.loads(pattern["Pattern"]), {key: change[key] for key in change if key != "userIdentity"})
    assert not matches(json.loads(pattern["Pattern"]), change | {"dynamodb": {"Keys": key_of(membership)}})


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether Lambda's event filter lets *event* through; of its rules those for text and prefixes.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax
    """
    for key, rule in pattern.items():
        value = event.get(key)
        if isinstance(rule, dict):
            if not isinstance(value, dict) or not matches(rule, value):
                return False
        elif not any(
            value == choice if isinstance(choice, str) else str(value).startswith(choice["prefix"]) for choice in rule
        ):
            return False
    return True


# Parameters


def test_concurrency_is_reserved_only_if_asked_for() -> None:
    assert "ReservedConcurrentExecutions" not in deploy(STACK)["WebSocketFunction"]["Properties"]
    reserved = deploy(STACK, ReservedConcurrency="100")["WebSocketFunction"]["Properties"]
    assert reserved["ReservedConcurrentExecutions"] == "100"


def test_pages_of_other_origins_call_the_http_routes_only_if_named() -> None:
    plain, shared = (deploy(STACK, AllowedOrigins=origins) for origins in ("", EVERYTHING["AllowedOrigins"]))
    assert "x-amazon-apigateway-cors" not in plain["HttpApi"]["Properties"]["Body"]
    cors = shared["HttpApi"]["Properties"]["Body"]["x-amazon-apigateway-cors"]
    assert cors["allowOrigins"] == ["https://a.example.com", "http://localhost:3000"]


def test_a_domain_leads_to_the_stage() -> None:
    assert "Domain" not in deploy(STACK)
    resources = deploy(STACK, DomainName="ws.example.com", CertificateArn=CERTIFICATE)
    assert resources["Domain"]["Properties"]["DomainName"] == "ws.example.com"
    mapping = resources["DomainMapping"]["Properties"]
    assert (mapping["ApiId"], mapping["DomainName"], mapping["Stage"]) == (
        "WebSocketApi",
        "Domain",
        "prod",
    )


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"StageName": "$default"}, "letters, digits, hyphens and underscores"),
        ({"ChatToken": ""}, "at least one character"),
        ({"ChatToken": "open sesame"}, "no spaces"),
        ({"Architecture": "sparc"}, "arm64 or x86_64"),
        ({"LogRetentionDays": "2"}, "a number of days that CloudWatch knows"),
        ({"DeletionProtection": "perhaps"}, "true or false"),
        ({"ReservedConcurrency": "-1"}, "a whole number from 0"),
        ({"OrderedIngress": "standard"}, "off or fifo"),
        ({"OrderedIngress": "fifo", "ReservedConcurrency": "1"}, "would let handshakes wait for messages"),
        ({"AllowedOrigins": "*"}, "origins as browsers send them"),
        ({"AllowedOrigins": "https://a.example.com/"}, "without a slash at the end"),
        ({"AuthorizerArn": "tokens"}, "the ARN of a Lambda function"),
        ({"AlarmAddress": "#ops"}, "an e-mail address"),
        ({"CertificateArn": CERTIFICATE}, "give both or neither"),
        ({"DomainName": "ws.example.com"}, "give both or neither"),
        ({"DomainName": "https://ws.example.com", "CertificateArn": CERTIFICATE}, "a domain name such as"),
        ({"CertificateArn": "arn:aws:iam::123456789012:server-certificate/1"}, "an ACM certificate"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_with_words(parameters: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        deploy(STACK, **parameters)


def test_every_parameter_says_what_it_is_and_with_which_words_it_refuses() -> None:
    """Without words of the template's own, CloudFormation would answer with a pattern."""
    for path in (STACK, AUTHORIZER_STACK, EDGE_TEMPLATE, OBSERVABILITY):
        for name, parameter in cfn_yaml.load(str(path))["Parameters"].items():
            assert parameter["Description"], name
            constrained = parameter.keys() & {"AllowedPattern", "AllowedValues", "MaxValue", "MinValue"}
            assert not constrained or parameter["ConstraintDescription"].endswith("."), name


def test_every_region_has_what_the_stack_needs(template: Template) -> None:
    """Were one to lack something, a rule would have to refuse it, as the edge's does."""
    assert lacking(resource["Type"] for resource in template.body["Resources"].values()) == set()


def test_the_local_stack_says_what_of_the_parameters_it_does_not_run() -> None:
    template = load(STACK, region="us-east-1", parameters=EVERYTHING)
    addresses = Addresses("http://127.0.0.1:8000", "http://127.0.0.1:5000")
    described = describe(template, region="us-east-1", addresses=addresses)
    not_run = {note.logical_id for note in described.notes}
    assert not_run == {"Domain", "DomainMapping", "Observability", "ConnectRoute"}
    assert described.forwardings.keys() == {"QueueIntegration"}


# Alarms


def test_alarms_are_made_for_who_gave_an_address_and_know_the_stack() -> None:
    assert "Observability" not in deploy(STACK)
    given = deploy(STACK, **EVERYTHING)["Observability"]["Properties"]["Parameters"]
    assert deploy(OBSERVABILITY, **given)
    without_queue = deploy(STACK, AlarmAddress="ops@example.com")["Observability"]["Properties"]["Parameters"]
    assert without_queue["MessageDeadLetters"] == ""
    assert (
        without_queue.keys()
        == given.keys()
        == load(OBSERVABILITY, region="us-east-1", parameters=given).parameters.keys()
    )


def test_sam_deploy_asks_for_what_the_stack_needs() -> None:
    """Roles of the template's own, and the nested stack that is added by an address for alarms."""
    deploy = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))["default"]["deploy"]["parameters"]
    assert deploy["capabilities"].split() == ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    everything = load(STACK, region="us-east-1", parameters=EVERYTHING).body["Resources"].values()
    named = [
        resource
        for resource in everything
        if resource["Type"] == "AWS::IAM::Role" and "RoleName" in resource["Properties"]
    ]
    assert named == [], "roles with names would take CAPABILITY_NAMED_IAM"
