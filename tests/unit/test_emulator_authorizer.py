"""What a Lambda authorizer's answer means, and whether it is asked at all (facts sheet, section 9)."""

from typing import Any

import pytest

from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.api import Api
from gatesocket.emulator.authorizer import Allowed, Denied, judge, lacks_identity
from gatesocket.emulator.events import Handshake, Request, authorizer_event
from gatesocket.limits import AUTHORIZER_CONTEXT_BYTES

API = Api("a1", "prod", "eu-west-1", "x.example", r"\$default", {}, stage_variables={"tenant": "t1", "empty": ""})
ALLOW = {
    "principalId": "ann",
    "policyDocument": {"Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": API.connect_arn}]},
}


def verdict(answer: Answer) -> Allowed | Denied:
    return judge(answer, method_arn=API.connect_arn)


def denied(value: object) -> tuple[int, str]:
    result = verdict(Returned(value))
    assert isinstance(result, Denied)
    return result.status, result.why


@pytest.mark.parametrize(
    ("context", "seen"),
    [
        ({}, {}),
        (None, {}),
        (
            {"user": "42", "age": 7, "ratio": 0.5, "admin": True},
            {"user": "42", "age": "7", "ratio": "0.5", "admin": "true"},
        ),
        ({"principalId": "someone else"}, {}),
    ],
)
def test_a_client_that_is_allowed_has_the_context_as_texts(context: Any, seen: dict[str, str]) -> None:
    assert verdict(Returned(ALLOW | {"context": context})) == Allowed(seen | {"principalId": "ann"})


def test_the_error_unauthorized_is_401() -> None:
    assert verdict(Failed("Exception", "Unauthorized")) == Denied(401, "the authorizer raised Exception: Unauthorized")


@pytest.mark.parametrize("failure", [Failed("Exception", "unauthorized"), Failed("Sandbox.Timedout", "too late")])
def test_any_other_error_is_500(failure: Failed) -> None:
    result = verdict(failure)
    assert isinstance(result, Denied)
    assert result.status == 500


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "*", "Resource": "*"},
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "arn:aws:execute-api:::other"},
    ],
)
def test_a_policy_that_does_not_allow_the_handshake_is_403(statement: dict[str, str]) -> None:
    status, why = denied(ALLOW | {"policyDocument": {"Statement": [statement]}})
    assert (status, why) == (403, f"the authorizer's policy doesn't allow execute-api:Invoke on {API.connect_arn}")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "expected an object, got NoneType"),
        ({"statusCode": 401}, "expected a principalId that is a text"),
        ({"isAuthorized": True}, "expected a principalId that is a text"),
        ({"principalId": "ann"}, "expected a policy document, got NoneType"),
        (ALLOW | {"context": ["x"]}, "expected a context that is an object"),
        (
            ALLOW | {"context": {"roles": ["admin"]}},
            "expected 'roles' of the context to be a text, a number or a boolean",
        ),
        (ALLOW | {"context": {"x": None}}, "expected 'x' of the context to be"),
        (ALLOW | {"context": {"x": "é" * (AUTHORIZER_CONTEXT_BYTES // 2)}}, "more than 8192"),
    ],
)
def test_an_answer_in_another_form_is_500_and_the_log_says_why(value: object, why: str) -> None:
    """Among them a proxy response, and the simple response of HTTP APIs."""
    status, said = denied(value)
    assert status == 500
    assert said.startswith("the authorizer's answer can't be read: ")
    assert why in said


def lacking(*sources: str) -> str | None:
    headers = (("Auth", "secret"), ("Empty", ""))
    client = Handshake(headers, (("token", "abc"), ("blank", "")), "192.0.2.1")
    about = Request(API, "c", 1, client.identity, "r", 1)
    return lacks_identity(sources, authorizer_event(about, client))


@pytest.mark.parametrize(
    "source",
    [
        "route.request.header.Auth",
        "route.request.header.auth",
        "route.request.querystring.token",
        "stageVariables.tenant",
        "context.connectionId",
        "context.identity.sourceIp",
    ],
)
def test_an_identity_source_with_a_value_lets_the_authorizer_be_asked(source: str) -> None:
    assert lacking() is None
    assert lacking(source) is None


@pytest.mark.parametrize(
    "source",
    [
        "route.request.header.Cookie",
        "route.request.header.Empty",
        "route.request.querystring.other",
        "route.request.querystring.blank",
        "stageVariables.other",
        "stageVariables.empty",
        "context.identity.userAgent",
        "context.stage.name",
        "elsewhere.x",
    ],
)
def test_an_identity_source_that_is_missing_or_empty_is_named(source: str) -> None:
    assert lacking("route.request.header.Auth", source) == source


def test_a_request_without_a_query_has_no_value_in_it() -> None:
    client = Handshake((), (), "192.0.2.1")
    event = authorizer_event(Request(API, "c", 1, client.identity, "r", 1), client)
    assert lacks_identity(("route.request.querystring.token",), event) == "route.request.querystring.token"
