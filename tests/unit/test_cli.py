"""The command line, from its arguments to its exit status."""

import builtins
import json
import runpy
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from gatesocket import __main__, cli
from gatesocket.emulator import dev
from gatesocket.emulator.dev import Options, bind
from gatesocket.emulator.quirks import Quirks

APP = """
from fastapi import FastAPI, WebSocket

app = FastAPI()

@app.get("/")
def page() -> str:
    return "hi"

@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())

@app.websocket("/lock")
async def {name}(websocket: WebSocket) -> None:
    await websocket.accept()
    {body}
"""
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
{metadata}
Parameters: {{Stage: {{Type: String, Default: prod}}}}
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties: {{CodeUri: ., Handler: main.handler, Runtime: python3.13}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with an app and a template, in which the command is run."""
    source = APP.format(name="wait", body="await websocket.receive_text()")
    (tmp_path / "cli_app.py").write_text(source, encoding="utf-8")
    metadata = "Metadata: {Gatesocket: {App: 'cli_app:app'}}"
    (tmp_path / "template.yaml").write_text(TEMPLATE.format(metadata=metadata), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("cli_app", None)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        """Run one command; return its exit status and what it printed to its two outputs."""
        # Typer ends every command by itself, also one that went well.
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


class Started:
    """What would have been run."""

    def __init__(self) -> None:
        self.options: Options
        self.reload: bool

    def run(self, options: Options, sockets: list[socket.socket]) -> None:
        self.options, self.reload = options, False

    def supervise(self, options: Options, listening: socket.socket) -> None:
        self.options, self.reload = options, True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    started = Started()
    monkeypatch.setattr(dev, "run", started.run)
    monkeypatch.setattr(dev, "supervise", started.supervise)
    return started


def test_dev_runs_the_template_here_with_edge_and_reload(run: Run, started: Started) -> None:
    assert run("dev", "--port", "0") == (0, "", "")
    assert started.options == Options(Path("template.yaml"), {}, "us-east-1", runtimes=None, with_edge=True)
    assert started.reload


def test_dev_takes_what_it_is_told(run: Run, started: Started) -> None:
    arguments = (
        "--template t.yaml --port 0 --runtimes 3 --no-reload --region eu-west-1 --parameter A=b=c --parameter D="
    )
    assert run("dev", *arguments.split()) == (0, "", "")
    assert started.options == Options(Path("t.yaml"), {"A": "b=c", "D": ""}, "eu-west-1", runtimes=3, with_edge=True)
    assert not started.reload


def test_emulate_runs_any_template_without_an_edge(run: Run, started: Started) -> None:
    assert run("emulate", "other.yaml", "--port", "0") == (0, "", "")
    assert started.options == Options(Path("other.yaml"), {}, "us-east-1", runtimes=None, with_edge=False)


def test_functions_run_at_the_endpoints_that_are_named(run: Run, started: Started) -> None:
    arguments = "--port 0 --endpoint http://127.0.0.1:3001 --endpoint Chat=http://127.0.0.1:9000/a/invocations"
    assert run("emulate", "other.yaml", *arguments.split()) == (0, "", "")
    assert started.options.endpoints == {
        "*": "http://127.0.0.1:3001",
        "Chat": "http://127.0.0.1:9000/a/invocations",
    }


def test_trouble_has_a_seed(run: Run, started: Started) -> None:
    assert run("dev", "--port", "0", "--chaos", "--seed", "7")[0] == 0
    assert started.options.chaos == 7
    assert run("dev", "--port", "0", "--chaos")[0] == 0
    assert started.options.chaos is not None
    assert run("dev", "--port", "0")[0] == 0
    assert started.options.chaos is None


def test_a_seed_without_trouble_is_refused(run: Run) -> None:
    assert run("dev", "--seed", "7") == (2, "", "gatesocket: --seed is for --chaos; give both, or neither\n")


def test_quirks_of_api_gateway_are_settled(run: Run, started: Started) -> None:
    assert run("dev", "--quirk", "ping_keeps_alive=true", "--quirk", "lifetime_code=1000")[0] == 0
    assert started.options.quirks == Quirks(ping_keeps_alive=True, lifetime_code=1000)
    assert run("emulate", "t.yaml", "--quirk", "x") == (2, "", "gatesocket: a quirk is given as NAME=VALUE; got 'x'\n")


def test_a_parameter_without_a_value_is_refused(run: Run) -> None:
    assert run("dev", "--parameter", "A") == (2, "", "gatesocket: a parameter is given as NAME=VALUE; got 'A'\n")


def test_a_port_in_use_is_one_line(run: Run) -> None:
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        status, _, error = run("dev", "--port", str(port))
    assert status == 2
    assert error.startswith(f"gatesocket: can't listen on port {port} of 127.0.0.1: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("reload", ["--reload", "--no-reload"])
def test_a_missing_template_is_one_line(run: Run, tmp_path: Path, reload: str) -> None:
    status, out, error = run("emulate", str(tmp_path / "none.yaml"), "--port", "0", reload)
    assert (status, out) == (2, "")
    assert error == (
        f"gatesocket: {tmp_path}/none.yaml: the template can't be read: [Errno 2] No such file or directory: "
        f"'{tmp_path}/none.yaml'. Name another\n"
    )


def test_a_missing_extra_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_typer(name: str, *rest: Any) -> Any:
        if name == "typer":
            raise ModuleNotFoundError("No module named 'typer'", name="typer")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "gatesocket.commands", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_typer)
    assert run("dev") == (
        2,
        "",
        "gatesocket: typer isn't installed, which this command needs: pip install 'gatesocket[local]'\n",
    )


@pytest.mark.parametrize("name", ["gatesocket.nowhere", None])
def test_a_module_of_our_own_that_is_missing_is_a_defect(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    def broken(arguments: object) -> None:
        raise ModuleNotFoundError("No module", name=name)

    monkeypatch.setattr("gatesocket.commands.application", broken)
    with pytest.raises(ModuleNotFoundError):
        cli.main([])


def serve_once(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> None:
    """Make uvicorn's server end after one request to its first socket."""
    real = uvicorn.Server.run

    def run(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        assert sockets
        port = sockets[0].getsockname()[1]

        def ask() -> None:
            answers.append(httpx2.get(f"http://127.0.0.1:{port}/", timeout=30).text)
            self.should_exit = True

        client = threading.Thread(target=ask)
        client.start()
        real(self, sockets)
        client.join()

    monkeypatch.setattr(uvicorn.Server, "run", run)


@pytest.mark.parametrize("named", [[], ["--app", "cli_app:app"], ["--app", "cli_app:app", "--app-dir", "."]])
def test_the_plain_life_is_the_same_app_under_uvicorn(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, named: list[str]
) -> None:
    answers: list[str] = []
    serve_once(monkeypatch, answers)
    status, out, _ = run("dev", "--mode", "uvicorn", "--port", "0", "--no-reload", *named)
    assert (status, answers) == (0, ['"hi"'])
    assert "cli_app:app runs under uvicorn at http://127.0.0.1:" in out


def test_the_plain_life_reloads_too(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[Any] = []

    class Reload:
        def __init__(self, config: uvicorn.Config, target: Any, sockets: list[socket.socket]) -> None:
            watched.extend(config.reload_dirs)

        def run(self) -> None: ...

    monkeypatch.setattr("uvicorn.supervisors.ChangeReload", Reload)
    status, _, _ = run("dev", "--mode", "uvicorn", "--port", "0")
    assert (status, watched) == (0, [project])


def test_a_template_that_names_no_app_says_how(run: Run, project: Path) -> None:
    (project / "template.yaml").write_text(TEMPLATE.format(metadata=""), encoding="utf-8")
    status, out, error = run("dev", "--mode", "uvicorn")
    assert (status, out) == (2, "")
    assert error == (
        "gatesocket: template.yaml doesn't say which app to run: add Metadata: Gatesocket: App: module:app, "
        "or give --app\n"
    )


def test_check_reports_an_app_that_survives(run: Run, project: Path) -> None:
    status, out, error = run("check", "cli_app:app")
    assert (status, error) == (0, "")
    assert "/ws" in out


def test_check_reports_as_json(run: Run, project: Path) -> None:
    status, out, _ = run("check", "cli_app:app", "--json")
    assert status == 0
    assert json.loads(out)["findings"] == []


def test_check_ends_with_1_for_findings(run: Run, project: Path) -> None:
    body = (
        "import asyncio\n    task = asyncio.create_task(websocket.receive_text())\n    await websocket.receive_text()"
    )
    source = APP.format(name="wait", body=body)
    (project / "elsewhere").mkdir()
    (project / "elsewhere" / "cli_app.py").write_text(source, encoding="utf-8")
    status, out, _ = run("check", "cli_app:app", "--app-dir", "elsewhere")
    assert status == 1
    assert "elsewhere/cli_app.py:" in out


def test_compile_says_what_it_has_kept(run: Run, project: Path) -> None:
    status, out, error = run("compile", "cli_app:app")
    [kept] = project.rglob("*.gatesocket")
    assert (status, out, error) == (0, f"{kept}: 2 functions\n", "")


def test_compile_says_that_there_was_nothing_to_keep(run: Run, project: Path) -> None:
    (project / "elsewhere").mkdir()
    (project / "elsewhere" / "cli_app.py").write_text("from fastapi import FastAPI\n\napp = FastAPI()\n")
    status, out, _ = run("compile", "cli_app:app", "--app-dir", "elsewhere")
    assert (status, out) == (0, "nothing to keep: none of the functions in elsewhere waits for a client\n")
    assert list(project.rglob("*.gatesocket")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cli_app"], "an app is named module:attribute, as in chat.app:app; got 'cli_app'"),
        ([":app"], "an app is named module:attribute, as in chat.app:app; got ':app'"),
        (["cli_app:app", "--app-dir", "none"], "there is no directory none; correct --app-dir"),
        (["nowhere:app"], "nowhere can't be imported from "),
        (["cli_app:page"], None),
        (["cli_app:other.thing"], "cli_app:other.thing: the module cli_app has no callable 'other.thing'"),
    ],
)
def test_an_app_that_cannot_be_had_is_one_line(
    run: Run, project: Path, arguments: list[str], message: str | None
) -> None:
    status, out, error = run("check", *arguments)
    assert (status, out) == (2, "")
    assert len(error.splitlines()) == 1
    assert message is None or error.startswith(f"gatesocket: {message}")


def test_an_unknown_option_is_a_usage_error(run: Run) -> None:
    status, _, error = run("dev", "--nonsense")
    assert status == 2
    assert "No such option" in error


def test_without_a_command_the_help_is_printed(run: Run) -> None:
    _, out, error = run()
    for command in ("dev", "emulate", "check"):
        assert command in out + error


def test_python_m_gatesocket_is_the_same_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gatesocket", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(__main__.__file__, run_name="__main__")
    assert ended.value.code == 0
    assert "emulate" in capsys.readouterr().out


def test_event_prints_the_events_of_one_connection(run: Run) -> None:
    printed = [
        run("event", "connect", "/ws/lobby?name=ann", "--header", "Cookie: a=b", "--stage", "dev"),
        run("event", "message", "hello"),
        run("event", "disconnect", "--code", "1001", "--reason", "bye"),
    ]
    assert [(status, error) for status, _, error in printed] == [(0, "")] * 3
    connect, message, disconnect = (json.loads(out) for _, out, _ in printed)
    assert connect["queryStringParameters"] == {"__path": "/ws/lobby", "name": "ann"}
    assert connect["requestContext"]["stage"] == "dev"
    assert connect["headers"]["Cookie"] == "a=b"
    assert message["body"] == "hello"
    assert message["requestContext"]["routeKey"] == "$default"
    assert disconnect["requestContext"]["disconnectStatusCode"] == 1001
    assert len({event["requestContext"]["connectionId"] for event in (connect, message, disconnect)}) == 1


def test_event_takes_a_query_without_a_path_as_it_is(run: Run) -> None:
    _, out, _ = run("event", "connect", "?name=ann")
    assert json.loads(out)["queryStringParameters"] == {"name": "ann"}


def test_a_header_without_a_value_is_refused(run: Run) -> None:
    status, out, error = run("event", "connect", "--header", "Cookie")
    assert (status, out, error) == (2, "", "gatesocket: a header is given as NAME:VALUE; got 'Cookie'\n")
