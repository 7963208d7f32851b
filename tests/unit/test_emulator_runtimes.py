"""Functions as processes of their own, which run AWS's runtime."""

import asyncio
import importlib.util
import os
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gatesocket.emulator import runtimes
from gatesocket.emulator.activity import Activity, Printed, Reported
from gatesocket.emulator.answers import Failed, Returned
from gatesocket.emulator.resources import Function
from gatesocket.emulator.runtimes import LINE_BYTES, RuntimeFunction
from gatesocket.exceptions import ConfigurationError

Start = Callable[..., Awaitable[RuntimeFunction]]

COUNTING = """
    import os
    import threading

    calls = 0

    def handler(event, context):
        global calls
        calls += 1
        return [os.getpid(), calls]
"""


@pytest.fixture
def seen() -> "asyncio.Queue[Activity]":
    """All that the functions of a test have told."""
    return asyncio.Queue()


@pytest.fixture
async def start(tmp_path: Path, seen: "asyncio.Queue[Activity]") -> AsyncIterator[Start]:
    started: list[RuntimeFunction] = []

    async def start(
        source: str, *, count: int = 1, seconds: int = 20, variables: dict[str, str] | None = None
    ) -> RuntimeFunction:
        (tmp_path / "main.py").write_text(textwrap.dedent(source), encoding="utf-8")
        about = Function("F", "f-name", "arn:f", tmp_path, "main.handler", {}, seconds, memory=256)
        function = RuntimeFunction(about, variables or {}, count=count, watch=seen.put_nowait)
        started.append(function)
        await function.start()
        return function

    yield start
    for function in started:
        await function.aclose()


async def test_a_function_has_a_process_of_its_own_that_stays(start: Start) -> None:
    function = await start(COUNTING)
    first = await function.invoke({}, request_id="r1")
    second = await function.invoke({}, request_id="r2")
    assert first != Returned([os.getpid(), 1])
    assert isinstance(first, Returned)
    assert isinstance(first.value, list)
    assert second == Returned([first.value[0], 2])


async def test_a_handler_gets_the_event_and_lambdas_context_and_environment(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OF_THE_SHELL", "x")
    function = await start(
        """
        import os

        def handler(event, context):
            names = "GIVEN", "OF_THE_SHELL", "AWS_LAMBDA_FUNCTION_NAME", "LAMBDA_TASK_ROOT"
            return {
                "event": event,
                "context": [context.aws_request_id, context.function_name, context.invoked_function_arn],
                "limits": [context.memory_limit_in_mb, 0 < context.get_remaining_time_in_millis() <= 20_000],
                "environment": [os.environ.get(name) for name in names],
            }
        """,
        variables={"GIVEN": "1"},
    )
    assert await function.invoke({"a": "é"}, request_id="r1") == Returned(
        {
            "event": {"a": "é"},
            "context": ["r1", "f-name", "arn:f"],
            "limits": ["256", True],
            "environment": ["1", None, "f-name", str(tmp_path)],
        }
    )


async def test_an_exception_is_an_answer(start: Start) -> None:
    function = await start("""
        def handler(event, context):
            raise ValueError("boom")
    """)
    assert await function.invoke({}, request_id="r1") == Failed("ValueError", "boom")


async def test_concurrent_invocations_have_processes_of_their_own(start: Start, tmp_path: Path) -> None:
    """Each writes its own file and waits for the other's; in one process that would never end."""
    function = await start(
        """
        import pathlib

        def handler(event, context):
            pathlib.Path(event["mine"]).touch()
            while not pathlib.Path(event["theirs"]).exists():
                pass
            return "met"
        """,
        count=2,
    )
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    calls = ({"mine": a, "theirs": b}, {"mine": b, "theirs": a})
    answers = await asyncio.gather(*(function.invoke(event, request_id="r") for event in calls))
    assert answers == [Returned("met"), Returned("met")]


async def test_beyond_the_last_process_an_invocation_waits(start: Start) -> None:
    function = await start(COUNTING, count=1)
    answers = await asyncio.gather(*(function.invoke({}, request_id=name) for name in "abc"))
    assert [answer.value[1] for answer in answers if isinstance(answer, Returned)] == [1, 2, 3]  # type: ignore[index]


async def test_an_invocation_that_takes_too_long_ends_its_process(start: Start) -> None:
    function = await start(
        """
        import os

        def handler(event, context):
            while event["forever"]:
                pass
            return os.getpid()
        """,
        seconds=1,
    )
    before = await function.invoke({"forever": False}, request_id="r1")
    late = await function.invoke({"forever": True}, request_id="r2")
    after = await function.invoke({"forever": False}, request_id="r3")
    assert late == Failed("Sandbox.Timedout", "r2 Task timed out after 1.00 seconds")
    assert isinstance(after, Returned)
    assert after != before


async def test_a_process_that_dies_is_replaced(start: Start) -> None:
    function = await start("""
        import os

        def handler(event, context):
            if event["die"]:
                os._exit(7)
            return "alive"
    """)
    assert await function.invoke({"die": True}, request_id="r1") == Failed(
        "Runtime.ExitError", "its process ended with status 7"
    )
    assert await function.invoke({"die": False}, request_id="r2") == Returned("alive")


async def test_a_process_that_dies_while_it_is_idle_is_replaced(start: Start) -> None:
    function = await start(COUNTING)
    (runtime,) = function._runtimes
    runtime._process.kill()
    await runtime._follower
    answer = await function.invoke({}, request_id="r1")
    assert isinstance(answer, Returned)
    assert runtime not in function._runtimes


async def test_an_invocation_that_is_abandoned_ends_its_process(start: Start, seen: "asyncio.Queue[Activity]") -> None:
    function = await start("""
        import os

        def handler(event, context):
            print("entered", flush=True)
            while event["forever"]:
                pass
            return "alive"
    """)
    abandoned = asyncio.create_task(function.invoke({"forever": True}, request_id="r1"))
    assert await asyncio.wait_for(seen.get(), 20) == Printed("F", "r1", "entered")
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    assert await function.invoke({"forever": False}, request_id="r2") == Returned("alive")


async def test_what_a_function_prints_is_told_with_its_invocation(
    start: Start, seen: "asyncio.Queue[Activity]"
) -> None:
    function = await start("""
        print("imported")

        def handler(event, context):
            print("hello")
    """)
    await function.invoke({}, request_id="r1")
    await function.aclose()
    printed = [activity for activity in everything(seen) if isinstance(activity, Printed)]
    assert printed == [Printed("F", None, "imported"), Printed("F", "r1", "hello")]


async def test_each_invocation_is_reported_the_first_of_a_process_with_its_start(
    start: Start, seen: "asyncio.Queue[Activity]"
) -> None:
    function = await start(COUNTING)
    await function.invoke({}, request_id="r1")
    await function.invoke({}, request_id="r2")
    first, second = (activity.report for activity in everything(seen) if isinstance(activity, Reported))
    assert (first.request_id, first.memory, first.status) == ("r1", 256, None)
    assert first.init is not None
    assert first.init > first.milliseconds > 0
    assert first.used
    assert (second.request_id, second.init) == ("r2", None)


async def test_an_invocation_that_its_process_dies_of_is_reported_as_an_error(
    start: Start, seen: "asyncio.Queue[Activity]"
) -> None:
    function = await start("""
        import os

        def handler(event, context):
            os._exit(3)
    """)
    await function.invoke({}, request_id="r1")
    (report,) = (activity.report for activity in everything(seen) if isinstance(activity, Reported))
    assert report.status == "error"
    assert report.used


def everything(seen: "asyncio.Queue[Activity]") -> list[Activity]:
    return [seen.get_nowait() for _ in range(seen.qsize())]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere", r"F: the handler 'main\.handler' can't be imported: Runtime.ImportModuleError: .*nowhere"),
        ("", r"F: the handler 'main\.handler' can't be imported: Runtime.HandlerNotFound: "),
        ("import os; os._exit(3)", "F: its process ended with status 3"),
    ],
)
async def test_a_handler_that_cannot_be_loaded_is_named(start: Start, source: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await start(source)


async def test_a_handler_that_never_gets_ready_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "START_SECONDS", 0)
    with pytest.raises(ConfigurationError, match="F: its process was not ready after 0 s; what does 'main.handler' do"):
        await start("while True: pass")


async def test_a_handler_that_cannot_be_loaded_any_more_fails_its_invocation(start: Start, tmp_path: Path) -> None:
    function = await start("""
        import os

        def handler(event, context):
            os._exit(7)
    """)
    await function.invoke({}, request_id="r1")
    (tmp_path / "main.py").write_text("import nowhere", encoding="utf-8")
    answer = await function.invoke({}, request_id="r2")
    assert isinstance(answer, Failed)
    assert answer.error_type == "Runtime.InitError"


async def test_without_awslambdaric_the_remedy_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> None:
        assert name == "awslambdaric"

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(ConfigurationError, match="pip install awslambdaric"):
        await start(COUNTING)


async def test_requests_that_no_runtime_makes_are_refused(start: Start) -> None:
    function = await start(COUNTING)
    (runtime,) = function._runtimes

    async def ask(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*runtime._server.sockets[0].getsockname())
        writer.write(request)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    assert (await ask(b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n")).startswith(b"HTTP/1.1 404")
    assert await ask(b"no HTTP\r\n\r\n") == b""


async def test_an_answer_after_the_end_is_ignored(start: Start) -> None:
    function = await start(COUNTING)
    (runtime,) = function._runtimes
    answer: Any = await function.invoke({}, request_id="r1")
    assert await runtime._respond("POST", "/2018-06-01/runtime/invocation/r1/response", b"1") == (202, {}, b"{}")
    assert isinstance(answer, Returned)


async def test_a_function_may_print_what_it_likes(start: Start, seen: "asyncio.Queue[Activity]") -> None:
    """What is no UTF-8 is made so; a line that no log would take is cut; what is printed last needs no newline."""
    function = await start("""
        import os

        def handler(event, context):
            os.write(1, bytes([255, 10]) + b"x" * 400_000 + bytes([10]) + b"y" * 400_000)
            return "alive"
    """)
    assert await function.invoke({}, request_id="r1") == Returned("alive")
    assert await function.invoke({}, request_id="r2") == Returned("alive")
    await function.aclose()
    printed = [activity.line for activity in everything(seen) if isinstance(activity, Printed)]
    assert printed[0] == "\ufffd"
    assert max(map(len, printed)) <= LINE_BYTES + 65536
    assert "".join(printed) == ("\ufffd" + "x" * 400_000 + "y" * 400_000) * 2
