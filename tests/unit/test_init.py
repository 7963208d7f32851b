"""``gatesocket init``: what it writes for which project, what it says, and what it refuses."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatesocket import cli, jobs

ECHO = """
from fastapi import FastAPI, WebSocket

app = FastAPI()

@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())
"""
CHAT = """
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from gatesocket import ConnectionManager
from shop.work import render

app = FastAPI()
manager = ConnectionManager()

@app.get("/")
def page() -> str:
    return "hi"

@app.websocket("/ws/{room}")
async def chat(websocket: WebSocket, room: str, name: str) -> None:
    await manager.connect(websocket, groups=[room], user=name)
    await render.enqueue(1)
    while True:
        await manager.broadcast(await websocket.receive_text(), group=room)

@app.websocket("/token")
async def guarded(websocket: WebSocket, token: str = "") -> None:
    if token != "secret":
        await websocket.close(1008)
        return
    await websocket.accept()
    await websocket.receive_text()

@app.websocket("/broken")
async def broken(websocket: WebSocket) -> None:
    raise ValueError("never worked")
"""
WORK = """
import yaml
from gatesocket.jobs import job

@job
def render(page: int) -> int:
    return page
"""
CANNOT = """
import asyncio
from fastapi import FastAPI, WebSocket

app = FastAPI()

@app.websocket("/ws")
async def late(websocket: WebSocket) -> None:
    await websocket.accept()
    task = asyncio.create_task(websocket.receive_text())
    await websocket.receive_text()
    await task
"""
HTTP_ONLY = "from fastapi import FastAPI\n\napp = FastAPI()\n"
FAILS_TO_START = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def database(app):
    raise OSError("no database")
    yield
""" + ECHO.replace("FastAPI()", "FastAPI(lifespan=database)")
NEXT = """\
Next:
  gatesocket dev                    # run the app on an emulated API Gateway
  python -m pytest                  # test its routes as the cloud serves them
  sam build && sam deploy --guided  # deploy it
"""

Make = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a project of files, in whose directory commands are run."""
    here = tmp_path / "my project"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(jobs, "_jobs", {})
    before = set(sys.modules)

    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_text(text, encoding="utf-8")
        return here

    yield make
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or str(tmp_path)):
            del sys.modules[name]


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def init(capsys: pytest.CaptureFixture[str]) -> Run:
    def init(*arguments: str) -> tuple[int, str, str]:
        """Run the command; return its exit status and what it printed to its two outputs."""
        with pytest.raises(SystemExit) as ended:
            cli.main(["init", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return init


def files_in(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text(encoding="utf-8")
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


# What is written


def test_an_app_in_one_file_gets_what_lies_beside_it(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO})
    status, out, error = init("main:app")
    assert (status, error) == (0, "")
    written = ["entry.py", "requirements.txt", "template.yaml", "samconfig.toml"]
    written += ["tests/test_my_project_websockets.py", "pytest.ini"]
    assert out == "Written:\n" + "".join(f"  {name}\n" for name in written) + "\n" + NEXT
    assert files_in(here).keys() == {"main.py", *written}


def test_entry_points_lie_in_the_package_of_the_app_and_requirements_at_its_root(project: Make, init: Run) -> None:
    here = project({"src/shop/__init__.py": "", "src/shop/work.py": WORK, "src/shop/api/chat.py": CHAT})
    assert init("shop.api.chat:app", "--app-dir", "src")[0] == 0
    files = files_in(here)
    assert {"src/shop/api/entry.py", "src/shop/api/fanout.py", "src/requirements.txt"} <= files.keys()
    assert "from shop.api.chat import app\n" in files["src/shop/api/entry.py"]
    assert "    CodeUri: src/\n" in files["template.yaml"]
    assert "      Handler: shop.api.entry.websocket\n" in files["template.yaml"]
    assert "      Handler: shop.api.fanout.handler\n" in files["template.yaml"]
    assert files["pytest.ini"] == "[pytest]\npythonpath = src\ntestpaths = tests\n"
    assert tomllib.loads(files["samconfig.toml"])["default"]["global"]["parameters"] == {"stack_name": "shop"}


def test_a_package_that_is_the_module_of_the_app_holds_its_entry_points(project: Make, init: Run) -> None:
    here = project({"shop/__init__.py": ECHO})
    assert init("shop:app")[0] == 0
    assert "from shop import app\n" in (here / "shop/entry.py").read_text(encoding="utf-8")


def test_the_stack_has_what_the_app_uses(project: Make, init: Run) -> None:
    here = project({"shop/__init__.py": "", "shop/work.py": WORK, "shop/main.py": CHAT})
    assert init("shop.main:app")[0] == 0
    files = files_in(here)
    for name in ("HttpFunction", "JobsFunction", "FanoutFunction", "GATESOCKET_JOBS_QUEUE", "GATESOCKET_FANOUT_QUEUE"):
        assert f"{name}:" in files["template.yaml"]
    for line in ("websocket = WebSocketHandler(app)", "http = Mangum(app)", "jobs = JobsHandler()"):
        assert line in files["shop/entry.py"]
    version = importlib.metadata.version("gatesocket")
    lines = [line for line in files["requirements.txt"].splitlines() if not line.startswith("#")]
    assert lines == [f"gatesocket>={version}", "fastapi>=0.115", "mangum>=0.19", "pyyaml"]


def test_the_stack_has_nothing_that_the_app_does_not_use(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO})
    assert init("main:app")[0] == 0
    files = files_in(here)
    for name in ("Http", "Jobs", "JOBS", "Fan", "FANOUT"):
        assert name not in files["template.yaml"]
    assert not re.search("mangum|jobs", files["entry.py"], re.IGNORECASE)
    assert "mangum" not in files["requirements.txt"]


def test_a_part_that_will_be_used_can_be_asked_for(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO})
    assert init("main:app", "--with", "jobs", "--with", "http", "--with", "broadcasts")[0] == 0
    files = files_in(here)
    for name in ("HttpFunction", "JobsFunction", "FanoutFunction"):
        assert f"  {name}:\n" in files["template.yaml"]
    assert "fanout.py" in files


def test_the_requirements_floors_are_those_of_the_library(project: Make, init: Run) -> None:
    here = project({"shop/__init__.py": "", "shop/work.py": WORK, "shop/main.py": CHAT})
    assert init("shop.main:app")[0] == 0
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    aws = pyproject["project"]["optional-dependencies"]["aws"]
    asked = (here / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in asked if line.startswith(("fastapi", "mangum"))} <= set(aws)


def test_a_stack_is_called_by_its_name(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO})
    assert init("main:app", "--name", "Chat-2")[0] == 0
    assert 'stack_name = "Chat-2"' in (here / "samconfig.toml").read_text(encoding="utf-8")
    assert (here / "tests/test_chat_2_websockets.py").exists()


@pytest.mark.parametrize(
    ("spec", "imported", "made"),
    [
        ("main:server.app", "from main import server\n", "WebSocketHandler(server.app)"),
        ("main:http", "from main import http as asgi_app\n", "WebSocketHandler(asgi_app)"),
    ],
)
def test_an_app_is_imported_by_the_name_that_it_has(
    project: Make, init: Run, spec: str, imported: str, made: str
) -> None:
    source = ECHO + "\n\nclass server:\n    pass\n\n\nserver.app = http = app\n"
    here = project({"main.py": source})
    assert init(spec)[0] == 0
    entry = (here / "entry.py").read_text(encoding="utf-8")
    assert imported in entry
    assert made in entry


def test_another_directory_is_told_in_the_next_commands(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO})
    status, out, _ = init("main:app", "--directory", "deploy/chat")
    assert status == 0
    assert "\nNext, in deploy/chat:\n  gatesocket dev " in out
    assert "    CodeUri: ../../\n" in (here / "deploy/chat/template.yaml").read_text(encoding="utf-8")
    assert (here / "requirements.txt").exists()


# The first test


def test_the_test_runs_at_once_and_fails_for_a_route_that_is_broken(project: Make, init: Run) -> None:
    here = project({"shop/__init__.py": "", "shop/work.py": WORK, "shop/main.py": CHAT})
    status, out, _ = init("shop.main:app")
    assert status == 0
    assert f"note: /broken failed when it was opened, and so will its test: {here}/shop/main.py:30: ValueError: " in out
    assert "note: /token answers 403 to whoever only knows the address. " in out
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "FAILED tests/test_shop_websockets.py::test_a_client_comes_and_leaves[/broken]" in ran.stdout
    assert "1 failed, 3 passed" in ran.stdout


def test_addresses_that_cannot_be_made_up_are_named(project: Make, init: Run) -> None:
    source = ECHO.replace("import FastAPI", "import FastAPI, Header").replace(
        "(websocket: WebSocket)", "(websocket: WebSocket, token: str = Header())"
    )
    here = project({"main.py": source})
    status, out, _ = init("main:app")
    assert status == 0
    assert "note: /ws was not tried, as its address can't be made up. Add it to the test\n" in out
    test = (here / "tests/test_my_project_websockets.py").read_text(encoding="utf-8")
    assert "\n# Not tried, because their addresses can't be made up:\n# /ws\n" in test
    assert "Example:" not in (here / "template.yaml").read_text(encoding="utf-8")


def test_untried_routes_are_expected_to_open(project: Make, init: Run) -> None:
    here = project({"main.py": FAILS_TO_START})
    assert init("main:app", "--no-try")[0] == 0
    assert '    "/ws",\n' in (here / "tests/test_my_project_websockets.py").read_text(encoding="utf-8")


# What is there already


def test_what_is_in_the_way_is_named_and_nothing_is_written(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO, "entry.py": "mine", "template.yaml": "mine"})
    before = files_in(here)
    assert init("main:app") == (
        2,
        "",
        "gatesocket: there is something in the way: entry.py, template.yaml. Move it, or have it replaced: --force\n",
    )
    assert files_in(here) == before


def test_what_is_in_the_way_is_replaced_if_asked_for(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO, "entry.py": "mine"})
    assert init("main:app", "--force")[0] == 0
    assert "WebSocketHandler(app)" in (here / "entry.py").read_text(encoding="utf-8")


def test_what_cannot_be_read_is_in_the_way(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO})
    (here / "template.yaml").write_bytes(b"\xff")
    assert "in the way: template.yaml." in init("main:app")[2]


def test_the_same_again_is_in_nobodys_way(project: Make, init: Run) -> None:
    here = project({"main.py": ECHO})
    assert init("main:app")[0] == 0
    before = files_in(here)
    assert init("main:app")[0] == 0
    assert files_in(here) == before


def test_requirements_of_the_project_stay_and_what_they_lack_is_said(project: Make, init: Run) -> None:
    mine = "-r base.txt\nFastAPI==0.120\n\nhttpx # and so on\n"
    here = project({"main.py": ECHO, "requirements.txt": mine})
    status, out, _ = init("main:app", "--force")
    assert status == 0
    version = importlib.metadata.version("gatesocket")
    assert f"\nnote: requirements.txt is yours and stays. Add to it: gatesocket>={version}\n" in out
    assert (here / "requirements.txt").read_text(encoding="utf-8") == mine


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\n"),
        (".pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
        ("tox.ini", "[pytest]\n"),
        ("setup.cfg", "[tool:pytest]\n"),
    ],
)
def test_a_configuration_of_pytest_stays_and_the_command_says_what_it_may_lack(
    project: Make, init: Run, name: str, text: str
) -> None:
    here = project({"src/main.py": ECHO, name: text})
    status, out, _ = init("main:app", "--app-dir", "src")
    assert status == 0
    assert "\n  python -m pytest -o pythonpath=src tests/test_my_project_websockets.py  # test its routes" in out
    assert {path: text for path, text in files_in(here).items() if path.endswith((".ini", ".toml", ".cfg"))} == {
        name: text,
        "samconfig.toml": files_in(here)["samconfig.toml"],
    }


@pytest.mark.parametrize(("name", "text"), [("pyproject.toml", "[tool.ruff]\n"), ("setup.cfg", "[metadata]\n")])
def test_other_tools_configurations_say_nothing_of_pytest(project: Make, init: Run, name: str, text: str) -> None:
    here = project({"main.py": ECHO, name: text})
    assert init("main:app")[0] == 0
    assert (here / "pytest.ini").exists()


# What is refused


def test_a_route_that_cannot_hibernate_is_named_and_nothing_is_written(project: Make, init: Run) -> None:
    here = project({"main.py": CANNOT})
    status, out, error = init("main:app")
    assert (status, error) == (1, "nothing was written: what can't hibernate can't run on Lambda\n")
    assert out.startswith(f"{here}/main.py:10: late can't hibernate: ")
    assert files_in(here).keys() == {"main.py"}


def test_what_may_not_hibernate_is_noted(project: Make, init: Run) -> None:
    source = (
        ECHO + "\n\nsockets: list[WebSocket] = []\n\n@app.websocket('/kept')\nasync def kept(websocket: WebSocket):\n"
    )
    source += "    await websocket.accept()\n    sockets.append(websocket)\n    await websocket.receive_text()\n"
    here = project({"main.py": source})
    status, out, _ = init("main:app")
    assert status == 0
    assert f"\nnote: {here}/main.py:" in out


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, ["main"], "an app is named module:attribute, as in chat.app:app; got 'main'"),
        (
            {},
            ["nowhere:app"],
            (
                "nowhere can't be imported from {here}: ModuleNotFoundError: No module named 'nowhere'. "
                "If it is elsewhere, say where: --app-dir"
            ),
        ),
        (
            {"main.py": "import nowhere_to_be_found"},
            ["main:app"],
            (
                "main can't be imported from {here}: {here}/main.py:1: ModuleNotFoundError: No module named "
                "'nowhere_to_be_found'. Mend that first"
            ),
        ),
        (
            {"main.py": "\nraise SystemExit('run me by uvicorn')"},
            ["main:app"],
            "main can't be imported from {here}: {here}/main.py:2: SystemExit: run me by uvicorn. Mend that first",
        ),
        ({"main.py": "app = print"}, ["main:app"], "<built-in function print> is not an ASGI app: "),
        ({"main.py": "app = 1"}, ["main:app"], "main:app: the module main has no callable 'app'"),
        (
            {"main.py": HTTP_ONLY},
            ["main:app"],
            "main:app has no WebSocket routes, which is what Gatesocket is for. Name another app",
        ),
        (
            {"main.py": ECHO},
            ["main:app", "--name", "7 dwarfs"],
            "a stack can't be called '7 dwarfs': letters, digits and hyphens, and a letter first. Name it: --name",
        ),
        (
            {"main.py": ECHO, "tests": "a file"},
            ["main:app"],
            "{here}/tests can't be written: File exists. Choose another place: --directory",
        ),
        (
            {"main.py": ECHO, "pyproject.toml": "[tool"},
            ["main:app"],
            "the project's configuration in . can't be read: Expected ']' at the end of a table declaration",
        ),
        (
            {"main.py": ECHO, "setup.cfg": "tool:pytest"},
            ["main:app"],
            "the project's configuration in . can't be read: File contains no section headers.",
        ),
        (
            {"main.py": FAILS_TO_START},
            ["main:app"],
            (
                "the app can't be started to try its routes: {here}/main.py:6: OSError: no database. "
                "Start what it needs, or write the test untried: --no-try"
            ),
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(
    project: Make, init: Run, files: dict[str, str], arguments: list[str], message: str
) -> None:
    here = project(files)
    status, out, error = init(*arguments)
    assert (status, out) == (2, "")
    assert error.startswith(f"gatesocket: {message.format(here=here)}")
    assert len(error.splitlines()) == 1
    assert files_in(here) == files


def test_an_app_among_what_is_installed_is_no_project(project: Make, init: Run) -> None:
    here = project({"site-packages/main.py": ECHO})
    status, _, error = init("main:app", "--app-dir", "site-packages")
    assert status == 2
    assert error == (
        f"gatesocket: main was found in {here}/site-packages/main.py, among what is installed. Say where the project's "
        "own is: --app-dir\n"
    )


def test_without_the_tools_of_tests_routes_cannot_be_tried(
    project: Make, init: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project({"main.py": ECHO})
    monkeypatch.setitem(sys.modules, "gatesocket.testing", None)
    assert init("main:app") == (
        2,
        "",
        (
            "gatesocket: the routes can't be tried, as what tests need isn't installed: "
            "pip install 'gatesocket[testing]'. To write the test untried: --no-try\n"
        ),
    )


def test_a_file_that_cannot_be_written_leaves_none(project: Make, init: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    here = project({"main.py": ECHO})
    real = Path.write_text

    def full(self: Path, *rest: Any, **others: Any) -> int:
        if self.name == ".samconfig.toml.new":
            raise OSError(28, "No space left on device", str(self))
        return real(self, *rest, **others)

    monkeypatch.setattr(Path, "write_text", full)
    status, _, error = init("main:app")
    assert status == 2
    assert error == (
        f"gatesocket: {here}/.samconfig.toml.new can't be written: No space left on device. "
        "Choose another place: --directory\n"
    )
    assert files_in(here).keys() == {"main.py"}
