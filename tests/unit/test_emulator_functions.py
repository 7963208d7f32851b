"""Functions that run in this process."""

import asyncio
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from gatesocket.emulator import functions, log
from gatesocket.emulator.activity import Activity, Printed, Reported
from gatesocket.emulator.answers import Failed, Returned
from gatesocket.emulator.functions import InProcessFunction, LambdaContext
from gatesocket.emulator.resources import Function
from gatesocket.exceptions import ConfigurationError

Start = Callable[..., Awaitable[InProcessFunction]]


@pytest.fixture
def forget_modules() -> Iterator[None]:
    """Let every test import a module of the same name."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def seen() -> list[Activity]:
    """All that the functions of a test have told."""
    return []


@pytest.fixture
async def start(tmp_path: Path, forget_modules: None, seen: list[Activity]) -> AsyncIterator[Start]:
    started: list[InProcessFunction] = []

    async def start(source: str, *, handler: str = "main.handler", seconds: int = 5) -> InProcessFunction:
        (tmp_path / "main.py").write_text(textwrap.dedent(source), encoding="utf-8")
        about = Function("F", "f-name", "arn:f", tmp_path, handler, {}, seconds, memory=256)
        function = InProcessFunction(about, watch=seen.append)
        await function.start()
        started.append(function)
        return function

    yield start
    for function in started:
        await function.aclose()


async def test_a_handler_gets_the_event_and_what_lambda_says_of_the_invocation(start: Start) -> None:
    function = await start("""
        def handler(event, context):
            return {
                "event": event,
                "context": [
                    context.aws_request_id, context.function_name, context.invoked_function_arn,
                    context.memory_limit_in_mb, context.function_version, context.log_group_name,
                ],
                "enough_time": 4_000 < context.get_remaining_time_in_millis() <= 5_000,
            }
    """)
    answer = await function.invoke({"a": [1]}, request_id="r1")
    assert answer == Returned(
        {
            "event": {"a": [1]},
            "context": ["r1", "f-name", "arn:f", "256", "$LATEST", "/aws/lambda/f-name"],
            "enough_time": True,
        }
    )


async def test_a_handler_cannot_change_the_callers_event(start: Start) -> None:
    function = await start("""
        def handler(event, context):
            event["a"].append(2)
    """)
    event = {"a": [1]}
    await function.invoke(event, request_id="r1")
    assert event == {"a": [1]}


async def test_an_exception_is_an_answer_and_its_traceback_is_logged_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    function = await start("""
        def handler(event, context):
            raise ValueError("boom")
    """)
    assert await function.invoke({}, request_id="r1") == Failed("ValueError", "boom")
    (record,) = [record for record in caplog.records if record.name == "gatesocket.emulator"]
    assert record.getMessage() == "F: request r1 failed"
    assert record.exc_info is not None


async def test_an_answer_that_is_no_json_is_a_failure(start: Start) -> None:
    function = await start("def handler(event, context): return object()")
    answer = await function.invoke({}, request_id="r1")
    assert isinstance(answer, Failed)
    assert answer.error_type == "TypeError"


async def test_plain_handlers_run_concurrently_with_an_event_loop_each(start: Start) -> None:
    function = await start("""
        import asyncio, threading

        both = threading.Barrier(2)

        def handler(event, context):
            both.wait(10)
            return asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, "done"))
    """)
    answers = await asyncio.gather(*(function.invoke({}, request_id=name) for name in "ab"))
    assert answers == [Returned("done"), Returned("done")]


async def test_a_blocking_handler_does_not_hold_the_server_up(start: Start) -> None:
    function = await start("""
        import threading

        entered, go_on = threading.Event(), threading.Event()

        def handler(event, context):
            entered.set()
            return go_on.wait(10)
    """)
    answering = asyncio.create_task(function.invoke({}, request_id="r1"))
    main = sys.modules["main"]
    await asyncio.to_thread(main.entered.wait, 10)
    main.go_on.set()  # This loop still runs; otherwise nobody would have come here.
    assert await answering == Returned(value=True)


async def test_a_handler_with_a_coroutine_method_runs_its_invocations_on_one_loop(start: Start) -> None:
    function = await start("""
        import asyncio

        class Handler:
            def __init__(self):
                self.waiting = []

            async def invoke(self, event, context):
                turn = asyncio.get_running_loop().create_future()
                self.waiting.append(turn)
                if len(self.waiting) == 2:
                    for other in self.waiting:
                        other.set_result(id(asyncio.get_running_loop()))
                return await turn

            def __call__(self, event, context):
                raise AssertionError("not used")

        handler = Handler()
    """)
    first, second = await asyncio.gather(*(function.invoke({}, request_id=name) for name in "ab"))
    assert first == second
    assert first != Returned(id(asyncio.get_running_loop()))


async def test_a_handler_is_shut_down_on_its_own_loop(start: Start) -> None:
    function = await start("""
        import asyncio

        class Handler:
            loops = []

            def __call__(self, event, context): ...

            async def invoke(self, event, context):
                self.loops.append(asyncio.get_running_loop())

            async def shutdown(self):
                self.loops.append(asyncio.get_running_loop())

        handler = Handler()
    """)
    await function.invoke({}, request_id="r1")
    await function.aclose()
    used, closed = sys.modules["main"].handler.loops
    assert used is closed


async def test_functions_of_one_handler_run_it_on_the_loop_that_they_share(
    tmp_path: Path, forget_modules: None
) -> None:
    source = """
import asyncio

class Handler:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.waiting = asyncio.Event()

    def __call__(self, event, context): ...

    async def invoke(self, event, context):
        if self.lock.locked():
            self.waiting.set()
        async with self.lock:
            if event == "first":
                await self.waiting.wait()
        return event

handler = Handler()
"""
    (tmp_path / "main.py").write_text(source, encoding="utf-8")
    with start_blocking_portal("asyncio") as portal:
        functions = [
            InProcessFunction(Function(name, name, name, tmp_path, "main.handler", {}, 5, 256), portal=portal)
            for name in ("first", "second")
        ]
        for function in functions:
            await function.start()
        first = asyncio.create_task(functions[0].invoke("first", request_id="r1"))
        second = asyncio.create_task(functions[1].invoke("second", request_id="r2"))
        assert (await first, await second) == (Returned("first"), Returned("second"))
        for function in functions:
            await function.aclose()


async def test_a_coroutine_that_takes_too_long_is_given_up(start: Start) -> None:
    function = await start(
        """
        import asyncio

        class Handler:
            def __call__(self, event, context): ...

            async def invoke(self, event, context):
                await asyncio.Event().wait()

        handler = Handler()
        """,
        seconds=0,
    )
    answer = await function.invoke({}, request_id="r1")
    assert answer == Failed("Sandbox.Timedout", "r1 Task timed out after 0.00 seconds")


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_handler_that_ends_its_process_ends_one_invocation(start: Start, *, asynchronous: bool) -> None:
    source = """
        import sys

        class Handler:
            def __call__(self, event, context):
                sys.exit(event)

            async def act(self, event, context):
                sys.exit(event)

        handler = Handler()
    """
    function = await start(source.replace("act", "invoke") if asynchronous else source)
    for request_id in ("r1", "r2"):
        assert await function.invoke(3, request_id=request_id) == Failed("SystemExit", "3")


async def test_a_thread_that_takes_too_long_is_not_waited_for(start: Start) -> None:
    function = await start(
        """
        import threading

        go_on = threading.Event()

        def handler(event, context):
            go_on.wait(10)
        """,
        seconds=0,
    )
    answer = await function.invoke({}, request_id="r1")
    assert isinstance(answer, Failed)
    assert answer.error_type == "Sandbox.Timedout"
    sys.modules["main"].go_on.set()


async def test_a_thread_that_does_not_end_is_left(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(functions, "END_SECONDS", 0.01)
    function = await start(
        """
        import threading

        go_on = threading.Event()

        def handler(event, context):
            if event:
                go_on.wait(10)
        """,
        seconds=0,
    )
    await asyncio.gather(function.invoke(True, request_id="r1"), function.invoke(False, request_id="r2"))
    await function.aclose()
    assert caplog.messages[-1] == "F: an invocation doesn't end, and is left as it is"
    assert functions.hang()
    sys.modules["main"].go_on.set()
    for thread, loop in function._running:
        thread.join()
        loop.close()
    assert not functions.hang()


async def test_a_handlers_own_timeout_is_its_own_error(start: Start) -> None:
    function = await start("""
        def handler(event, context):
            raise TimeoutError("the database is slow")
    """)
    assert await function.invoke({}, request_id="r1") == Failed("TimeoutError", "the database is slow")


async def test_a_handler_may_be_written_with_slashes(start: Start, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("def handler(event, context): return 1", encoding="utf-8")
    function = await start("", handler="package/module.handler")
    assert await function.invoke({}, request_id="r1") == Returned(1)


async def test_the_import_path_is_left_as_it_was(start: Start, tmp_path: Path) -> None:
    before = list(sys.path)
    function = await start("def handler(event, context): ...")
    assert sys.path[0] == str(tmp_path)
    await function.aclose()
    assert sys.path == before


@pytest.mark.parametrize(
    ("source", "handler", "message"),
    [
        ("", "main.handler", "F: the handler 'main.handler' isn't there: .*main.py has no callable 'handler'"),
        ("handler = 7", "main.handler", "has no callable 'handler'"),
        ("", "nowhere.handler", "can't be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("\n\nimport nowhere", "main.handler", r"can't be imported: .*main\.py:3: ModuleNotFoundError: No module"),
        ("import sys\nsys.exit('bye')", "main.handler", r"can't be imported: .*main\.py:2: SystemExit: bye"),
        ("x = 1\ndef f(:", "main.handler", r"can't be imported: .*main\.py:2: SyntaxError: "),
        ("", "json.loads", r"was found in .*json.*: two modules have the same name\. Rename one, or .*--runtimes 1"),
    ],
)
async def test_a_handler_that_cannot_be_loaded_is_named(start: Start, source: str, handler: str, message: str) -> None:
    before = list(sys.path)
    with pytest.raises(ConfigurationError, match=message):
        await start(source, handler=handler)
    assert sys.path == before


def test_no_time_is_left_after_the_deadline() -> None:
    context = LambdaContext("r1", "f", "arn:f", "128", deadline=0.0)
    assert context.get_remaining_time_in_millis() == 0


async def test_an_invocation_that_is_abandoned_is_cancelled(start: Start) -> None:
    function = await start("""
        import asyncio, threading

        entered, cancelled = threading.Event(), threading.Event()

        class Handler:
            def __call__(self, event, context): ...

            async def invoke(self, event, context):
                try:
                    entered.set()
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()

        handler = Handler()
    """)
    main = sys.modules["main"]
    abandoned = asyncio.create_task(function.invoke({}, request_id="r1"))
    assert await asyncio.to_thread(main.entered.wait, 10)
    abandoned.cancel()
    assert await asyncio.to_thread(main.cancelled.wait, 10)


PRINTING = """
    import asyncio
    import sys

    class Handler:
        def __call__(self, event, context):
            return asyncio.get_event_loop().run_until_complete(self.speak(event))

        async def speak(self, event):
            print("hello", end=" ")
            sys.stderr.writelines([event, chr(10), "no newline"])

    handler = Handler()
    """


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_what_a_handler_prints_is_told_with_its_invocation(
    start: Start, seen: list[Activity], capsys: pytest.CaptureFixture[str], *, asynchronous: bool
) -> None:
    source = PRINTING
    if asynchronous:
        source = source.replace("async def speak(self, event):", "async def invoke(self, event, context=None):")
    with log.captured():
        function = await start(source)
        print("not a function's")  # noqa: T201
        await function.invoke("ann", request_id="r1")
    printed = [activity for activity in seen if isinstance(activity, Printed)]
    assert printed == [Printed("F", "r1", "hello ann"), Printed("F", "r1", "no newline")]
    assert capsys.readouterr().out == "not a function's\n"


async def test_each_invocation_is_reported(start: Start, seen: list[Activity]) -> None:
    function = await start("def handler(event, context): pass")
    await function.invoke({}, request_id="r1")
    (activity,) = seen
    assert isinstance(activity, Reported)
    report = activity.report
    assert (activity.function, report.request_id, report.memory, report.init, report.status) == (
        "F",
        "r1",
        256,
        None,
        None,
    )
    assert report.used
    assert report.milliseconds > 0


async def test_an_invocation_that_takes_too_long_is_reported_as_such(start: Start, seen: list[Activity]) -> None:
    function = await start(
        """
        import asyncio

        class Handler:
            def __call__(self, event, context): ...

            async def invoke(self, event, context):
                await asyncio.Event().wait()

        handler = Handler()
        """,
        seconds=0,
    )
    await function.invoke({}, request_id="r1")
    assert [activity.report.status for activity in seen if isinstance(activity, Reported)] == ["timeout"]
