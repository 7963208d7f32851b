"""The child process that stands in for DynamoDB and SQS."""

import io
import os
import runpy
import sys
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import moto.sqs.models
import pytest

from gatesocket.emulator import aws, moto_server
from gatesocket.emulator.aws import AwsStandIn
from gatesocket.emulator.resources import ACCOUNT, Queue, Table
from gatesocket.exceptions import ConfigurationError

KEYS = {
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
async def stand_in() -> AsyncIterator[AwsStandIn]:
    stand_in = AwsStandIn("eu-west-1")
    await stand_in.start()
    yield stand_in
    await stand_in.aclose()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_has_the_templates_tables_and_queues(stand_in: AwsStandIn) -> None:
    policy = f'{{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:{ACCOUNT}:dead", "maxReceiveCount": 3}}'
    stand_in.create(
        [
            Table("plain", {**KEYS, "TableName": "plain"}, None),
            Table("expiring", {**KEYS, "TableName": "expiring"}, "expires_at"),
        ],
        [Queue("jobs", {"VisibilityTimeout": "60"}, policy), Queue("dead", {}, None)],
    )
    dynamodb, sqs = stand_in.dynamodb(), stand_in.sqs()
    assert dynamodb.list_tables()["TableNames"] == ["plain", "expiring"]
    ttl = dynamodb.describe_time_to_live(TableName="expiring")["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    jobs = sqs.get_queue_attributes(QueueUrl=f"{stand_in.endpoint}/{ACCOUNT}/jobs", AttributeNames=["All"])
    assert jobs["Attributes"]["VisibilityTimeout"] == "60"
    assert jobs["Attributes"]["RedrivePolicy"] == policy


async def test_a_definition_that_would_be_refused_is_named(stand_in: AwsStandIn) -> None:
    definition = {**KEYS, "TableName": "bad", "KeySchema": [{"AttributeName": "other", "KeyType": "HASH"}]}
    with pytest.raises(ConfigurationError, match="bad: it can't be created: .*ValidationException"):
        stand_in.create([Table("bad", definition, None)], [])
    with pytest.raises(ConfigurationError, match="jobs: it can't be created: .*InvalidParameterValue"):
        stand_in.create([], [Queue("jobs", {"FifoQueue": "true"}, None)])


async def test_it_ends_with_the_stack(stand_in: AwsStandIn) -> None:
    assert stand_in._process is not None
    pid = stand_in._process.pid
    await stand_in.aclose()
    assert not is_running(pid)


async def test_one_that_does_not_end_is_killed(stand_in: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stand_in._process is not None
    process = stand_in._process
    monkeypatch.setattr(aws, "STOP_SECONDS", 0)
    await stand_in.aclose()
    assert process.returncode == -9


async def test_one_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigurationError, match=r"the stand-in .* didn't start; .* pip install 'gatesocket\[local\]'"):
        await AwsStandIn("eu-west-1").start()


async def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "START_SECONDS", 0)
    stand_in = AwsStandIn("eu-west-1")
    with pytest.raises(ConfigurationError, match="didn't start"):
        await stand_in.start()
    assert stand_in._process is None


def test_the_child_prints_its_port_and_serves_until_its_input_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    runpy.run_path(moto_server.__file__, run_name="__main__")
    assert 1024 < int(capsys.readouterr().out) < 65536


def test_a_long_poll_looks_often_and_holds_nobody_up_meanwhile() -> None:
    """moto looks for a message whose delay is over once a second; its own waiting is kept, only shorter."""
    waited: list[tuple[float, bool]] = []
    turn = threading.Lock()

    class Queue:
        def wait_for_messages(self, timeout: float) -> None:
            waited.append((timeout, turn.locked()))

    moto_server.share_long_polls(Queue, turn, every=0.05)
    with turn:
        Queue().wait_for_messages(1)
        assert turn.locked()
        Queue().wait_for_messages(0)
    assert waited == [(0.05, False), (0, False)]


def test_moto_has_what_is_changed_of_it() -> None:
    assert callable(moto.sqs.models.Queue.wait_for_messages)


@pytest.mark.parametrize(
    ("target", "together"), [("DynamoDB_20120810.PutItem", 1), ("AmazonSQS.SendMessage", 1), ("Other.Call", 2)]
)
def test_dynamodb_and_sqs_answer_one_call_at_a_time(target: str, together: int) -> None:
    """The first call waits inside until the second has come in too, or is seen to wait for its turn."""
    inside: list[int] = []
    second_came = threading.Event()
    turns = {"DynamoDB": threading.Lock(), "AmazonSQS": threading.Lock()}

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        inside.append(environ["number"])
        if len(inside) == 1:
            second.start()
            if together == 1:
                assert turns[target.partition(".")[0].partition("_")[0]].locked()
            else:
                assert second_came.wait(10)
        else:
            second_came.set()
        seen.append(len(inside) if environ["number"] == 1 else 0)
        return [b"ok"]

    def call(number: int) -> None:
        answers.append(list(server({"HTTP_X_AMZ_TARGET": target, "number": number}, start_response)))

    def start_response(*_: object) -> Any: ...

    seen: list[int] = []
    answers: list[list[bytes]] = []
    server = moto_server.OneCallAtATime(app, turns)
    second = threading.Thread(target=call, args=(2,))
    call(1)
    second.join()
    assert answers == [[b"ok"], [b"ok"]]
    assert seen[0 if together == 1 else -1] == together
