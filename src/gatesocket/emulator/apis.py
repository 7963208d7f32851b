"""Reads off a template its WebSocket API and the routes of its HTTP APIs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gatesocket.emulator.api import CONNECT, Api, Authorizer, Route
from gatesocket.emulator.http_api import HttpRoute
from gatesocket.emulator.integrations import forwarding
from gatesocket.emulator.models import Models
from gatesocket.emulator.permissions import may_invoke
from gatesocket.emulator.reader import Reader, api_id
from gatesocket.emulator.resources import ACCOUNT
from gatesocket.emulator.throttle import RateLimit
from gatesocket.exceptions import ConfigurationError
from gatesocket.limits import INTEGRATION_MILLISECONDS, INTEGRATION_SECONDS, REQUESTS_BURST, REQUESTS_PER_SECOND

__all__ = ["http_routes", "websocket_api"]


def websocket_api(reader: Reader) -> Api | None:
    """Return the template's WebSocket API, the first if there are several; None if there is none.

    Raises:
        ConfigurationError: it has no stage.
    """
    apis = [
        logical_id
        for logical_id in reader.of_type("AWS::ApiGatewayV2::Api")
        if reader.properties(logical_id).get("ProtocolType") == "WEBSOCKET"
    ]
    if not apis:
        return None
    for other in apis[1:]:
        reader.note(other, f"only the first WebSocket API of a template is run, which is {apis[0]}")
    logical_id = apis[0]
    if reader.properties(logical_id).get("DisableExecuteApiEndpoint"):
        reader.note(logical_id, "its DisableExecuteApiEndpoint isn't applied: there is one address here")
    identifier = api_id(logical_id)
    stage = _stage(reader, identifier)
    return Api(
        api_id=identifier,
        stage=stage["StageName"],
        region=reader.region,
        # A client's Host, as with API Gateway; and nothing that is built from it can leave this machine.
        domain_name=reader.addresses.gateway.partition("//")[2],
        selection_expression=reader.properties(logical_id)["RouteSelectionExpression"],
        routes=dict(_routes(reader, identifier, stage)),
        stage_variables=stage.get("StageVariables") or {},
        account_id=ACCOUNT,
    )


def _stage(reader: Reader, identifier: str) -> Mapping[str, Any]:
    for logical_id in reader.of_type("AWS::ApiGatewayV2::Stage"):
        properties = reader.properties(logical_id)
        if properties["ApiId"] == identifier:
            return properties
    raise ConfigurationError(f"{reader.template.path}: the WebSocket API has no stage; add AWS::ApiGatewayV2::Stage")


def _routes(reader: Reader, identifier: str, stage: Mapping[str, Any]) -> Iterator[tuple[str, Route]]:
    answering = {
        reader.properties(response)["RouteId"] for response in reader.of_type("AWS::ApiGatewayV2::RouteResponse")
    }
    for logical_id in reader.of_type("AWS::ApiGatewayV2::Route"):
        properties = reader.properties(logical_id)
        if properties["ApiId"] != identifier:
            continue
        if properties.get("ApiKeyRequired"):
            reader.note(logical_id, "API keys aren't checked: every client passes")
        if properties.get("RequestModels") and "ModelSelectionExpression" not in properties:
            reader.note(logical_id, "its request models are for nothing: it has no ModelSelectionExpression")
        key = properties["RouteKey"]
        selects_response = "RouteResponseSelectionExpression" in properties
        two_way = logical_id in answering and selects_response
        integration = _integration(reader, logical_id)
        target: str | None = integration
        if forwarding(reader, integration) is None:
            target = _target(reader, logical_id)
            if target:
                _note_what_is_set(reader, integration, target, f"{identifier}/{stage['StageName']}/{key}")
        elif key == CONNECT:
            reader.note(logical_id, "handshakes aren't put into a queue here; its integration isn't run")
            target = None
        elif two_way:
            reader.note(logical_id, "what the queue answers isn't sent to clients")
            two_way = selects_response = False
        if target:
            yield (
                key,
                Route(
                    function=target,
                    two_way=two_way,
                    selects_response=selects_response,
                    models=_models(reader, logical_id),
                    timeout=_timeout(reader, integration),
                    authorizer=_authorizer(reader, logical_id, properties),
                    limit=_limit(stage, key),
                ),
            )


def _authorizer(reader: Reader, route: str, properties: Mapping[str, Any]) -> Authorizer | None:
    match properties.get("AuthorizationType", "NONE"):
        case "NONE":
            return None
        case "CUSTOM":
            definition = reader.properties(properties["AuthorizerId"])
            uri = str(definition.get("AuthorizerUri", ""))
            function = reader.function_of(uri)
            if function is None:
                # To let every client in would be worse than to let none.
                what = "its authorizer isn't a function of this template; every handshake is answered 500"
                reader.note(route, what)
            return Authorizer(function or uri, tuple(definition.get("IdentitySource") or ()))
        case kind:
            reader.note(route, f"its authorization by {kind} isn't checked: every client passes")
            return None


def _models(reader: Reader, route: str) -> Models | None:
    """Return the models of a route that selects one; None of any other.

    Raises:
        ConfigurationError: the template doesn't have them, or they can't be checked.
    """
    properties = reader.properties(route)
    if "ModelSelectionExpression" not in properties:
        return None
    schemas: dict[str, Any] = {}
    for logical_id in reader.of_type("AWS::ApiGatewayV2::Model"):
        model = reader.properties(logical_id)
        schema = model["Schema"]
        # By its name, and by what Ref makes of it here.
        schemas[model["Name"]] = schemas[logical_id] = json.loads(schema) if isinstance(schema, str) else schema
    named = properties.get("RequestModels") or {}
    try:
        if missing := [name for name in named.values() if name not in schemas]:
            raise ConfigurationError(  # noqa: TRY301
                f"its RequestModels name {missing[0]}, which no AWS::ApiGatewayV2::Model of the template has"
            )
        return Models.of(str(properties["ModelSelectionExpression"]), {key: schemas[named[key]] for key in named})
    except ConfigurationError as error:
        raise ConfigurationError(f"{reader.template.where(route)}: {route}: {error}") from error


def _note_what_is_set(reader: Reader, integration: str, function: str, route: str) -> None:
    """Take note of what an integration says and isn't heeded here, and of what it lacks to work on AWS."""
    properties = reader.properties(integration)
    if "ContentHandlingStrategy" in properties:
        reader.note(integration, "its ContentHandlingStrategy isn't applied: messages stay texts")
    if "CredentialsArn" not in properties and not may_invoke(reader, function, reader.arn("execute-api", route)):
        reader.note(
            integration,
            f"no AWS::Lambda::Permission lets API Gateway invoke {function} for {route}: on AWS its clients get "
            "Internal server error; it is invoked here all the same",
        )


def _timeout(reader: Reader, integration: str) -> int:
    """Return how long API Gateway waits for an integration, in milliseconds.

    Raises:
        ConfigurationError: API Gateway takes no such limit.
    """
    longest = INTEGRATION_SECONDS * 1000
    timeout = int(reader.properties(integration).get("TimeoutInMillis", longest))
    if not INTEGRATION_MILLISECONDS <= timeout <= longest:
        where = f"{reader.template.where(integration)}: {integration}"
        raise ConfigurationError(
            f"{where}: expected a TimeoutInMillis of {INTEGRATION_MILLISECONDS} to {longest}, got {timeout}"
        )
    return timeout


def _limit(stage: Mapping[str, Any], key: str) -> RateLimit | None:
    """Return what the stage lets through to a route: its own settings, or those of every route."""
    settings = {**(stage.get("DefaultRouteSettings") or {}), **((stage.get("RouteSettings") or {}).get(key) or {})}
    rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
    if rate is None and burst is None:
        return None
    return RateLimit(
        rate=REQUESTS_PER_SECOND if rate is None else float(rate), burst=REQUESTS_BURST if burst is None else int(burst)
    )


def _target(reader: Reader, route: str) -> str | None:
    """Return the logical id of the function behind a route; None, with a note, if it isn't a function."""
    integration = _integration(reader, route)
    if integration in reader.resources:
        function = reader.function_of(str(reader.properties(integration).get("IntegrationUri", "")))
        if function is not None:
            return function
    reader.note(route, "its integration isn't a function of this template (AWS_PROXY); it isn't run")
    return None


def _integration(reader: Reader, route: str) -> str:
    """Return the logical id of a route's integration; an empty one if it has none."""
    return str(reader.properties(route).get("Target", "")).rpartition("/")[2]


def http_routes(reader: Reader) -> Iterator[HttpRoute]:
    """Yield the routes of the template's HTTP APIs, whose functions are of this template too."""
    for logical_id in reader.of_type("AWS::ApiGatewayV2::Api"):
        properties = reader.properties(logical_id)
        for path, methods in ((properties.get("Body") or {}).get("paths") or {}).items():
            for method, operation in methods.items():
                uri = (operation.get("x-amazon-apigateway-integration") or {}).get("uri", "")
                function = reader.function_of(uri)
                if function is None:
                    reader.note(logical_id, f"{path} has no function of this template behind it; it isn't run")
                    continue
                if operation.get("security"):
                    reader.note(logical_id, f"the authorizer of {path} isn't run: every client passes")
                any_method = method == "x-amazon-apigateway-any-method"
                yield HttpRoute(method="ANY" if any_method else method.upper(), path=path, function=function)
    for logical_id in reader.of_type("AWS::ApiGatewayV2::Route"):
        properties = reader.properties(logical_id)
        method, _, path = properties["RouteKey"].partition(" ")
        api = next(found for found in reader.of_type("AWS::ApiGatewayV2::Api") if api_id(found) == properties["ApiId"])
        if reader.properties(api).get("ProtocolType") == "HTTP" and (function := _target(reader, logical_id)):
            if properties.get("AuthorizationType", "NONE") != "NONE":
                reader.note(logical_id, "its authorizer isn't run: every client passes")
            yield HttpRoute(method="ANY" if method == "$default" else method, path=path or method, function=function)
