import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventV2Model
from mangum import Mangum

from gatesocket.emulator.answers import Failed, Returned
from gatesocket.emulator.http_api import HttpRequest, HttpResponse, HttpRoute, Match, event, match, response

ROUTES = (
    HttpRoute("ANY", "$default", "rest"),
    HttpRoute("ANY", "/users/{id}", "any_user"),
    HttpRoute("GET", "/users/{id}", "one_user"),
    HttpRoute("GET", "/users/me", "me"),
    HttpRoute("GET", "/files/{path+}", "files"),
    HttpRoute("GET", "/files/{name}/info", "info"),
)


def request(**changes: Any) -> HttpRequest:
    return HttpRequest(
        **{
            "method": "GET",
            "raw_path": "/",
            "query": "",
            "headers": (("host", "127.0.0.1:8000"), ("user-agent", "curl/8")),
            "body": b"",
            "source_ip": "192.0.2.1",
            **changes,
        }
    )


def made(sent: HttpRequest, route: HttpRoute = ROUTES[0], **parameters: str) -> dict[str, Any]:
    return event(Match(route, parameters), sent, request_id="r1", now=1_700_000_000_000, domain_name="local:8000")


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/users/me", "me", {}),
        ("GET", "/users/7", "one_user", {"id": "7"}),
        ("PUT", "/users/7", "any_user", {"id": "7"}),
        ("GET", "/files/a/b.txt", "files", {"path": "a/b.txt"}),
        ("GET", "/files/a/info", "info", {"name": "a"}),
        ("GET", "/files/", "rest", {}),
        ("POST", "/users/me", "any_user", {"id": "me"}),
        ("GET", "/nowhere", "rest", {}),
    ],
)
def test_the_most_precise_route_serves_a_request(
    method: str, path: str, function: str, parameters: dict[str, str]
) -> None:
    for routes in (ROUTES, ROUTES[::-1]):
        found = match(routes, method, path)
        assert found is not None
        assert (found.route.function, found.parameters) == (function, parameters)


def test_without_a_default_route_a_request_may_be_nobodys() -> None:
    assert match(ROUTES[1:], "GET", "/nowhere") is None
    assert match(ROUTES[1:], "POST", "/files/a") is None


def test_an_event_is_payload_format_2_0() -> None:
    sent = request(
        method="POST",
        raw_path="/users/a%20b",
        query="x=1&x=2&y=",
        headers=(
            ("Host", "h"),
            ("Accept", "a"),
            ("Accept", "b"),
            ("Cookie", "k=v; l=w"),
            ("Content-Type", "text/plain"),
        ),
        body=b"hi",
    )
    event = made(sent, ROUTES[1], id="a b")
    assert event["version"] == "2.0"
    assert event["routeKey"] == event["requestContext"]["routeKey"] == "ANY /users/{id}"
    assert event["rawPath"] == "/users/a%20b"
    assert event["requestContext"]["http"]["path"] == "/users/a b"
    assert event["rawQueryString"] == "x=1&x=2&y="
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["headers"]["accept"] == "a,b"
    assert event["cookies"] == ["k=v", "l=w"]
    assert event["pathParameters"] == {"id": "a b"}
    assert (event["body"], event["isBase64Encoded"]) == ("hi", False)
    assert event["requestContext"]["time"] == "14/Nov/2023:22:13:20 +0000"
    APIGatewayProxyEventV2Model.model_validate(event)


def test_an_event_has_only_the_keys_that_the_request_gives_a_reason_for() -> None:
    event = made(request())
    assert not event.keys() & {"body", "cookies", "pathParameters", "queryStringParameters"}
    assert event["routeKey"] == "$default"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("image/png", b"\x89PNG"), ("application/octet-stream", b"text"), ("text/plain", b"\xff"), ("", b"x")],
)
def test_a_body_that_is_no_text_comes_as_base64(content_type: str, body: bytes) -> None:
    event = made(request(body=body, headers=(("content-type", content_type),)))
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body


@pytest.mark.parametrize("content_type", ["application/json", "application/problem+json", "text/csv; charset=utf-8"])
def test_a_textual_body_comes_as_it_is(content_type: str) -> None:
    event = made(request(body="é".encode(), headers=(("content-type", content_type),)))
    assert (event["body"], event["isBase64Encoded"]) == ("é", False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"statusCode": 204}, HttpResponse(204)),
        (
            {"statusCode": 200, "body": "hi", "headers": {"X-A": 1}},
            HttpResponse(200, (("x-a", "1"), ("content-type", "text/plain; charset=utf-8")), b"hi"),
        ),
        (
            {"statusCode": 200, "body": "<p>", "headers": {"Content-Type": "text/html"}, "cookies": ["a=b", "c=d"]},
            HttpResponse(200, (("content-type", "text/html"), ("set-cookie", "a=b"), ("set-cookie", "c=d")), b"<p>"),
        ),
        (
            {"statusCode": 200, "body": "iVBO", "isBase64Encoded": True, "headers": {"content-type": "image/png"}},
            HttpResponse(200, (("content-type", "image/png"),), b"\x89PN"),
        ),
        ({"user": 7}, HttpResponse(200, (("content-type", "application/json"),), b'{"user": 7}')),
        ("hi", HttpResponse(200, (("content-type", "application/json"),), b"hi")),
    ],
)
def test_an_answer_becomes_a_response(value: object, expected: HttpResponse) -> None:
    assert response(Returned(value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"statusCode": "200"},
        {"statusCode": 42},
        {"statusCode": 200, "headers": ["x"]},
        {"statusCode": 200, "cookies": "a=b"},
        {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
        {"statusCode": 200, "body": b"bytes"},
    ],
)
def test_an_answer_that_cannot_be_read_is_a_500(value: object) -> None:
    assert response(Returned(value)).status == 500


def test_a_failure_is_a_500() -> None:
    assert response(Failed("ValueError", "boom")).body == b'{"message":"Internal Server Error"}'


@pytest.fixture
def event_loop_of_this_thread() -> Iterator[None]:
    """Give Mangum the loop that it asks for, and close it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.usefixtures("event_loop_of_this_thread")
def test_mangum_serves_the_event() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        text = f"{scope['method']} {scope['path']}?{scope['query_string'].decode()} {body.decode()}"
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": text.encode()})

    sent = request(method="PUT", raw_path="/a%20b", query="x=1", body=b"hi", headers=(("content-type", "text/plain"),))
    answer = Mangum(app, lifespan="off")(made(sent), object())  # type: ignore[arg-type]
    assert response(Returned(answer)).body == b"PUT /a b?x=1 hi"
