"""What ``gatesocket init`` writes for the reference app, held to what the reference app has."""

import ast
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cfnlint import api as cfnlint  # type: ignore[import-untyped]

import chat.app
from gatesocket.emulator.template import load
from gatesocket.scaffold.addresses import addresses_of
from gatesocket.scaffold.needs import Needs, needs_of
from gatesocket.scaffold.project import Project, locate
from support.deployment import deploy

ROOT = Path(__file__).parents[3]
HANDLERS = ROOT / "handlers"
PROJECT = locate("chat.app:app", chat.app, ROOT, "gatesocket-chat")
NEEDS = needs_of(chat.app.app, chat.app, HANDLERS)
NOTHING = Needs(http=False, jobs=False, broadcasts=False, fastapi=False, tokens=False, distributions=())


def written(project: Project = PROJECT, needs: Needs = NEEDS) -> dict[str, str]:
    """Path, relative to the repository -> text."""
    files = project.files(needs, addresses_of(chat.app.app))
    return {path.relative_to(ROOT).as_posix(): text for path, text in files.items()}


def deployed(directory: Path, needs: Needs, **parameters: str) -> dict[str, Any]:
    path = directory / "template.yaml"
    path.write_text(written(needs=needs)["template.yaml"], encoding="utf-8")
    return deploy(path, **parameters)


def test_the_reference_app_needs_all_that_its_stack_has() -> None:
    assert PROJECT.root == HANDLERS
    assert replace(NEEDS, distributions=()) == Needs(
        http=True, jobs=True, broadcasts=True, fastapi=True, tokens=False, distributions=()
    )


def test_the_stack_is_that_of_this_repository(tmp_path: Path) -> None:
    """Tables, queues, policies, functions and what invokes them, as CloudFormation would get them."""
    own, theirs = deploy(ROOT / "template.yaml"), deployed(tmp_path, NEEDS)
    routes = {name for name in theirs if name.startswith("WebSocketApi") and name not in own}
    for name in theirs.keys() - routes:
        expected = own[name]
        if expected["Type"] == "AWS::Lambda::Function":
            del expected["Properties"]["Environment"]["Variables"]["CHAT_TOKEN"]  # the chat's own
        assert theirs[name] == expected, name
    # Routes are SAM's where no parameter says what stands behind them.
    parts = ("Route", "Integration", "Permission")
    assert routes == {f"WebSocketApi{key}{part}" for key in ("Connect", "Default") for part in parts}
    assert own.keys() - theirs.keys() == {
        *("ConnectRoute", "DefaultRoute", "FunctionIntegration", "ConnectPermission", "DefaultPermission")
    }


def test_all_its_routes_lead_to_the_function_which_they_may_invoke(tmp_path: Path) -> None:
    resources = deployed(tmp_path, NOTHING)
    for key in ("Connect", "Default", "Disconnect"):
        route = resources[f"WebSocketApi{key}Route"]["Properties"]
        assert (route["RouteKey"], route["Target"]) == (
            f"${key.lower()}",
            f"integrations/WebSocketApi{key}Integration",
        )
        permission = resources[f"WebSocketApi{key}Permission"]["Properties"]
        assert permission["FunctionName"].removesuffix(".Arn") == "WebSocketFunction"
        assert permission["SourceArn"].endswith(f"/prod/${key.lower()}")


def test_pages_of_other_origins_call_the_http_routes_only_if_named(tmp_path: Path) -> None:
    body = deployed(tmp_path, NEEDS, AllowedOrigins="https://a.example.com")["HttpApi"]["Properties"]["Body"]
    assert body["x-amazon-apigateway-cors"]["allowOrigins"] == ["https://a.example.com"]


@pytest.mark.parametrize(
    "needs",
    [
        NEEDS,
        NOTHING,
        replace(NOTHING, http=True),
        replace(NOTHING, jobs=True),
        replace(NOTHING, broadcasts=True),
    ],
    ids=["everything", "nothing", "http", "jobs", "broadcasts"],
)
def test_every_function_has_a_log_and_every_policy_a_holder(tmp_path: Path, needs: Needs) -> None:
    resources = deployed(tmp_path, needs)
    kinds = {name: resource["Type"] for name, resource in resources.items()}
    functions = [name for name, kind in kinds.items() if kind == "AWS::Lambda::Function"]
    held = {policy for name in functions for policy in resources[f"{name}Role"]["Properties"]["ManagedPolicyArns"]}
    assert {name for name, kind in kinds.items() if kind == "AWS::IAM::ManagedPolicy"} == {
        policy for policy in held if not policy.startswith("arn:aws:iam::aws:")
    }
    logs = {resources[name]["Properties"]["LoggingConfig"]["LogGroup"] for name in functions}
    assert {name for name, kind in kinds.items() if kind == "AWS::Logs::LogGroup"} == logs
    variables = set(resources["WebSocketFunction"]["Properties"]["Environment"]["Variables"])
    assert ("GATESOCKET_JOBS_QUEUE" in variables) is needs.jobs
    assert ("GATESOCKET_FANOUT_QUEUE" in variables) is needs.broadcasts


# What is in the whole is linted as a part of this repository's template, too.
@pytest.mark.parametrize(
    "needs", [pytest.param(NEEDS, id="everything", marks=pytest.mark.slow), pytest.param(NOTHING, id="nothing")]
)
def test_it_passes_cfn_lint(needs: Needs) -> None:
    # As `sam validate --lint` does; where every resource type is known.
    found = cfnlint.lint(written(needs=needs)["template.yaml"], regions=["us-east-1"])
    assert list(map(str, found)) == []


@pytest.mark.parametrize("needs", [NEEDS, NOTHING], ids=["everything", "nothing"])
def test_what_is_left_out_leaves_no_gap(needs: Needs) -> None:
    for name, text in written(needs=needs).items():
        blank = "\n\n\n" if name.endswith((".yaml", ".toml", ".txt")) else "\n\n\n\n"
        assert blank not in text, name
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_the_entry_points_are_those_of_the_reference_app() -> None:
    files = written()
    for name in ("entry.py", "fanout.py"):
        own = (HANDLERS / "chat" / name).read_text(encoding="utf-8")
        assert made_in(files[f"handlers/chat/{name}"]) == made_in(own)


def made_in(source: str) -> set[str]:
    """The imports and assignments of a module."""
    statements = {ast.unparse(each) for each in ast.parse(source).body if not isinstance(each, ast.Expr)}
    return {statement for statement in statements if not statement.startswith("__all__")}


def test_the_settings_of_sam_are_those_of_this_repository() -> None:
    theirs = tomllib.loads(written()["samconfig.toml"])
    own = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    # The stack of alarms, which only this repository's template has.
    capabilities = own["default"]["deploy"]["parameters"]["capabilities"]
    own["default"]["deploy"]["parameters"]["capabilities"] = capabilities.removesuffix(" CAPABILITY_AUTO_EXPAND")
    # Here the library is built from the repository itself, whose changes SAM's cache doesn't see.
    own["default"]["build"]["parameters"]["cached"] = True
    assert theirs == own


def test_requirements_name_what_checks_tokens() -> None:
    text = written(needs=replace(NEEDS, tokens=True))["handlers/requirements.txt"]
    assert "\ngatesocket[jwt]>=" in text


def test_the_local_stack_knows_the_app_and_something_to_try(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(written()["template.yaml"], encoding="utf-8")
    template = load(path, region="us-east-1")
    assert template.app == "chat.app:app"
    assert template.example == "/ws/echo"
    assert set(template.code.values()) == {tmp_path / "handlers"}
