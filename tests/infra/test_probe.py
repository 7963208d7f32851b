"""The stack that is asked what the chat has no route for: its template, and its questions, asked of the emulator."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import boto3
import pytest
from botocore.stub import Stubber
from cfnlint import api as cfnlint  # type: ignore[import-untyped]

from gatesocket.emulator.dev import bind
from gatesocket.emulator.server import Application, Server
from gatesocket.emulator.stack import Stack
from gatesocket.emulator.template import load
from support.deployment import deploy

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "infra/checks/probe/template.yaml"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "infra/checks")
    import probe_questions

    return probe_questions


def test_its_template_passes_cfn_lint() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert [str(match) for match in cfnlint.lint(text, regions=["us-east-1"])] == []


def test_one_route_answers_and_one_has_only_half_of_what_that_takes() -> None:
    resources = deploy(TEMPLATE)
    [answering] = [r["Properties"]["RouteId"] for r in resources.values() if r["Type"].endswith("RouteResponse")]
    routes = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::ApiGatewayV2::Route"}
    half = {name for name, route in routes.items() if "RouteResponseSelectionExpression" in route} - {answering}
    assert routes[answering]["RouteKey"] == "answered"
    assert [routes[name]["RouteKey"] for name in half] == ["half"]


def test_its_outputs_are_what_the_script_looks_for(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = dict.fromkeys(load(TEMPLATE, region="us-east-1").body["Outputs"], "x")

    def outputs_of(stack: str, region: str | None, wanted: set[str]) -> tuple[dict[str, str], str]:
        assert (stack, region) == ("probe", None)
        assert wanted == outputs.keys()
        return outputs, "eu-west-1"

    monkeypatch.setattr(script, "outputs_of", outputs_of)
    assert script.find_probe("probe", None) == script.Probe("x", "x", "x", "eu-west-1")


def test_every_open_question_of_the_facts_sheet_is_asked(script: ModuleType) -> None:
    import settle_facts

    sheet = (ROOT / "docs/api-gateway-facts.md").read_text(encoding="utf-8").partition("\n## 13. ")[2]
    asked = [question.letter for question in settle_facts.questions(None)]
    assert set(asked) == set(re.findall(r"\((\w)\) ", sheet))
    assert asked == sorted(asked)


@pytest.mark.parametrize(
    ("code", "status", "answer"),
    [
        ("GoneException", 410, "they do: a post to nobody is answered 410"),
        ("ForbiddenException", 403, "they do not: a post to nobody is answered 403"),
    ],
)
async def test_whether_a_closed_api_is_posted_to_is_told_by_the_status(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, code: str, status: int, answer: str
) -> None:
    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url="http://127.0.0.1/probe",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    monkeypatch.setattr(script, "management_client", lambda target: client)
    with closing(client), Stubber(client) as answers:
        answers.add_client_error("post_to_connection", code, http_status_code=status)
        assert await script.posted_to_closed(script.Probe("wss://a/probe", "https://b/probe", "q")) == answer


@pytest.fixture
def forget_probe() -> Iterator[None]:
    """Let the stack import its own module."""
    yield
    sys.modules.pop("probe", None)


@pytest.fixture
async def probe(script: ModuleType, forget_probe: None) -> AsyncIterator[object]:
    """The stack in the emulator, which runs one WebSocket API of the two."""
    template = load(TEMPLATE, region="us-east-1")
    with bind("127.0.0.1", 0) as listening:
        address = "{}:{}".format(*listening.getsockname())
        async with Stack(template, region="us-east-1", gateway_address=f"http://{address}") as stack:
            server = Server(Application(stack, with_edge=False))
            served = asyncio.create_task(server.serve([listening]))
            queue = stack.resources.functions["Function"].environment["GOODBYES"]
            try:
                yield script.Probe(f"ws://{address}/probe", None, queue, "us-east-1")
            finally:
                server.end()
                await served


@pytest.mark.slow
async def test_every_question_is_answered_as_the_emulator_settles_it(
    script: ModuleType, probe: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first takes as long as API Gateway waits for an integration."""
    monkeypatch.setattr(script, "HEARD_WITHIN", 4)
    slow, *answers = [
        "skipped" if ask is script.posted_to_closed else await ask(probe) for _, _, ask in script.PROBE_QUESTIONS
    ]
    assert re.fullmatch(r"504 with the body '.*Endpoint request timed out.*' after (29|30) s", slow)
    assert answers == [
        "401 with none of them",
        "the function's body",
        "of 20 messages 19 are answered, with 'Too Many Requests'",
        "skipped",
        "nothing within 4 s",
        "1009 ''",
        "1003 ''",
        "1006 ''",
    ]
    with pytest.raises(script.Skipped, match="there is no API whose execute-api endpoint is disabled"):
        await script.posted_to_closed(probe)
