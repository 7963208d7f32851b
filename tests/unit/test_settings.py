"""What the environment makes of the settings."""

import pytest

from gatesocket.exceptions import ConfigurationError
from gatesocket.settings import FANOUT_ABOVE, Settings, settings


def test_each_setting_is_the_variable_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATESOCKET_TABLE", "connections")
    monkeypatch.setenv("GATESOCKET_GROUP_SHARDS", "4")
    monkeypatch.setenv("GATESOCKET_CLOSE_MESSAGE", "true")
    chosen = settings()
    assert (chosen.table, chosen.group_shards, chosen.close_message) == ("connections", 4, True)
    assert chosen.fanout_above == FANOUT_ABOVE


def test_what_is_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATESOCKET_TABLE", "connections")
    monkeypatch.setenv("GATESOCKET_REGION", "eu-central-1")
    chosen = Settings(table=None)
    assert (chosen.table, chosen.region) == (None, "eu-central-1")


def test_variables_of_other_names_are_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATESOCKET_MODE", "uvicorn")
    monkeypatch.setenv("TABLE", "another")
    assert Settings().table is None


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("GATESOCKET_GROUP_SHARDS", "0", "input should be greater than or equal to 1"),
        ("GATESOCKET_AWS_CLIENT", "botocore", "input should be 'asyncio' or 'boto3'"),
        ("GATESOCKET_RECORD_SECONDS", "soon", "input should be a valid integer"),
    ],
)
def test_a_value_that_can_not_be_is_refused_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"^{variable} can't be '{value}': {expected}"):
        Settings()


def test_what_is_given_and_can_not_be_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATESOCKET_RECORD_SECONDS", "0")
    with pytest.raises(ConfigurationError) as refused:
        Settings(group_shards=0, tabel="connections")  # type: ignore[call-arg]  # that is what is refused
    assert str(refused.value) == (
        "the setting group_shards can't be 0: input should be greater than or equal to 1. "
        "GATESOCKET_RECORD_SECONDS can't be '0': input should be greater than 0. "
        "there is no setting 'tabel'"
    )


def test_a_variable_that_is_nearly_a_setting_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GATESOCKET_TABEL", "connections")
    monkeypatch.setenv("GATESOCKET_CLOSE_MESAGE", "true")
    monkeypatch.setenv("GATESOCKET_MODE", "uvicorn")
    settings()
    assert caplog.messages == [
        "GATESOCKET_CLOSE_MESAGE is no setting, and has no effect: did you mean GATESOCKET_CLOSE_MESSAGE?",
        "GATESOCKET_TABEL is no setting, and has no effect: did you mean GATESOCKET_TABLE?",
    ]
