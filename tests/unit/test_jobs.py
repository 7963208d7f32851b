"""Jobs: enqueued in one place, run in another, with the result sent to whom it concerns."""

import asyncio
import functools
import importlib.util
import json
import logging
import os
import runpy
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from pydantic import BaseModel
from starlette.testclient import TestClient

from gatesocket import ConnectionManager, backend, jobs
from gatesocket.backend import Backend, use
from gatesocket.connection import current_connection
from gatesocket.exceptions import ConfigurationError, GatewayError, InvalidArguments, UnexpectedEvent
from gatesocket.gateway.fake import FakeGateway
from gatesocket.jobs import JobsHandler, drain, job
from gatesocket.limits import QUEUE_MESSAGE_BYTES
from gatesocket.queues import MemoryQueue, SQSQueue
from gatesocket.registry.base import EVERYONE, Record
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import settings
from gatesocket.testing import GatewayTestClient, NothingToReceive

CONTEXT: Any = None  # a batch is run without Lambda's context


class Page(BaseModel):
    number: int
    title: str = ""


ran: list[Any] = []
"""What the jobs of this module have done in the present test."""


@job
def double(number: int) -> int:
    """Double a number."""
    ran.append(number)
    return 2 * number


@job
async def greet(name: str, *, times: int = 1) -> str:
    """Greet somebody."""
    ran.append(name)
    return " ".join([f"hello {name}"] * times)


@job
def turn(page: Page) -> Page:
    """Turn a page over."""
    return Page(number=page.number + 1, title=page.title)


@job
def fail(why: str) -> None:
    """Fail."""
    raise ArithmeticError(why)


@job
async def whisper() -> None:
    """Return nothing that could be sent."""


@job
async def announce(text: str) -> None:
    """Send to everybody."""
    await ConnectionManager().broadcast(text)


@job
def where() -> dict[str, bool]:
    """Tell where it runs."""
    return {"in the main thread": threading.current_thread() is threading.main_thread()}


@job
async def circumstances() -> dict[str, bool]:
    """Tell what it can see."""
    ran.append(backend.in_use())
    return {"a route": current_connection.get() is not None}


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function as a library that knows nothing of coroutines would."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        ran.append("called")
        return function(*args, **kwargs)

    return wrapper


@job
@logged
async def decorated(name: str) -> str:
    """Greet from under a decorator."""
    return f"hello {name}"


gates: dict[str, asyncio.Event] = {}


@job
async def wait_at(gate: str) -> None:
    """Wait until somebody opens a gate."""
    ran.append(f"waits at {gate}")
    await gates[gate].wait()
    ran.append(f"has passed {gate}")


@job
async def open_gate(gate: str) -> None:
    """Open a gate."""
    gates[gate].set()


@job
async def enqueue_another() -> None:
    """Enqueue a further job."""
    await greet.enqueue("from a job")


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has done nothing yet, and whose environment says nothing of queues and tables."""
    for name in [name for name in os.environ if name.startswith("GATESOCKET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(jobs, "_jobs", dict(jobs._jobs))
    ran.clear()


def forget_the_settings() -> None:
    settings.cache_clear()
    backend._of_process.cache_clear()
    backend._jobs_of_process.cache_clear()


class Cloud:
    """A queue that keeps what is put on it until a test runs it, and the connections behind it."""

    def __init__(self) -> None:
        self.registry = MemoryRegistry()
        self.gateway = FakeGateway()
        self.bodies: list[str] = []
        self.backend = Backend(self.registry, self.gateway, jobs=MemoryQueue(self._put))

    async def _put(self, body: str) -> None:
        self.bodies.append(body)

    async def open(self, connection_id: str, *groups: str, user: str | None = None) -> None:
        self.gateway.open(connection_id)
        await self.registry.create(
            Record(connection_id, b"", 0, 1 << 53, live=True, groups=frozenset({EVERYONE, *groups}), user=user)
        )

    async def work(self) -> dict[str, Any]:
        """Run everything on the queue as one batch; return what Lambda would tell SQS."""
        bodies, self.bodies = self.bodies, []
        return await JobsHandler().invoke(batch(*bodies), CONTEXT)


def batch(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": f"m{number}", "body": body, "eventSource": "aws:sqs"} for number, body in enumerate(bodies)
        ]
    }


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    cloud = Cloud()
    with use(cloud.backend):
        yield cloud


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], ModuleType]:
    """What imports a user's module, given its source."""

    def load(source: str) -> ModuleType:
        path = tmp_path / "studio.py"
        path.write_text("from gatesocket.jobs import job\n\n" + textwrap.dedent(source))
        spec = importlib.util.spec_from_file_location("studio", path)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    return load


class TestDefining:
    def test_a_job_is_called_as_the_function_that_it_was(self) -> None:
        assert double(21) == 42

    async def test_a_coroutine_function_stays_one(self) -> None:
        assert await greet("ann", times=2) == "hello ann hello ann"

    def test_a_job_keeps_its_names_and_its_documentation(self) -> None:
        assert (double.__name__, double.__doc__, double.name) == ("double", "Double a number.", f"{__name__}:double")  # type: ignore[attr-defined]

    def test_a_module_that_is_loaded_again_defines_its_jobs_anew(self, module: Callable[[str], ModuleType]) -> None:
        source = """
            @job
            def render(page: int) -> None: ...
        """

        assert module(source).render is not module(source).render

    @pytest.mark.parametrize(
        ("source", "problem"),
        [
            (
                "def make():\n    @job\n    def render() -> None: ...\nmake()",
                "4: render: a function without a name in its module can't be a job. Define it with def in a module",
            ),
            (
                "job(lambda: None)",
                "3: <lambda>: a function without a name in its module can't be a job. Define it with def in a module",
            ),
            (
                "@job\ndef render(page) -> None: ...",
                "3: render: the parameter page has no annotation. Say its type: JSON is read by it",
            ),
            (
                "@job\ndef render(*pages: int) -> None: ...",
                "3: render: it takes any number of arguments, *pages: int. Take a list or a dict",
            ),
            (
                "class Studio:\n    @job\n    def render(self) -> None: ...",
                "4: render: the parameter self has no annotation. Say its type: JSON is read by it",
            ),
            (
                "@job\ndef render():\n    yield",
                "3: render: a generator can't be a job. Return a list, or send each item from the job",
            ),
            (
                "@job\nasync def render():\n    yield",
                "3: render: a generator can't be a job. Return a list, or send each item from the job",
            ),
            (
                "@job\ndef render() -> None: ...\n\n@job\ndef render() -> None: ...",
                "6: render: there is a job studio:render already, at {path}:3. Give one of them another name",
            ),
        ],
    )
    def test_what_cannot_be_a_job_is_refused_with_its_place_and_a_remedy(
        self, module: Callable[[str], ModuleType], tmp_path: Path, source: str, problem: str
    ) -> None:
        path = tmp_path / "studio.py"

        with pytest.raises(ConfigurationError) as refused:
            module(source)

        assert str(refused.value) == f"{path}:{problem.format(path=path)}"

    @pytest.mark.parametrize("thing", [staticmethod(print), int, functools.partial(print), 7])
    def test_only_a_function_can_be_a_job(self, thing: Any) -> None:
        with pytest.raises(ConfigurationError, match="expected a function to make a job of, but got "):
            job(thing)


class TestEnqueuing:
    async def test_a_call_becomes_one_text_that_names_the_job_and_its_arguments(self, cloud: Cloud) -> None:
        await greet.enqueue("ann", times=2)

        [body] = cloud.bodies
        assert json.loads(body) == {
            "job": f"{__name__}:greet",
            "arguments": {"name": "ann", "times": 2},
            "reply_to": None,
        }
        assert ran == []

    async def test_arguments_that_do_not_fit_are_an_error_of_the_call(self, cloud: Cloud) -> None:
        with pytest.raises(InvalidArguments, match="double: number: Input should be a valid integer"):
            await double.enqueue("many")  # type: ignore[arg-type]  # the type checker says so, too

        assert cloud.bodies == []

    async def test_no_character_is_one_that_sqs_refuses(self, cloud: Cloud) -> None:
        """SQS takes neither control characters nor U+FFFE and U+FFFF; ASCII is always taken."""
        name = "\x00\x0b\ufffe\uffff\N{WAVING HAND SIGN}"

        await greet.enqueue(name)

        assert cloud.bodies[0].isascii()
        assert cloud.bodies[0].isprintable()
        await cloud.work()
        assert ran == [name]

    async def test_what_is_larger_than_a_queue_takes_is_refused_before_it_is_sent(self, cloud: Cloud) -> None:
        await greet.enqueue("")
        room = QUEUE_MESSAGE_BYTES - len(cloud.bodies.pop())

        await greet.enqueue("x" * room)
        with pytest.raises(InvalidArguments) as refused:
            await greet.enqueue("x" * (room + 1))

        assert [len(body) for body in cloud.bodies] == [QUEUE_MESSAGE_BYTES]
        assert str(refused.value) == (
            f"{__name__}:greet can't be enqueued: its arguments make a message of 262145 bytes, and a queue takes "
            "262144. Store them, and pass where they are"
        )

    def test_the_settings_name_the_queue(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert backend.jobs() is None

        monkeypatch.setenv("GATESOCKET_JOBS_QUEUE", "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs")
        forget_the_settings()

        assert isinstance(backend.jobs(), SQSQueue)
        assert backend.current().jobs is backend.jobs()

    def test_whoever_enqueues_need_not_be_able_to_send(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An endpoint is for those who send."""
        monkeypatch.setenv("GATESOCKET_TABLE", "connections")
        monkeypatch.setenv("GATESOCKET_JOBS_QUEUE", "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs")
        forget_the_settings()

        assert isinstance(backend.jobs(), SQSQueue)
        with pytest.raises(ConfigurationError, match="GATESOCKET_ENDPOINT"):
            backend.current()

    def test_a_job_of_a_script_is_refused_where_a_queue_takes_jobs_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """In the process that reads the queue, ``__main__`` is something else."""
        monkeypatch.setenv("GATESOCKET_JOBS_QUEUE", "https://127.0.0.1:1/jobs")
        script = tmp_path / "script.py"
        script.write_text(
            textwrap.dedent("""
                import asyncio
                from gatesocket.jobs import job

                @job
                def render() -> None: ...

                asyncio.run(render.enqueue())
            """)
        )

        with pytest.raises(ConfigurationError) as refused:
            runpy.run_path(str(script), run_name="__main__")

        assert str(refused.value) == (
            f"{script}:5: whoever reads the queue can't know a job of this script. "
            "Define it in a module that both import"
        )


class TestReplying:
    async def test_the_result_goes_to_one_connection(self, cloud: Cloud) -> None:
        await cloud.open("ann")
        await cloud.open("bob")

        await greet.reply_to(connection="ann").enqueue("you")

        assert await cloud.work() == {"batchItemFailures": []}
        assert cloud.gateway.sent == {"ann": ["hello you"], "bob": []}

    async def test_the_result_goes_to_every_connection_of_a_person(self, cloud: Cloud) -> None:
        await cloud.open("ann-1", user="ann")
        await cloud.open("ann-2", user="ann")
        await cloud.open("bob", user="bob")

        await double.reply_to(user="ann").enqueue(21)
        await cloud.work()

        assert cloud.gateway.sent == {"ann-1": ["42"], "ann-2": ["42"], "bob": []}

    async def test_the_result_goes_to_a_group(self, cloud: Cloud) -> None:
        await cloud.open("ann", "lobby")
        await cloud.open("bob", "garden")

        await turn.reply_to(group="lobby").enqueue(Page(number=1, title="x"))
        await cloud.work()

        assert cloud.gateway.sent == {"ann": ['{"number":2,"title":"x"}'], "bob": []}

    async def test_nothing_is_sent_of_nothing(self, cloud: Cloud) -> None:
        await cloud.open("ann")

        await whisper.reply_to(connection="ann").enqueue()

        assert await cloud.work() == {"batchItemFailures": []}
        assert cloud.gateway.sent == {"ann": []}

    @pytest.mark.parametrize("to", ["connection", "user", "group"])
    async def test_whoever_has_left_is_noted_and_no_failure(
        self, cloud: Cloud, caplog: pytest.LogCaptureFixture, to: str
    ) -> None:
        await cloud.open("ann", "ann", user="ann")
        cloud.gateway.gone("ann")
        caplog.set_level(logging.INFO, "gatesocket")

        await greet.reply_to(**{to: "ann"}).enqueue("you")

        assert await cloud.work() == {"batchItemFailures": []}
        assert caplog.messages == [
            "connection ann is gone",
            f"{__name__}:greet has ended, but 1 connections of {to} ann had left",
        ]
        assert {record.levelno for record in caplog.records} == {logging.INFO}

    async def test_a_result_that_cannot_be_sent_fails_the_job(
        self, cloud: Cloud, caplog: pytest.LogCaptureFixture
    ) -> None:
        """So SQS delivers it again, and the client may yet get it."""
        await cloud.open("ann")
        cloud.gateway.refuse("ann", 500)
        await greet.reply_to(connection="ann").enqueue("you")
        body = cloud.bodies[0]

        assert await cloud.work() == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
        cloud.bodies.append(body)
        assert await cloud.work() == {"batchItemFailures": []}

        assert cloud.gateway.sent == {"ann": ["hello you"]}
        assert caplog.records[-1].exc_info is not None
        assert caplog.records[-1].exc_info[0] is GatewayError

    @pytest.mark.parametrize(
        ("to", "got"),
        [({}, "none"), ({"user": "ann", "group": "lobby"}, "user and group")],
        ids=["nobody", "two"],
    )
    def test_a_reply_goes_to_exactly_one(self, to: dict[str, str], got: str) -> None:
        with pytest.raises(TypeError) as refused:
            greet.reply_to(**to)

        assert str(refused.value) == f"expected one of connection, user and group to reply to, but got {got}"


class TestHandler:
    async def test_a_batch_runs_in_order(self, cloud: Cloud) -> None:
        for number in range(3):
            await double.enqueue(number)

        assert await cloud.work() == {"batchItemFailures": []}
        assert ran == [0, 1, 2]

    async def test_only_what_failed_is_delivered_again(self, cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
        await double.enqueue(1)
        await fail.enqueue("because")
        await double.enqueue(2)

        assert await cloud.work() == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
        assert ran == [1, 2]
        assert caplog.messages == ["the job of message m1 failed"]
        assert caplog.records[0].exc_info is not None
        assert str(caplog.records[0].exc_info[1]) == "because"

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ("{", "expected a message of the jobs queue"),
            ("[]", "expected a message of the jobs queue"),
            ('{"connection_id": "TXzPWdnOjoECGjA="}', "expected a message of the jobs queue"),
            ('{"job": "os:system", "arguments": {"command": "true"}}', "no job 'os:system' is known here, only "),
            (f'{{"job": "{__name__}:batch", "arguments": {{}}}}', f"no job '{__name__}:batch' is known here"),
            (f'{{"job": "{__name__}:double", "arguments": {{}}}}', "double: number: Field required"),
            (f'{{"job": "{__name__}:double", "arguments": {{"number": 1, "x": 2}}}}', "double: x: Extra inputs"),
            (
                f'{{"job": "{__name__}:double", "arguments": {{"number": 1}}, "reply_to": {{"kind": "x"}}}}',
                "expected a message of the jobs queue",
            ),
        ],
    )
    async def test_what_nobody_here_has_enqueued_fails_and_runs_nothing(
        self, caplog: pytest.LogCaptureFixture, body: str, problem: str
    ) -> None:
        """It ends in the dead-letter queue, where somebody sees it."""
        answer = await JobsHandler().invoke(batch(body), CONTEXT)

        assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
        assert ran == []
        assert caplog.records[0].exc_info is not None
        assert problem in str(caplog.records[0].exc_info[1])

    async def test_what_a_message_says_is_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        await JobsHandler().invoke(batch('{"password": "hunter2"}'), CONTEXT)
        await JobsHandler().invoke(
            batch(f'{{"job": "{__name__}:double", "arguments": {{"number": "hunter2"}}}}'), CONTEXT
        )

        assert len(caplog.records) == 2
        assert "hunter2" not in caplog.text

    @pytest.mark.parametrize(
        ("event", "got"),
        [
            ({"requestContext": {}}, r"an event with the keys \['requestContext'\]"),
            ({"Records": [{"body": "{}"}]}, r"an event with the keys \['Records'\]"),
            ([], "list"),
        ],
    )
    async def test_an_event_that_is_no_batch_is_refused_as_a_whole(self, event: Any, got: str) -> None:
        with pytest.raises(UnexpectedEvent, match=f"expected a batch of the jobs queue, .* but got {got}"):
            await JobsHandler().invoke(event, CONTEXT)

    def test_lambda_calls_it_without_an_event_loop(self) -> None:
        """Jobs of one process share a loop, so that clients which are bound to one survive from job to job."""
        handler = JobsHandler()
        body = json.dumps({"job": f"{__name__}:greet", "arguments": {"name": "ann"}})

        assert handler(batch(body), CONTEXT) == {"batchItemFailures": []}
        assert handler(batch(body), CONTEXT) == {"batchItemFailures": []}
        assert ran == ["ann", "ann"]
        handler._loop.close()

    async def test_a_plain_function_does_not_hold_the_event_loop_up(self, cloud: Cloud) -> None:
        await cloud.open("ann")
        await where.reply_to(connection="ann").enqueue()
        await cloud.work()

        assert cloud.gateway.sent["ann"] == ['{"in the main thread":false}']

    async def test_a_coroutine_function_may_be_under_a_plain_decorator(self, cloud: Cloud) -> None:
        await cloud.open("ann")
        await decorated.reply_to(connection="ann").enqueue("you")
        await cloud.work()

        assert ran == ["called"]
        assert cloud.gateway.sent["ann"] == ["hello you"]


class TestInTheBackground:
    async def test_without_a_queue_a_job_runs_in_this_process_after_the_call(self) -> None:
        await greet.enqueue("ann")
        assert ran == []
        await drain()

        assert ran == ["ann"]

    async def test_its_arguments_are_checked_as_for_a_queue(self) -> None:
        with pytest.raises(InvalidArguments):
            await double.enqueue("many")  # type: ignore[arg-type]  # that is the test

    async def test_jobs_run_side_by_side(self) -> None:
        """One after the other, the first would wait for ever for what the second does."""
        gates["A"] = asyncio.Event()

        await wait_at.enqueue("A")
        await open_gate.enqueue("A")
        await drain()

        assert ran == ["waits at A", "has passed A"]

    async def test_draining_waits_for_what_jobs_enqueue(self) -> None:
        await enqueue_another.enqueue()
        await drain()

        assert ran == ["from a job"]

    async def test_draining_nothing_ends_at_once(self) -> None:
        await drain()

    async def test_an_error_is_logged_with_its_traceback_and_nobody_else_suffers(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        await fail.enqueue("because")
        await greet.enqueue("ann")
        await drain()

        assert ran == ["ann"]
        assert caplog.messages == [f"the job {__name__}:fail failed, and isn't tried again"]
        assert "ArithmeticError: because" in caplog.text

    async def test_a_job_that_is_cut_off_is_named(self, caplog: pytest.LogCaptureFixture) -> None:
        """As when the server ends; `drain` in the app's lifespan avoids it."""
        gates["A"] = asyncio.Event()
        await wait_at.enqueue("A")
        [task] = jobs._background._tasks
        asyncio.get_running_loop().call_soon(task.cancel)

        await drain()

        assert ran == ["waits at A"]
        assert caplog.messages == [f"the job {__name__}:wait_at was cancelled before its end, and is lost"]

    async def test_it_is_no_part_of_the_route_but_reaches_the_same_connections(self) -> None:
        """A route may have hibernated when its job sends; what it sends mustn't go through the route."""
        gateway = FakeGateway()
        gateway.open("ann")
        through = Backend(MemoryRegistry(), gateway)
        route: Any = object()
        token = current_connection.set(route)
        try:
            with use(through):
                await circumstances.reply_to(connection="ann").enqueue()
        finally:
            current_connection.reset(token)
        await drain()

        assert ran == [through]
        assert gateway.sent["ann"] == ['{"a route":false}']

    async def test_in_a_lambda_function_there_is_no_background(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A job would stand still as soon as the event is served, and perhaps for ever."""
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "chat")

        with pytest.raises(ConfigurationError, match="GATESOCKET_JOBS_QUEUE isn't set"):
            await greet.enqueue("ann")

        await drain()
        assert ran == []


app = FastAPI()
manager = ConnectionManager()


@app.websocket("/doubled")
async def doubled(websocket: WebSocket) -> None:
    """Have each number doubled by a job, and count them."""
    connection = await manager.connect(websocket)
    count = 0
    async for text in websocket.iter_text():
        count += 1
        await double.reply_to(connection=connection).enqueue(int(text))
        await websocket.send_text(f"number {count}")


@app.websocket("/failing")
async def failing(websocket: WebSocket) -> None:
    """Enqueue what fails, for every message."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await fail.enqueue(text)


@app.post("/announce")
async def announcing(text: str) -> None:
    """Announce from an HTTP route, by a job."""
    await announce.enqueue(text)


@app.post("/fail")
async def failing_by_http() -> None:
    """Enqueue what fails."""
    await fail.enqueue("by HTTP")


class TestInRoutes:
    @pytest.fixture(params=[TestClient, GatewayTestClient], ids=["uvicorn's life", "the cloud's life"])
    def client(self, request: pytest.FixtureRequest) -> Iterator[TestClient]:
        with request.param(app) as client:
            yield client

    def test_a_route_hands_work_over_and_goes_on(self, client: TestClient) -> None:
        """In the cloud it hibernates between the messages, and the job is none of the tasks that would forbid that."""
        answers = []
        with client.websocket_connect("/doubled") as socket:
            for number in (1, 21):
                socket.send_text(str(number))
                answers.append({socket.receive_text(), socket.receive_text()})

        assert answers == [{"number 1", "2"}, {"number 2", "42"}]

    def test_an_http_route_hands_work_over(self, client: TestClient) -> None:
        with client.websocket_connect("/doubled") as socket:
            client.post("/announce?text=hello")
            assert socket.receive_text() == "hello"

    def test_a_job_that_fails_is_raised_in_the_test_of_its_route(self) -> None:
        with GatewayTestClient(app) as client, client.websocket_connect("/failing") as socket:
            socket.send_text("because")
            with pytest.raises(ArithmeticError, match="because"):
                socket.receive_text()

    def test_a_job_of_an_http_route_that_fails_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with GatewayTestClient(app) as client, client.websocket_connect("/doubled") as socket:
            client.post("/fail")
            with pytest.raises(NothingToReceive):
                socket.receive_text()

        assert "ArithmeticError: by HTTP" in caplog.text

    def test_a_test_never_reaches_the_queue_that_the_environment_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATESOCKET_JOBS_QUEUE", "https://127.0.0.1:1/jobs")
        forget_the_settings()

        with GatewayTestClient(app) as client, client.websocket_connect("/doubled") as socket:
            socket.send_text("3")
            assert {socket.receive_text(), socket.receive_text()} == {"number 1", "6"}
