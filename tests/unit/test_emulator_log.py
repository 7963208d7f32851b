"""A stack's activities as lines of the log."""

import logging

import pytest

from gatesocket.emulator import log
from gatesocket.emulator.activity import (
    Activity,
    Answered,
    Arrived,
    Faulted,
    Left,
    Place,
    Printed,
    Received,
    Reported,
    Waits,
    all_of,
    result_of,
)
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.effects import Close, Refuse
from gatesocket.emulator.report import Report


@pytest.mark.parametrize(
    ("activity", "lines"),
    [
        (Printed("F", None, "imported"), ["F | imported"]),
        (Printed("F", "r1", "hello"), ["F r1 | hello"]),
        (
            Reported("F", Report("r1", 1, 128, None)),
            ["F r1 | REPORT RequestId: r1\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB"],
        ),
        (
            Answered("F", "r1", "c1 $default", 2.34, Returned({"statusCode": 200}), "c1"),
            ["F  c1 $default  2.3 ms  200"],
        ),
        (Faulted("duplicate wake", "WakeQueue"), ["chaos: duplicate wake: WakeQueue"]),
        (
            Waits("c1", (Place("a:b", "a.py", 7, ("x", "y")), Place("c:d", None, None, ()))),
            ["c1 hibernates at a.py:7 (x, y) > c:d ()"],
        ),
        (
            Refuse("c1", 500, "{}", "the authorizer took too long"),
            ["c1 refused with 500: the authorizer took too long"],
        ),
        (Refuse("c1", 403, "the function's own answer"), []),
        (Close("c1", 1003, "", "it is binary"), ["c1 closed with 1003: it is binary"]),
        (Close("c1", 1000, "wanted"), []),
        (Left("c1", 1002, "bad", "invalid opcode"), ["c1 closed with 1002: it broke the protocol: invalid opcode"]),
        (Left("c1", 1000, "done"), []),
        (Arrived("c1", ""), []),
        (Received("c1", "hello"), []),
    ],
)
def test_what_functions_do_is_logged_and_of_what_clients_do_only_mistakes(
    caplog: pytest.LogCaptureFixture, activity: Activity, lines: list[str]
) -> None:
    caplog.set_level(logging.INFO, "gatesocket.emulator")
    log.write(activity)
    assert caplog.messages == lines


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Failed("ValueError", "boom"), "ValueError: boom"),
        (Returned({"statusCode": 403}), "403"),
        (Returned({"batchItemFailures": []}), "ok"),
        (Returned(None), "ok"),
    ],
)
def test_an_answer_is_said_in_a_few_words(answer: Answer, text: str) -> None:
    assert result_of(answer) == text


def test_several_watches_are_told_in_turn() -> None:
    told: list[tuple[str, Activity]] = []
    watch = all_of(
        lambda activity: told.append(("first", activity)), lambda activity: told.append(("second", activity))
    )
    activity = Printed("F", None, "x")
    watch(activity)
    assert told == [("first", activity), ("second", activity)]


def test_what_is_printed_outside_of_an_invocation_goes_where_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Activity] = []
    with log.captured():
        print("before")  # noqa: T201
        with log.inside("F", "r1", seen.append):
            print("within", flush=True)  # noqa: T201
        print("after")  # noqa: T201
    assert capsys.readouterr().out == "before\nafter\n"
    assert seen == [Printed("F", "r1", "within")]


def test_what_is_logged_within_an_invocation_names_it() -> None:
    def marked(name: str) -> str:
        record = logging.LogRecord(name, logging.INFO, __file__, 1, "%s left", ("ann",), None)
        assert log.Origin().filter(record)
        return record.getMessage()

    assert marked("chat") == "ann left"
    with log.inside("F", "r1", lambda activity: None):
        assert marked("chat") == "F r1 | ann left"
        # The stack's own lines say by themselves what they are about.
        assert marked("gatesocket.emulator") == "ann left"
