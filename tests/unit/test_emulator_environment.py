import os
from pathlib import Path

import pytest

from gatesocket.emulator import environment
from gatesocket.emulator.api import Api
from gatesocket.emulator.resources import Addresses, Function, Resources
from gatesocket.exceptions import ConfigurationError

ADDRESSES = Addresses(gateway="http://127.0.0.1:8000", aws="http://127.0.0.1:5000")


def function(**variables: str) -> Function:
    return Function("F", "f-name", "arn:f", Path("/code"), "app.handler", variables, timeout=3, memory=128)


def resources(api: Api | None) -> Resources:
    return Resources(
        api=api, http_routes=(), functions={}, forwardings={}, tables=(), queues=(), sources=(), streams=(), notes=()
    )


def test_a_function_reaches_only_this_machine() -> None:
    api = Api("a1", "prod", "eu-west-1", "127.0.0.1:8000", r"\$default", {})
    variables = environment.of_function(function(X="1"), resources(api), region="eu-west-1", addresses=ADDRESSES)
    assert variables == {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:5000",
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "http://127.0.0.1:8000/prod",
        "X": "1",
    }


def test_boto3_trusts_the_gateways_certificate_if_there_is_one() -> None:
    addresses = Addresses(gateway="http://g", aws="http://a", certificate=Path("/run/c.pem"))
    variables = environment.of_function(function(), resources(None), region="eu-west-1", addresses=addresses)
    assert variables["AWS_CA_BUNDLE"] == "/run/c.pem"


def test_what_the_template_gives_wins() -> None:
    given = function(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    variables = environment.of_function(given, resources(None), region="eu-west-1", addresses=ADDRESSES)
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI" not in variables


def test_a_process_has_the_variables_only_as_long_as_the_stack_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    before = dict(os.environ)
    with environment.in_process({"F": {"AWS_ACCESS_KEY_ID": "local", "X": "1"}, "G": {"X": "1", "Y": "2"}}):
        assert "AWS_PROFILE" not in os.environ
        assert os.environ["AWS_ACCESS_KEY_ID"] == "local"
        assert (os.environ["X"], os.environ["Y"]) == ("1", "2")
    assert dict(os.environ) == before


def test_two_functions_cannot_have_different_values_in_one_process() -> None:
    with (
        pytest.raises(ConfigurationError, match="F and G have different values of X.*: --runtimes 1"),
        environment.in_process({"F": {"X": "1"}, "G": {"X": "2"}}),
    ):
        pass
