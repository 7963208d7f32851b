"""Reads off a template what a stack consists of.

Resources that can't be run here are not dropped in silence: each is named in a `Note`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gatesocket.emulator.api import Api, Route
from gatesocket.emulator.http_api import HttpRoute
from gatesocket.emulator.intrinsics import Resolver
from gatesocket.emulator.patterns import check
from gatesocket.emulator.resources import (
    ACCOUNT,
    Addresses,
    EventSource,
    Function,
    Note,
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
            properties that CloudFormation would refuse.
    """
    for logical_id, resource in template.body["Resources"].items():
        if not isinstance(resource, Mapping) or not isinstance(resource.get("Type"), str):
            raise ConfigurationError(f"{template.where(logical_id)}: {logical_id}: expected a resource with a Type")
    description = _Description(template, region=region, addresses=addresses)
    try:
        return description.resources()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        where = f"{template.where(description.reading)}: {description.reading}"
        raise ConfigurationError(
            f"{where}: its properties can't be read: {error!r}. Try: cfn-lint {template.path}"
        ) from error


_SILENT: Final = frozenset(
    {
        # What these say matters to AWS only; the stack on this machine does without them.
        "AWS::ApiGatewayV2::Deployment",
        "AWS::ApiGatewayV2::Integration",
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
        # Read elsewhere in this module.
        "AWS::ApiGatewayV2::Api",
        "AWS::DynamoDB::Table",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::SQS::Queue",
    }
)

_NAMES: Final = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::SQS::Queue": "QueueName",
}
"""The property in which a template names a resource of each type; otherwise its name is its logical id."""

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


class _Description:
    def __init__(self, template: Template, *, region: str, addresses: Addresses) -> None:
        self._template = template
        self._region = region
        self._addresses = addresses
        self._notes: list[Note] = []
        self.reading = ""
        """The logical id of the resource whose properties were looked at last; for errors."""
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::StackId": f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/local/1",
            "AWS::StackName": "local",
            "AWS::URLSuffix": "amazonaws.com",
        }
        self._resolver = Resolver(
            template.body, parameters={**pseudo, **template.parameters}, attributes=self._attribute
        )
        self._resources: dict[str, Mapping[str, Any]] = {
            logical_id: resource
            for logical_id, resource in template.body["Resources"].items()
            if "Condition" not in resource or self._resolver.condition(resource["Condition"])
        }

    def resources(self) -> Resources:
        for logical_id, resource in self._resources.items():
            if resource["Type"] not in _SILENT:
                self._note(logical_id, f"{resource['Type']} isn't run on this machine")
        functions = {
            logical_id: function
            for logical_id in self._of_type("AWS::Lambda::Function")
            if (function := self._function(logical_id))
        }
        sources = tuple(self._sources())
        return Resources(
            api=self._api(),
            http_routes=tuple(self._http_routes()),
            functions=functions,
            tables=tuple(map(self._table, self._of_type("AWS::DynamoDB::Table"))),
            queues=tuple(map(self._queue, self._of_type("AWS::SQS::Queue"))),
            sources=tuple(source for source in sources if isinstance(source, EventSource)),
            streams=tuple(source for source in sources if isinstance(source, StreamSource)),
            notes=tuple(self._notes),
        )

    # Names and attributes

    def _attribute(self, logical_id: str, attribute: str | None) -> str | None:
        """Say what ``Ref`` (*attribute* is None) or ``GetAtt`` of a resource is on this machine."""
        resource = self._template.body["Resources"].get(logical_id)
        if resource is None:
            return None
        name = self._name(logical_id, resource)
        attributes: dict[str | None, str]
        match resource["Type"]:
            case "AWS::Lambda::Function":
                attributes = {None: name, "Arn": self._arn("lambda", f"function:{name}")}
            case "AWS::DynamoDB::Table":
                arn = self._arn("dynamodb", f"table/{name}")
                attributes = {None: name, "Arn": arn, "StreamArn": f"{arn}/stream/local"}
            case "AWS::SQS::Queue":
                url = f"{self._addresses.aws}/{ACCOUNT}/{name}"
                attributes = {None: url, "Arn": self._arn("sqs", name), "QueueName": name, "QueueUrl": url}
            case "AWS::ApiGatewayV2::Api":
                api_id = _api_id(logical_id)
                attributes = {None: api_id, "ApiId": api_id, "ApiEndpoint": f"https://{self._host(api_id)}"}
            case "AWS::ApiGatewayV2::Stage":
                attributes = {None: self._resolver.resolve(resource["Properties"]["StageName"])}
            case "AWS::IAM::Role":
                attributes = {None: name, "Arn": f"arn:aws:iam::{ACCOUNT}:role/{name}"}
            case _:
                attributes = {None: name}
        return attributes.get(attribute)

    def _name(self, logical_id: str, resource: Mapping[str, Any]) -> str:
        properties = resource.get("Properties") or {}
        given = properties.get(_NAMES.get(resource["Type"], ""))
        if given is not None:
            return str(self._resolver.resolve(given))
        return f"{logical_id}.fifo" if properties.get("FifoQueue") else logical_id

    # Functions

    def _function(self, logical_id: str) -> Function | None:
        properties = self._properties(logical_id)
        runtime = properties.get("Runtime", "")
        if not runtime.startswith("python") or logical_id not in self._template.code:
            what = "its code isn't a directory" if runtime.startswith("python") else f"its runtime is {runtime!r}"
            self._note(logical_id, f"{what}: only Python functions in a directory run here")
            return None
        handler = properties.get("Handler", "")
        if "." not in handler:
            raise ConfigurationError(
                f"{self._template.where(logical_id)}: {logical_id}: Handler must be module.attribute, got {handler!r}"
            )
        code = self._template.code[logical_id]
        if not code.is_dir():
            raise ConfigurationError(
                f"{self._template.where(logical_id)}: {logical_id}: there is no directory {code}; correct its CodeUri"
            )
        if properties.get("Layers"):
            self._note(logical_id, "its layers aren't loaded; install what they hold into this environment")
        name = self._name(logical_id, self._resources[logical_id])
        variables = (properties.get("Environment") or {}).get("Variables") or {}
        return Function(
            logical_id=logical_id,
            name=name,
            arn=self._arn("lambda", f"function:{name}"),
            code=code,
            handler=handler,
            environment={name: self._local(str(value)) for name, value in variables.items()},
            timeout=int(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
        )

    def _local(self, value: str) -> str:
        """Turn an address of the template's own APIs into where they are on this machine."""
        for logical_id in self._of_type("AWS::ApiGatewayV2::Api"):
            host = self._host(_api_id(logical_id))
            value = value.replace(f"https://{host}", self._addresses.gateway)
            value = value.replace(f"wss://{host}", self._addresses.gateway.replace("http", "ws", 1))
        return value

    # The APIs

    def _api(self) -> Api | None:
        apis = [
            logical_id
            for logical_id in self._of_type("AWS::ApiGatewayV2::Api")
            if self._properties(logical_id).get("ProtocolType") == "WEBSOCKET"
        ]
        if not apis:
            return None
        for other in apis[1:]:
            self._note(other, f"only the first WebSocket API of a template is run, which is {apis[0]}")
        logical_id = apis[0]
        api_id = _api_id(logical_id)
        return Api(
            api_id=api_id,
            stage=self._stage(api_id)["StageName"],
            region=self._region,
            # A client's Host, as with API Gateway; and nothing that is built from it can leave this machine.
            domain_name=self._addresses.gateway.partition("//")[2],
            selection_expression=self._properties(logical_id)["RouteSelectionExpression"],
            routes=dict(self._routes(api_id)),
            stage_variables=self._stage(api_id).get("StageVariables") or {},
        )

    def _stage(self, api_id: str) -> Mapping[str, Any]:
        for logical_id in self._of_type("AWS::ApiGatewayV2::Stage"):
            properties = self._properties(logical_id)
            if properties["ApiId"] == api_id:
                return properties
        raise ConfigurationError(f"{self._template.path}: the WebSocket API has no stage; add AWS::ApiGatewayV2::Stage")

    def _routes(self, api_id: str) -> Iterator[tuple[str, Route]]:
        answering = {
            self._properties(response)["RouteId"] for response in self._of_type("AWS::ApiGatewayV2::RouteResponse")
        }
        for logical_id in self._of_type("AWS::ApiGatewayV2::Route"):
            properties = self._properties(logical_id)
            if properties["ApiId"] != api_id:
                continue
            if properties.get("AuthorizationType", "NONE") != "NONE":
                self._note(logical_id, "its authorizer isn't run: every client passes")
            if function := self._target(logical_id):
                two_way = logical_id in answering and "RouteResponseSelectionExpression" in properties
                yield properties["RouteKey"], Route(function=function, two_way=two_way)

    def _target(self, route: str) -> str | None:
        """Return the logical id of the function behind a route; None, with a note, if it isn't a function."""
        integration = str(self._properties(route).get("Target", "")).rpartition("/")[2]
        if integration in self._resources:
            function = self._function_of(str(self._properties(integration).get("IntegrationUri", "")))
            if function is not None:
                return function
        self._note(route, "its integration isn't a function of this template (AWS_PROXY); it isn't run")
        return None

    def _http_routes(self) -> Iterator[HttpRoute]:
        for logical_id in self._of_type("AWS::ApiGatewayV2::Api"):
            properties = self._properties(logical_id)
            for path, methods in ((properties.get("Body") or {}).get("paths") or {}).items():
                for method, operation in methods.items():
                    uri = (operation.get("x-amazon-apigateway-integration") or {}).get("uri", "")
                    function = self._function_of(uri)
                    if function is None:
                        self._note(logical_id, f"{path} has no function of this template behind it; it isn't run")
                        continue
                    any_method = method == "x-amazon-apigateway-any-method"
                    yield HttpRoute(method="ANY" if any_method else method.upper(), path=path, function=function)
        for logical_id in self._of_type("AWS::ApiGatewayV2::Route"):
            properties = self._properties(logical_id)
            method, _, path = properties["RouteKey"].partition(" ")
            api = next(
                found for found in self._of_type("AWS::ApiGatewayV2::Api") if _api_id(found) == properties["ApiId"]
            )
            if self._properties(api).get("ProtocolType") == "HTTP" and (function := self._target(logical_id)):
                yield HttpRoute(
                    method="ANY" if method == "$default" else method, path=path or method, function=function
                )

    def _function_of(self, uri: str) -> str | None:
        """Return the logical id of the function that an ARN, or an integration's URI with one in it, names."""
        name = uri.partition(":function:")[2].removesuffix("/invocations").partition(":")[0]
        for logical_id in self._of_type("AWS::Lambda::Function"):
            if name == self._name(logical_id, self._resources[logical_id]):
                return logical_id
        return None

    # Tables and queues

    def _table(self, logical_id: str) -> Table:
        properties = self._properties(logical_id)
        name = self._name(logical_id, self._resources[logical_id])
        definition: dict[str, Any] = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
        definition["TableName"] = name
        if "BillingMode" in properties or "ProvisionedThroughput" not in properties:
            definition["BillingMode"] = properties.get("BillingMode", "PAY_PER_REQUEST")
        if "StreamSpecification" in properties:
            definition["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        ttl = properties.get("TimeToLiveSpecification") or {}
        return Table(name=name, definition=definition, ttl_attribute=ttl.get("AttributeName"))

    def _queue(self, logical_id: str) -> Queue:
        properties = self._properties(logical_id)
        attributes: dict[str, str] = {
            key: str(properties[key]).lower() if isinstance(properties[key], bool) else str(properties[key])
            for key in _QUEUE_ATTRIBUTES
            if key in properties
        }
        policy = properties.get("RedrivePolicy")
        return Queue(
            name=self._name(logical_id, self._resources[logical_id]),
            attributes=attributes,
            redrive_policy=json.dumps(policy) if policy else None,
        )

    def _sources(self) -> Iterator[EventSource | StreamSource]:
        tables = map(self._table, self._of_type("AWS::DynamoDB::Table"))
        streaming = {table.name for table in tables if "StreamSpecification" in table.definition}
        for logical_id in self._of_type("AWS::Lambda::EventSourceMapping"):
            properties = self._properties(logical_id)
            arn, name = str(properties["EventSourceArn"]), str(properties["FunctionName"])
            function = self._function_of(f":function:{name.rpartition(':')[2]}")
            reports_failures = "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", ())
            if function is not None and ":sqs:" in arn:
                yield EventSource(
                    queue=arn.rpartition(":")[2],
                    function=function,
                    batch_size=int(properties.get("BatchSize", 10)),
                    reports_failures=reports_failures,
                )
            elif function is not None and (table := arn.partition(":table/")[2].partition("/")[0]) in streaming:
                yield self._stream_source(logical_id, table, function, reports_failures=reports_failures)
            else:
                what = "only SQS queues and this template's streams invoke functions here; it isn't polled"
                self._note(logical_id, what)

    def _stream_source(self, logical_id: str, table: str, function: str, *, reports_failures: bool) -> StreamSource:
        properties = self._properties(logical_id)
        filters = [
            json.loads(each["Pattern"]) for each in (properties.get("FilterCriteria") or {}).get("Filters") or ()
        ]
        try:
            for pattern in filters:
                check(pattern)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._template.where(logical_id)}: {logical_id}: {error}") from error
        return StreamSource(
            table=table,
            function=function,
            starting_position=properties["StartingPosition"],
            batch_size=int(properties.get("BatchSize", 100)),
            filters=tuple(filters),
            retries=int(properties.get("MaximumRetryAttempts", -1)),
            reports_failures=reports_failures,
        )

    # Helpers

    def _of_type(self, kind: str) -> list[str]:
        return [logical_id for logical_id, resource in self._resources.items() if resource["Type"] == kind]

    def _properties(self, logical_id: str) -> dict[str, Any]:
        self.reading = logical_id
        try:
            properties = self._resolver.resolve(self._resources[logical_id].get("Properties") or {})
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._template.where(logical_id)}: {logical_id}: {error}") from error
        return dict(properties)

    def _arn(self, service: str, name: str) -> str:
        return f"arn:aws:{service}:{self._region}:{ACCOUNT}:{name}"

    def _host(self, api_id: str) -> str:
        return f"{api_id}.execute-api.{self._region}.amazonaws.com"

    def _note(self, logical_id: str, what: str) -> None:
        self._notes.append(Note(logical_id, what))


def _api_id(logical_id: str) -> str:
    """Make an id of AWS's shape that is the same at every start."""
    return hashlib.sha256(logical_id.encode()).hexdigest()[:10]
