"""What the environment makes of the settings."""

import pytest
from pydantic import ValidationError

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
    ("variable", "value"),
    [("GATESOCKET_GROUP_SHARDS", "0"), ("GATESOCKET_AWS_CLIENT", "botocore"), ("GATESOCKET_RECORD_SECONDS", "soon")],
)
def test_a_value_that_can_not_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match=variable.removeprefix("GATESOCKET_").lower()):
        Settings()
