"""Calls and answers on the wire, held against what botocore sends and reads."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from gatesocket.aws.http1 import Response
from gatesocket.aws.services import SERVICES, NotAnAnswer, refusal

DYNAMODB, SQS, MANAGEMENT = SERVICES["dynamodb"], SERVICES["sqs"], SERVICES["apigatewaymanagementapi"]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NAMES = st.sampled_from(["pk", "B", "BS", "M", "L"]) | TEXTS.filter(bool)
SCALARS = st.one_of(
    st.builds(lambda text: {"S": text}, TEXTS),
    st.builds(lambda number: {"N": str(number)}, st.integers()),
    st.builds(lambda data: {"B": data}, st.binary(max_size=20)),
    st.builds(lambda data: {"BS": list(data)}, st.sets(st.binary(max_size=9), min_size=1, max_size=3)),
    st.just({"NULL": True}),
    st.just({"BOOL": False}),
)
ATTRIBUTES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda values: {"L": values}, st.lists(inner, max_size=3)),
        st.builds(lambda values: {"M": values}, st.dictionaries(NAMES, inner, max_size=3)),
    ),
    max_leaves=6,
)
CONNECTION_IDS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{15}=", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)
ITEMS = st.dictionaries(NAMES, ATTRIBUTES, max_size=4)


class Botocore:
    """botocore's client of a service, whose network is the test."""

    def __init__(self, service: str) -> None:
        session = Session()
        self.client: Any = session.create_client(
            service,
            region_name="eu-central-1",
            endpoint_url="https://host/prod",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        events: Any = self.client.meta.events  # the stubs say that no handler returns anything
        events.register("before-send", self._answer)
        self.answer = b"{}"
        self.sent: AWSPreparedRequest | None = None

    def _answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        self.sent = request

        class Raw:
            def stream(inner) -> Any:  # noqa: N805  # the test's own self is outside
                yield self.answer

        return AWSResponse(request.url, 200, HTTPHeaders(), Raw())


@pytest.fixture(scope="module")
def theirs() -> Any:
    return {name: Botocore(name) for name in SERVICES}


def header(request: AWSPreparedRequest, name: str) -> str:
    value = request.headers[name]
    return value.decode() if isinstance(value, bytes) else str(value)


@given(item=ITEMS)
@settings(max_examples=50)
def test_items_are_written_and_read_as_botocore_does(theirs: Any, item: dict[str, Any]) -> None:
    call = DYNAMODB.encode("PutItem", {"TableName": "t", "Item": item})
    botocore = theirs["dynamodb"]
    botocore.client.put_item(TableName="t", Item=item)
    assert json.loads(call.body) == json.loads(botocore.sent.body)
    for name in ("content-type", "x-amz-target"):
        assert call.headers[name] == header(botocore.sent, name)

    botocore.answer = json.dumps({"Item": json.loads(call.body)["Item"]}).encode()
    read = DYNAMODB.decode("GetItem", botocore.answer)
    assert read == {"Item": item}
    answered = botocore.client.get_item(TableName="t", Key={"pk": {"S": "1"}})
    assert answered["Item"] == read["Item"]


def test_a_table_that_is_called_as_bytes_are_is_not_taken_for_them() -> None:
    answer = {"UnprocessedItems": {"BS": [{"DeleteRequest": {"Key": {"B": {"B": "AAE="}}}}]}}
    read = DYNAMODB.decode("BatchWriteItem", json.dumps(answer).encode())
    assert read == {"UnprocessedItems": {"BS": [{"DeleteRequest": {"Key": {"B": {"B": b"\0\x01"}}}}]}}


def test_a_message_is_sent_to_its_queue_as_botocore_sends_it(theirs: Any) -> None:
    message = {"QueueUrl": "https://sqs/1/q", "MessageBody": 'é "quoted"', "DelaySeconds": 90}
    call = SQS.encode("SendMessage", message)
    theirs["sqs"].client.send_message(**message)
    sent = theirs["sqs"].sent
    assert json.loads(call.body) == json.loads(sent.body)
    for name in ("content-type", "x-amz-target"):
        assert call.headers[name] == header(sent, name)


@given(
    connection_id=CONNECTION_IDS,
    data=st.binary(max_size=20),
)
@settings(max_examples=50)
def test_the_management_api_is_called_as_botocore_calls_it(theirs: Any, connection_id: str, data: bytes) -> None:
    botocore = theirs["apigatewaymanagementapi"]
    call = MANAGEMENT.encode("PostToConnection", {"ConnectionId": connection_id, "Data": data})
    botocore.client.post_to_connection(ConnectionId=connection_id, Data=data)
    assert (call.method, f"https://host/prod{call.path}", call.body) == (
        botocore.sent.method,
        botocore.sent.url,
        botocore.sent.body or b"",
    )
    for operation, method in (("GetConnection", "GET"), ("DeleteConnection", "DELETE")):
        assert MANAGEMENT.encode(operation, {"ConnectionId": connection_id}).method == method


def test_what_can_not_be_sent_is_named() -> None:
    with pytest.raises(TypeError, match=r"datetime.datetime\(.*can't be sent to AWS as JSON"):
        DYNAMODB.encode("PutItem", {"Item": datetime(2026, 1, 1, tzinfo=UTC)})


def test_a_connections_description_has_boto3s_names() -> None:
    said = {
        "connectedAt": "2026-11-23T12:00:00.123Z",
        "lastActiveAt": "2026-11-23T12:00:01Z",
        "identity": {"sourceIp": "203.0.113.7", "userAgent": "wscat"},
    }
    assert MANAGEMENT.decode("GetConnection", json.dumps(said).encode()) == {
        "ConnectedAt": datetime(2026, 11, 23, 12, 0, 0, 123_000, UTC),
        "LastActiveAt": datetime(2026, 11, 23, 12, 0, 1, 0, UTC),
        "Identity": {"SourceIp": "203.0.113.7", "UserAgent": "wscat"},
    }
    assert MANAGEMENT.decode("PostToConnection", b"") == {}


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("dynamodb", "GetItem", b"<html>"),
        ("dynamodb", "GetItem", b"[]"),
        ("dynamodb", "GetItem", b'{"Item": {"a": {"B": "not base64!"}}}'),
        ("dynamodb", "GetItem", b'{"Item": {"a": {"B": '),
        ("sqs", "SendMessage", b"<SendMessageResponse/>"),
        ("apigatewaymanagementapi", "GetConnection", b"{}"),
        ("apigatewaymanagementapi", "GetConnection", b'{"identity": {"sourceIp": "x"}, "connectedAt": 1}'),
    ],
)
def test_what_is_no_answer_of_the_service_is_refused(service: str, operation: str, body: bytes) -> None:
    with pytest.raises(NotAnAnswer, match="expected .*, but got b'"):
        SERVICES[service].decode(operation, body)


@pytest.mark.parametrize(
    ("headers", "body", "code", "message"),
    [
        ({}, b'{"__type": "com.amazonaws.dynamodb.v20120810#Throttling", "message": "m"}', "Throttling", "m"),
        ({}, b'{"__type": "com.amazon.coral.service#ExpiredToken", "Message": "m"}', "ExpiredToken", "m"),
        ({"x-amzn-errortype": "GoneException:http://internal.amazon.com/"}, b"", "GoneException", ""),
        ({"x-amzn-errortype": "BadRequestException"}, b'{"message": "Invalid"}', "BadRequestException", "Invalid"),
        (
            {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
            b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "m"}',
            "AWS.SimpleQueueService.NonExistentQueue",
            "m",
        ),
        ({}, b'{"code": "Whatever"}', "Whatever", ""),
        ({}, b"<html>", "503", ""),
        ({}, b"[1]", "503", ""),
        ({}, b'{"message": null}', "503", ""),
    ],
)
def test_a_refusal_has_a_name_wherever_the_service_puts_it(
    headers: dict[str, str], body: bytes, code: str, message: str
) -> None:
    refused = refusal(Response(503, {"x-amzn-requestid": "R1", **headers}, body))
    assert (refused.code, refused.message, refused.status, refused.request_id) == (code, message, 503, "R1")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("ExpiredTokenException", "renew them"),
        ("UnrecognizedClientException", "AWS_PROFILE.*mock_aws.*GATESOCKET_AWS_CLIENT=boto3"),
        ("InvalidSignatureException", "AWS_SECRET_ACCESS_KEY, this machine's clock"),
    ],
)
def test_refused_credentials_name_the_remedy(code: str, remedy: str) -> None:
    body = json.dumps({"__type": f"x#{code}", "message": "no"}).encode()
    with pytest.raises(Exception, match=f"^{code}: no. .*{remedy}"):
        raise refusal(Response(400, {}, body))
