"""Lambda events as files."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from gatesocket.emulator.activity import Invoked, Received
from gatesocket.emulator.recorder import Recorder, kind_of
from gatesocket.exceptions import ConfigurationError


def invoked(kind: str, **more: Any) -> Invoked:
    return Invoked("F", "r1", "", {"requestContext": {"eventType": kind}, **more}, "c1")


def test_each_event_is_a_file_whose_name_sorts(tmp_path: Path) -> None:
    record = Recorder(tmp_path / "new" / "events")
    record(invoked("CONNECT"))
    record(Received("c1", "not an event"))
    record(invoked("MESSAGE", body="über"))
    first, second = sorted((tmp_path / "new" / "events").iterdir())
    assert [first.name, second.name] == ["000001-F-connect.json", "000002-F-message.json"]
    assert json.loads(second.read_text()) == {"requestContext": {"eventType": "MESSAGE"}, "body": "über"}


def test_numbers_go_on_from_what_was_recorded_before(tmp_path: Path) -> None:
    (tmp_path / "000041-F-connect.json").touch()
    (tmp_path / "notes.txt").touch()
    Recorder(tmp_path)(invoked("DISCONNECT"))
    assert (tmp_path / "000042-F-disconnect.json").exists()


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"Records": [{"eventSource": "aws:sqs"}]}, "sqs"),
        ({"requestContext": {"http": {}}}, "http"),
        ({"type": "REQUEST", "requestContext": {"eventType": "CONNECT"}}, "authorize"),
        ({"anything": 1}, "event"),
    ],
)
def test_a_name_says_what_invoked_the_function(event: dict[str, Any], kind: str) -> None:
    assert kind_of(event) == kind


def test_a_directory_that_cannot_be_written_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="can't be recorded in .*file.*: .*Name a directory .*: --record"):
        Recorder(tmp_path / "file")


def test_a_file_that_cannot_be_written_is_named_and_the_stack_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = Recorder(tmp_path / "events")
    (tmp_path / "events").rmdir()
    caplog.set_level(logging.ERROR, "gatesocket.emulator")
    record(invoked("CONNECT"))
    (line,) = caplog.messages
    assert line.startswith("the event of request r1 isn't recorded: ")
