"""What is put into a queue without a function, over a scripted SQS."""

import asyncio
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gatesocket.emulator.answers import Failed, Returned
from gatesocket.emulator.forwarding import Forwarder, send_message
from gatesocket.emulator.mapping import MappingTemplate
from gatesocket.emulator.resources import Forwarding

FORM = "Action=SendMessage&MessageGroupId=$context.connectionId&MessageBody=$util.urlEncode($input.body)"


class Sqs:
    """Takes messages, and refuses the text "bad"; takes the text "slow" only once it may go on."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.go_on = threading.Event()

    def get_queue_url(self, **about: str) -> dict[str, str]:
        return {"QueueUrl": f"http://sqs/{about['QueueName']}"}

    def send_message(self, **message: Any) -> None:
        assert message.pop("QueueUrl") == "http://sqs/messages.fifo"
        if message["MessageBody"] == "slow":
            self.go_on.wait()
        if message["MessageBody"] == "bad":
            raise ClientError({"Error": {"Code": "InvalidMessageContents", "Message": "no"}}, "SendMessage")
        self.taken.append((message["MessageGroupId"], message["MessageBody"]))


@pytest.fixture
def sqs() -> Sqs:
    return Sqs()


async def forwarder(sqs: Any, template: str = FORM) -> Forwarder:
    forwarder = Forwarder(Forwarding("messages.fifo", MappingTemplate(template)), sqs)
    await forwarder.start()
    return forwarder


def event(body: str, connection_id: str = "c1") -> dict[str, Any]:
    return {"requestContext": {"connectionId": connection_id}, "body": body}


async def test_a_connections_messages_reach_the_queue_in_their_order(sqs: Sqs) -> None:
    forwarding = await forwarder(sqs)
    texts = [str(number) for number in range(20)]
    answers = await asyncio.gather(*(forwarding.invoke(event(text), request_id="r") for text in texts))
    assert answers == [Returned(None)] * 20
    assert sqs.taken == [("c1", text) for text in texts]
    await forwarding.aclose()


async def test_one_connection_does_not_wait_for_another(sqs: Sqs) -> None:
    forwarding = await forwarder(sqs)
    slow = asyncio.create_task(forwarding.invoke(event("slow", "c1"), request_id="r"))
    await forwarding.invoke(event("quick", "c2"), request_id="r")
    assert sqs.taken == [("c2", "quick")]
    sqs.go_on.set()
    await slow
    assert sqs.taken == [("c2", "quick"), ("c1", "slow")]


@pytest.mark.parametrize(
    ("template", "body", "kind", "says"),
    [
        (FORM, "bad", "ClientError", "InvalidMessageContents"),
        ("Action=SendMessage&MessageBody=$input.json('$')", "hello", "JSONDecodeError", "Expecting value"),
        ("Action=ReceiveMessage", "", "ValueError", "expected Action=SendMessage, got ReceiveMessage"),
    ],
)
async def test_what_can_not_be_sent_has_failed_and_holds_nothing_up(
    sqs: Sqs, template: str, body: str, kind: str, says: str
) -> None:
    failing = await forwarder(sqs, template)
    for _ in range(2):
        answer = await failing.invoke(event(body), request_id="r")
        assert isinstance(answer, Failed)
        assert answer.error_type == kind
        assert says in answer.message
    assert sqs.taken == []


def test_a_form_is_read_as_sqs_does() -> None:
    form = (
        "Action=SendMessage&Version=2012-11-05&MessageBody=a%26b+c&MessageGroupId=g&MessageDeduplicationId=d"
        "&MessageAttribute.1.Name=connectionId&MessageAttribute.1.Value.StringValue=x%3D"
        "&MessageAttribute.1.Value.DataType=String&DelaySeconds=5"
    )
    assert send_message(form) == {
        "MessageBody": "a&b c",
        "MessageGroupId": "g",
        "MessageDeduplicationId": "d",
        "DelaySeconds": 5,
        "MessageAttributes": {"connectionId": {"StringValue": "x=", "DataType": "String"}},
    }


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("MessageBody=a", "got no Action"),
        ("Action=SendMessage&Colour=red", "SendMessage has no Colour"),
        ("Action=SendMessage&MessageBody", "bad query field"),
        ("Action=SendMessage&MessageBody=a&DelaySeconds=soon", "invalid literal"),
    ],
)
def test_a_form_that_is_no_send_message_is_refused(form: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        send_message(form)
