"""What a developer sees of a running stack: activities in, rows out."""

import pytest

from gatesocket.emulator.activity import (
    Activity,
    Answered,
    Arrived,
    Faulted,
    Invoked,
    Left,
    Place,
    Printed,
    Received,
    Reported,
    Waits,
)
from gatesocket.emulator.answers import Failed, Returned
from gatesocket.emulator.effects import Accept, Close, Refuse, SendText
from gatesocket.emulator.report import Report
from gatesocket.emulator.screen import ConnectionRow, FrameRow, InvocationRow, OutputRow, Screen

PLACE = Place("app:chat", "app.py", 7, ("count",))


def told(*activities: Activity) -> Screen:
    screen = Screen()
    for now, activity in enumerate(activities):
        screen.tell(activity, now=now)
    return screen


def test_a_connection_counts_its_messages_and_says_where_it_waits() -> None:
    screen = told(
        Arrived("c1", "name=ann"),
        Accept("c1", None),
        Received("c1", "hello"),
        Invoked("F", "r1", "", {}, "c1"),
        Waits("c1", (PLACE,)),
        SendText("c1", "hello, ann"),
        SendText("c1", "bye"),
    )
    assert screen.rows().connections == (
        ConnectionRow("c1", "name=ann", since=0, open=True, received=1, sent=2, places=(PLACE,)),
    )


def test_frames_are_told_in_both_directions() -> None:
    screen = told(Arrived("c1", "a=b"), Received("c1", "hello"), Received("c1", b"\0\1"), SendText("c1", "hi\n"))
    assert screen.rows().frames == (
        FrameRow(0, "c1", "+", "?a=b"),
        FrameRow(1, "c1", ">", "hello"),
        FrameRow(2, "c1", ">", "2 bytes"),
        FrameRow(3, "c1", "<", "hi"),
    )


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (Refuse("c1", 403, "no"), "refused with 403 no"),
        (Close("c1", 1001, "Going away"), "closed with 1001 Going away"),
        (Left("c1", 1000, "done"), "left with 1000 done"),
        (Close("c1", 1003, "", "binary"), "closed with 1003 binary"),
        (Left("c1", 1002, "invalid opcode", "invalid opcode"), "closed with 1002 invalid opcode"),
        (Left("c1", None, ""), "broke"),
    ],
)
def test_a_connection_that_has_ended_is_not_there_any_more(end: Activity, text: str) -> None:
    # Once: that the client of a closed connection leaves is no news, and a late look at its route no matter.
    screen = told(Arrived("c1", ""), end, Left("c1", 1000, ""), Waits("c1", (PLACE,)))
    assert screen.rows().connections == ()
    assert screen.rows().frames[1:] == (FrameRow(1, "c1", "x", text),)


def test_an_invocation_has_its_duration_and_the_memory_that_was_reported() -> None:
    screen = told(
        Reported("F", Report("r1", 11.0, 256, 71)),
        Answered("F", "r1", "c1 $default", 12.0, Returned({"statusCode": 200}), "c1"),
        Answered("G", "r2", "GET /", 5.0, Failed("ValueError", "boom"), None),
    )
    assert screen.rows().invocations == (
        InvocationRow(1, "F", "c1 $default", 12.0, 71, "200", failed=False),
        InvocationRow(2, "G", "GET /", 5.0, None, "ValueError: boom", failed=True),
    )


def test_output_names_the_function_and_errors_are_counted() -> None:
    screen = told(Printed("F", None, "imported"), Printed("F", "r1", "hello"), Faulted("late disconnect", "c1"))
    screen.say("Traceback", now=3, error=True)
    rows = screen.rows()
    assert rows.output == (
        OutputRow(0, "F | imported"),
        OutputRow(1, "F r1 | hello"),
        OutputRow(2, "chaos: late disconnect: c1"),
        OutputRow(3, "Traceback", error=True),
    )
    assert rows.errors == 1


def test_only_what_a_terminal_could_show_is_kept() -> None:
    screen = told(*(Received("c1", "x" * 1000) for _ in range(300)))
    frames = screen.rows().frames
    assert len(frames) == 200
    assert {len(frame.text) for frame in frames} == {500}
