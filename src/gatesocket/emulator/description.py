"""Reads off a template what a stack consists of.

Resources that can't be run here are not dropped in silence: each is named in a `Note`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gatesocket.emulator.apis import http_routes, websocket_api
from gatesocket.emulator.constraints import broken_assertions, unfit_parameters
from gatesocket.emulator.integrations import forwarding
from gatesocket.emulator.patterns import check
from gatesocket.emulator.reader import Reader, api_id
from gatesocket.emulator.resources import (
    Addresses,
    EventSource,
    Function,
    Queue,
    Resources,
    StreamSource,
    Table,
)
from gatesocket.emulator.template import Template
from gatesocket.exceptions import ConfigurationError

__all__ = ["describe"]


def describe(template: Template, *, region: str, addresses: Addresses) -> Resources:
    """Say what *template* asks for, with every reference resolved to what it is on this machine.

    Raises:
        ConfigurationError: a reference that can't be resolved, a function without a handler or a directory, or
            parameters or properties that CloudFormation would refuse.
    """
    for logical_id, resource in template.body["Resources"].items():
        if not isinstance(resource, Mapping) or not isinstance(resource.get("Type"), str):
            raise ConfigurationError(f"{template.where(logical_id)}: {logical_id}: expected a resource with a Type")
    reader = Reader(template, region=region, addresses=addresses)
    _refuse_parameters(reader)
    try:
        return _resources(reader)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        where = f"{template.where(reader.reading)}: {reader.reading}"
        raise ConfigurationError(
            f"{where}: its properties can't be read: {error!r}. Try: cfn-lint {template.path}"
        ) from error


_SILENT: Final = frozenset(
    {
        # What these say matters to AWS only; the stack on this machine does without them.
        "AWS::ApiGatewayV2::Deployment",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Model",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::RouteResponse",
        "AWS::ApiGatewayV2::Stage",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Logs::LogGroup",
        "AWS::SQS::QueuePolicy",
        # Read here, and in `gatesocket.emulator.apis`, which reads integrations and routes too.
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::Authorizer",
        "AWS::DynamoDB::Table",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::SQS::Queue",
    }
)

_PYTHON: Final = re.compile(r"python3\.\d+")
"""The runtimes that are run here, each by this process's Python."""

_TABLE_PROPERTIES: Final = (
    "AttributeDefinitions",
    "KeySchema",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
)
"""What CreateTable takes as CloudFormation writes it."""

_QUEUE_ATTRIBUTES: Final = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
)


def _refuse_parameters(reader: Reader) -> None:
    body = reader.template.body
    refusals = list(unfit_parameters(body.get("Parameters") or {}, reader.template.parameters))
    for name, rule in (body.get("Rules") or {}).items():
        try:
            refusals += broken_assertions(rule, reader.resolver)
        except ConfigurationError as error:
            reader.note(name, f"this rule for parameters isn't checked: {error}")
    if refusals:
        raise ConfigurationError("\n".join(f"{reader.template.path}: {refusal}" for refusal in refusals))


def _resources(reader: Reader) -> Resources:
    for logical_id, resource in reader.resources.items():
        if resource["Type"] not in _SILENT:
            reader.note(logical_id, f"{resource['Type']} isn't run on this machine")
    functions = {
        logical_id: function
        for logical_id in reader.of_type("AWS::Lambda::Function")
        if (function := _function(reader, logical_id))
    }
    sources = tuple(_sources(reader))
    api = websocket_api(reader)
    targets = {route.function for route in api.routes.values()} if api else set()
    return Resources(
        api=api,
        http_routes=tuple(http_routes(reader)),
        functions=functions,
        forwardings={target: found for target in sorted(targets) if (found := forwarding(reader, target))},
        tables=tuple(_table(reader, logical_id) for logical_id in reader.of_type("AWS::DynamoDB::Table")),
        queues=tuple(_queue(reader, logical_id) for logical_id in reader.of_type("AWS::SQS::Queue")),
        sources=tuple(source for source in sources if isinstance(source, EventSource)),
        streams=tuple(source for source in sources if isinstance(source, StreamSource)),
        notes=tuple(reader.notes),
    )


def _function(reader: Reader, logical_id: str) -> Function | None:
    properties = reader.properties(logical_id)
    runtime = properties.get("Runtime", "")
    if not _PYTHON.fullmatch(runtime) or logical_id not in reader.template.code:
        what = "its code isn't a directory" if _PYTHON.fullmatch(runtime) else f"its runtime is {runtime!r}"
        reader.note(logical_id, f"{what}: only Python functions in a directory run here")
        return None
    handler = properties.get("Handler", "")
    if "." not in handler:
        raise ConfigurationError(
            f"{reader.template.where(logical_id)}: {logical_id}: Handler must be module.attribute, got {handler!r}"
        )
    code = reader.template.code[logical_id]
    if not code.is_dir():
        raise ConfigurationError(
            f"{reader.template.where(logical_id)}: {logical_id}: there is no directory {code}; correct its CodeUri"
        )
    if properties.get("Layers"):
        reader.note(logical_id, "its layers aren't loaded; install what they hold into this environment")
    name = reader.name(logical_id, reader.resources[logical_id])
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    return Function(
        logical_id=logical_id,
        name=name,
        arn=reader.arn("lambda", f"function:{name}"),
        code=code,
        handler=handler,
        environment={name: _local(reader, str(value)) for name, value in variables.items()},
        timeout=int(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
    )


def _local(reader: Reader, value: str) -> str:
    """Turn an address of the template's own APIs into where they are on this machine."""
    for logical_id in reader.of_type("AWS::ApiGatewayV2::Api"):
        host = reader.host(api_id(logical_id))
        value = value.replace(f"https://{host}", reader.addresses.gateway)
        value = value.replace(f"wss://{host}", reader.addresses.gateway.replace("http", "ws", 1))
    return value


def _table(reader: Reader, logical_id: str) -> Table:
    properties = reader.properties(logical_id)
    name = reader.name(logical_id, reader.resources[logical_id])
    definition: dict[str, Any] = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
    definition["TableName"] = name
    if "BillingMode" in properties or "ProvisionedThroughput" not in properties:
        definition["BillingMode"] = properties.get("BillingMode", "PAY_PER_REQUEST")
    if "StreamSpecification" in properties:
        definition["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    ttl = properties.get("TimeToLiveSpecification") or {}
    return Table(name=name, definition=definition, ttl_attribute=ttl.get("AttributeName"))


def _queue(reader: Reader, logical_id: str) -> Queue:
    properties = reader.properties(logical_id)
    attributes: dict[str, str] = {
        key: str(properties[key]).lower() if isinstance(properties[key], bool) else str(properties[key])
        for key in _QUEUE_ATTRIBUTES
        if key in properties
    }
    policy = properties.get("RedrivePolicy")
    return Queue(
        name=reader.name(logical_id, reader.resources[logical_id]),
        attributes=attributes,
        redrive_policy=json.dumps(policy) if policy else None,
    )


def _sources(reader: Reader) -> Iterator[EventSource | StreamSource]:
    tables = (_table(reader, logical_id) for logical_id in reader.of_type("AWS::DynamoDB::Table"))
    streaming = {table.name for table in tables if "StreamSpecification" in table.definition}
    for logical_id in reader.of_type("AWS::Lambda::EventSourceMapping"):
        properties = reader.properties(logical_id)
        arn, name = str(properties["EventSourceArn"]), str(properties["FunctionName"])
        function = reader.function_of(f":function:{name.rpartition(':')[2]}")
        reports_failures = "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", ())
        if function is not None and ":sqs:" in arn:
            yield EventSource(
                queue=arn.rpartition(":")[2],
                function=function,
                batch_size=int(properties.get("BatchSize", 10)),
                reports_failures=reports_failures,
            )
        elif function is not None and (table := arn.partition(":table/")[2].partition("/")[0]) in streaming:
            yield _stream_source(reader, logical_id, table, function, reports_failures=reports_failures)
        else:
            what = "only SQS queues and this template's streams invoke functions here; it isn't polled"
            reader.note(logical_id, what)


def _stream_source(
    reader: Reader, logical_id: str, table: str, function: str, *, reports_failures: bool
) -> StreamSource:
    properties = reader.properties(logical_id)
    filters = [json.loads(each["Pattern"]) for each in (properties.get("FilterCriteria") or {}).get("Filters") or ()]
    try:
        for pattern in filters:
            check(pattern)
    except ConfigurationError as error:
        raise ConfigurationError(f"{reader.template.where(logical_id)}: {logical_id}: {error}") from error
    return StreamSource(
        table=table,
        function=function,
        starting_position=properties["StartingPosition"],
        batch_size=int(properties.get("BatchSize", 100)),
        filters=tuple(filters),
        retries=int(properties.get("MaximumRetryAttempts", -1)),
        reports_failures=reports_failures,
    )
