"""Alarms and dashboard: what they look at, whom they tell, and that what they count is what the library logs."""

import fnmatch
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatesocket.backend import Backend
from gatesocket.delivery import Round
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.base import Member
from gatesocket.registry.memory import MemoryRegistry
from support.deployment import deploy

ROOT = Path(__file__).parents[2]
OBSERVABILITY = ROOT / "infra/observability/template.yaml"

METRICS = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html
    "AWS/ApiGateway": {
        "ClientError",
        "ConnectCount",
        "ExecutionError",
        "IntegrationError",
        "IntegrationLatency",
        "MessageCount",
    },
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "IteratorAge", "Throttles"},
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    "AWS/SQS": {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    "AWS/DynamoDB": {
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
        "ReadThrottleEvents",
        "SuccessfulRequestLatency",
        "WriteThrottleEvents",
    },
    "Gatesocket/WebSocketApi": {"PostsToGone"},
}
"""What is published under each name."""


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    """What a stack with an address for alarms makes of them."""
    stack = deploy(ROOT / "template.yaml", AlarmAddress="ops@example.com")
    nested = stack["Observability"]["Properties"]
    assert ROOT / nested["TemplateURL"] == OBSERVABILITY
    return deploy(OBSERVABILITY, **nested["Parameters"])


def alarms(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def looked_at(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each metric of an alarm, be it one or several in an expression."""
    if "MetricName" in alarm:
        yield alarm
    yield from (query["MetricStat"]["Metric"] for query in alarm.get("Metrics", ()) if "MetricStat" in query)


def test_every_alarm_says_what_is_wrong_to_the_address_when_it_begins_and_when_it_ends(
    resources: dict[str, Any],
) -> None:
    assert resources["AlarmSubscription"]["Properties"] == {
        "TopicArn": "Alarms",
        "Protocol": "email",
        "Endpoint": "ops@example.com",
    }
    for alarm in alarms(resources).values():
        assert alarm["AlarmDescription"].endswith(".")
        assert alarm["AlarmActions"] == alarm["OKActions"] == ["Alarms"]
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"]


def test_every_metric_exists(resources: dict[str, Any]) -> None:
    for alarm in alarms(resources).values():
        for metric in looked_at(alarm):
            assert metric["MetricName"] in METRICS[metric["Namespace"]]


def test_each_alarms_expression_knows_the_metrics_that_it_names(resources: dict[str, Any]) -> None:
    for alarm in alarms(resources).values():
        if "Metrics" in alarm:
            [expression] = [query["Expression"] for query in alarm["Metrics"] if "Expression" in query]
            given = {query["Id"] for query in alarm["Metrics"] if "MetricStat" in query}
            named = set(re.findall(r"\b[a-z]\w*\b", expression))
            assert named <= given
            assert named == given or "METRICS()" in expression


@pytest.mark.parametrize("ingress", ["off", "fifo"])
def test_no_function_and_no_dead_letter_queue_is_overlooked(ingress: str) -> None:
    stack = deploy(ROOT / "template.yaml", AlarmAddress="ops@example.com", OrderedIngress=ingress)
    watched = alarms(deploy(OBSERVABILITY, **stack["Observability"]["Properties"]["Parameters"]))
    functions = {name for name, resource in stack.items() if resource["Type"] == "AWS::Lambda::Function"}
    for alarm in ("FunctionErrors", "FunctionThrottles"):
        assert {metric["Dimensions"][0]["Value"] for metric in looked_at(watched[alarm])} == functions
    queues = [resource["Properties"] for resource in stack.values() if resource["Type"] == "AWS::SQS::Queue"]
    arns = [queue["RedrivePolicy"]["deadLetterTargetArn"] for queue in queues if "RedrivePolicy" in queue]
    mappings = [r["Properties"] for r in stack.values() if r["Type"] == "AWS::Lambda::EventSourceMapping"]
    arns += [each["DestinationConfig"]["OnFailure"]["Destination"] for each in mappings if "DestinationConfig" in each]
    dead = {arn.replace(".Arn", ".QueueName") for arn in arns}
    assert {metric["Dimensions"][0]["Value"] for metric in looked_at(watched["DeadLetters"])} == dead


def test_messages_that_wait_in_a_queue_are_noticed_if_they_take_one() -> None:
    plain, ordered = (
        deploy(ROOT / "template.yaml", AlarmAddress="ops@example.com", OrderedIngress=ingress)["Observability"]
        for ingress in ("off", "fifo")
    )
    assert "OldestMessage" not in deploy(OBSERVABILITY, **plain["Properties"]["Parameters"])
    alarm = deploy(OBSERVABILITY, **ordered["Properties"]["Parameters"])["OldestMessage"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "MessageQueue.QueueName"}]


async def test_a_post_to_nobody_is_counted(resources: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """The filters read the line that is logged; of no other line they make a number."""
    caplog.set_level("INFO", "gatesocket")
    gateway = FakeGateway()
    gateway.open("here")
    gateway.gone("left")

    async def members() -> AsyncIterator[Member]:
        for connection_id in ("here", "left"):
            yield Member(connection_id, None)

    delivery = await Round("hello", Backend(MemoryRegistry(), gateway)).send(members())
    logging.getLogger("gatesocket").info("connection left is somewhere else")

    assert (delivery.sent, delivery.gone) == (1, 1)
    filters = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Logs::MetricFilter"]
    assert {each["FilterPattern"] for each in filters} == {'{ $.logger = "gatesocket" && $.message = "*is gone" }'}
    counted = [record for record in caplog.records if fnmatch.fnmatchcase(record.getMessage(), "*is gone")]
    assert [record.getMessage() for record in counted] == ["connection left is gone"]
    assert [record.name for record in counted] == ["gatesocket"]


def test_every_functions_log_is_counted(resources: dict[str, Any]) -> None:
    stack = deploy(ROOT / "template.yaml")
    logs = {name for name, resource in stack.items() if resource["Type"] == "AWS::Logs::LogGroup"}
    filters = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Logs::MetricFilter"]
    assert {each["LogGroupName"] for each in filters} == logs
    for each in filters:
        [transformation] = each["MetricTransformations"]
        assert transformation["MetricName"] in METRICS[transformation["MetricNamespace"]]


def test_the_dashboard_shows_what_exists_and_nothing_twice_in_one_place(resources: dict[str, Any]) -> None:
    widgets = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
    places = [(x, y) for widget in widgets for x, y in cells(widget)]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24, "a dashboard is 24 columns wide"
    for widget in widgets:
        assert widget["properties"]["region"] == "us-east-1"
        for namespace, name, *dimensions in widget["properties"]["metrics"]:
            assert name in METRICS[namespace]
            assert not any("${" in str(dimension) for dimension in dimensions)


def cells(widget: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(widget["x"], widget["x"] + widget["width"]):
        for y in range(widget["y"], widget["y"] + widget["height"]):
            yield x, y
