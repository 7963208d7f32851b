"""A stack for a developer: where it says it is, what ends it, what starts it anew."""

import functools
import io
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from rich.console import Console

from gatesocket.emulator import dev, functions
from gatesocket.emulator.dev import Options, bind, run, supervise
from gatesocket.exceptions import ConfigurationError

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: prod
      RouteSelectionExpression: $request.body.action
      Routes:
        $default: {FunctionArn: !GetAtt Function.Arn}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: hello.handler
      Runtime: python3.13
"""
HTTP = "      Events: {Any: {Type: HttpApi}}\n"


@pytest.fixture
def template(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "hello.py").write_text("def handler(event, context): return 'hi'", encoding="utf-8")
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE + HTTP, encoding="utf-8")
    yield path
    sys.modules.pop("hello", None)


@pytest.fixture(autouse=True)
def leave_logging_alone() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("gatesocket", "samtranslator")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for handler in logging.getLogger().handlers:
        handler.removeFilter(dev._ORIGIN)


CLIENT = os.path.relpath(Path(sys.executable).with_name("websockets"))


def options(template: Path, *, with_edge: bool = True, **others: Any) -> Options:
    return Options(template, {}, "us-east-1", runtimes=None, with_edge=with_edge, **others)


def end_after_a_request(listening: socket.socket, answers: list[str]) -> threading.Thread:
    """Ask once, which waits until the stack serves, and then end this process as a terminal would."""
    host, port = listening.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host

    def ask() -> None:
        answers.append(httpx2.get(f"http://{address}:{port}/", timeout=30).text)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_stack_says_where_it_is_and_runs_until_it_is_interrupted(
    template: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    answers: list[str] = []
    with bind(host, 0) as listening:
        port = listening.getsockname()[1]
        client = end_after_a_request(listening, answers)
        run(options(template), [listening])
        client.join()
    assert answers == ["hi"]
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert (
        capsys.readouterr().out
        == f"""
  Gatesocket runs {template}. Ctrl+C ends it.

  page         http://{where}/
  WebSocket    ws://{where}/<path of the route>
  as on AWS    ws://{where}/prod?__path=/<path of the route>
  try it       {CLIENT} 'ws://{where}/prod'
  connections  http://{where}/prod/@connections/<connection id>

"""
    )


def test_the_example_of_the_template_is_what_to_try(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template.write_text(
        template.read_text(encoding="utf-8") + "Metadata: {Gatesocket: {Example: '/ws/lobby?name=you'}}\n"
    )
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        client = end_after_a_request(listening, [])
        run(options(template), [listening])
        client.join()
    assert f"  try it       {CLIENT} 'ws://127.0.0.1:{port}/ws/lobby?name=you'\n" in capsys.readouterr().out


def test_the_banner_names_only_what_there_is(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template.write_text(TEMPLATE, encoding="utf-8")
    answers: list[str] = []
    with bind("127.0.0.1", 0) as listening:
        client = end_after_a_request(listening, answers)
        run(options(template, with_edge=False), [listening])
        client.join()
    printed = capsys.readouterr().out
    assert answers == ['{"message":"Not Found"}']
    assert "page" not in printed
    assert "__path" not in printed


@pytest.mark.parametrize("plain", [False, True])
def test_a_terminal_shows_a_screen_unless_lines_are_asked_for(
    template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, plain: bool
) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=100, height=30)
    monkeypatch.setattr(dev, "Console", lambda: console)
    before = logging.getLogger().handlers[:]
    with bind("127.0.0.1", 0) as listening:
        client = end_after_a_request(listening, [])
        run(options(template, plain=plain), [listening])
        client.join()
    assert f"Gatesocket runs {template}" in capsys.readouterr().out
    # Its last drawing comes at its end, when the request was served.
    assert ("GET /" in terminal.getvalue()) is not plain
    assert logging.getLogger().handlers == before


def test_the_events_of_a_stack_are_recorded(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = template.parent / "events"
    with bind("127.0.0.1", 0) as listening:
        client = end_after_a_request(listening, [])
        run(options(template, record=events), [listening])
        client.join()
    assert [path.name for path in events.iterdir()] == ["000001-Function-http.json"]


def test_what_cannot_be_started_ends_with_one_line(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (template.parent / "code" / "hello.py").write_text("handler = 7", encoding="utf-8")
    with bind("127.0.0.1", 0) as listening, pytest.raises(SystemExit) as ended:
        run(options(template), [listening])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gatesocket: Function: the handler 'hello.handler' isn't there")


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(ConfigurationError, match="Name an address of this machine: --host$"):
        bind("192.0.2.1", 0)


def test_a_port_in_use_is_named() -> None:
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=f"can't listen on port {port} of 127.0.0.1: .*another port: --port"
        ):
            bind("127.0.0.1", port)


class Process:
    """A child process that does nothing."""

    exitcode: int | None = None

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def start(self) -> None:
        self.log.append("start")

    def terminate(self) -> None:
        self.log.append("terminate")

    def join(self) -> None: ...


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """Every child that is started, without a process behind it."""
    made: list[Process] = []

    def get_subprocess(**_: Any) -> Process:
        made.append(Process([]))
        return made[-1]

    monkeypatch.setattr("uvicorn.supervisors.basereload.get_subprocess", get_subprocess)
    monkeypatch.setattr("uvicorn.supervisors.basereload.signal.signal", lambda *_: None)
    return made


def reloader(template: Path) -> dev.Reloader:
    config = uvicorn.Config(
        "", reload=True, reload_dirs=[str(template.parent / "code")], reload_delay=0, log_config=None
    )
    serves = multiprocessing.get_context("spawn").Event()
    return dev.Reloader(config, functools.partial(run, options(template)), [], template, serves)


def touch(path: Path) -> None:
    """Make a file newer, whatever the file system's clock resolves."""
    later = path.stat().st_mtime + 10
    os.utime(path, (later, later))


@pytest.mark.parametrize("changed", ["template.yaml", "code/hello.py"])
def test_a_change_of_code_or_template_starts_it_anew(template: Path, children: list[Process], changed: str) -> None:
    watching = reloader(template)
    watching.startup()
    assert watching.should_restart() is None
    path = template.parent / changed
    touch(path)
    assert watching.should_restart() == [path]
    watching.restart()
    assert [child.log for child in children] == [["start", "terminate"], ["start"]]


def test_a_first_start_that_fails_ends_it(
    template: Path, children: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Process, "exitcode", 2)
    watching = reloader(template)
    watching.run()
    assert watching.failed
    assert [child.log for child in children] == [["start", "terminate"]]


def test_a_later_start_that_fails_waits_for_the_next_change(template: Path, children: list[Process]) -> None:
    watching = reloader(template)
    watching.startup()
    watching.restart()
    children[1].exitcode = 2
    watching.should_restart()
    assert not watching.failed
    assert not watching.should_exit.is_set()


def test_a_stack_that_is_gone_after_it_has_served_is_started_anew(
    template: Path, children: list[Process], capsys: pytest.CaptureFixture[str]
) -> None:
    watching = reloader(template)
    watching.startup()
    watching._serves.set()
    children[0].exitcode = -11
    watching.should_restart()
    assert [child.log for child in children] == [["start", "terminate"], ["start"]]
    assert capsys.readouterr().err == (
        "gatesocket: a function has ended the stack's process, with signal 11. "
        "It starts anew; --runtimes 1 gives each function a process of its own\n"
    )


def test_a_stack_that_is_gone_before_it_has_served_is_told_of_once(
    template: Path, children: list[Process], capsys: pytest.CaptureFixture[str]
) -> None:
    watching = reloader(template)
    watching.startup()
    watching.restart()
    children[1].exitcode = 4
    watching.should_restart()
    watching.should_restart()
    assert len(children) == 2
    assert not watching.failed
    told = capsys.readouterr().err
    assert told.count("a function has ended the stack's process, with status 4. Correct what it runs; ") == 1


def test_a_stack_that_ends_with_its_supervisor_is_not_told_of(template: Path, children: list[Process]) -> None:
    watching = reloader(template)
    watching.startup()
    watching.should_exit.set()
    children[0].exitcode = 0
    with pytest.raises(StopIteration):
        watching.should_restart()
    assert not watching.failed


def test_a_stack_tells_its_supervisor_that_it_serves(template: Path) -> None:
    serves = multiprocessing.get_context("spawn").Event()
    with bind("127.0.0.1", 0) as listening:
        client = end_after_a_request(listening, [])
        run(options(template), [listening], serves=serves)
        client.join()
    assert serves.is_set()


def test_a_stack_does_not_wait_for_a_function_that_does_not_end(
    template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(dev, "_end_process", left.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    monkeypatch.setattr(functions, "hang", lambda: True)
    with bind("127.0.0.1", 0) as listening:
        client = end_after_a_request(listening, [])
        run(options(template), [listening])
        client.join()
    assert left == [1]


def test_a_stack_that_a_function_holds_up_ends_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left: list[int] = []
    monkeypatch.setattr(dev, "_end_process", left.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    dev._give_up()
    assert left == [1]
    assert caplog.messages == ["the stack doesn't end: a function holds it up, and is left as it is"]


def test_a_directory_that_is_not_there_is_left_to_the_stack_to_tell_of(
    template: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (template.parent / "code").rename(template.parent / "cod")
    monkeypatch.setattr(dev.Reloader, "run", lambda self: None)
    with bind("127.0.0.1", 0) as listening:
        supervise(options(template), listening)
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def test_supervising_ends_with_the_status_of_a_first_start_that_fails(
    template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: dev.Reloader) -> None:
        assert self.config.reload_dirs == [template.parent / "code"]
        self.failed = True

    monkeypatch.setattr(dev.Reloader, "run", run)
    with bind("127.0.0.1", 0) as listening, pytest.raises(SystemExit) as ended:
        supervise(options(template), listening)
    assert ended.value.code == 2


def test_supervising_ends_well_otherwise(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev.Reloader, "run", lambda self: None)
    with bind("127.0.0.1", 0) as listening:
        supervise(options(template), listening)
