"""The load script, against the emulator."""

import re
import socket
from pathlib import Path
from types import ModuleType

import pytest

from support.checks import run_check
from support.servers import Server

# Each starts a stack of its own.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TIMES = r"half within \d+\.\d ms, 99 % within \d+\.\d ms, all within \d+\.\d ms"


def stage(server: Server) -> str:
    return f"{server.url.replace('http', 'ws', 1)}/prod"


async def test_every_message_is_answered_and_counted(emulator: Server) -> None:
    url = ("--websocket-url", stage(emulator))
    ended = await run_check("load.py", *url, "--connections", "6", "--messages", "4", "--pause", "0")
    assert (ended.status, ended.errors) == (0, "")
    handshakes, answers, rate = ended.lines
    assert re.fullmatch(f"handshakes: 6 ok, none failed; {TIMES}", handshakes)
    assert re.fullmatch(f"answers: 24 ok, none failed; {TIMES}", answers)
    assert re.fullmatch(r"\d+\.\d answers a second, over \d+\.\d s", rate)


async def test_what_fails_is_counted_by_its_error() -> None:
    with socket.socket() as closed:  # bound, but not listening
        closed.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{closed.getsockname()[1]}/prod"
        ended = await run_check("load.py", "--websocket-url", url, "--connections", "3")
    assert ended.status == 1
    assert ended.lines[:2] == ["handshakes: 0 ok, 3 ConnectionRefusedError failed", "answers: 0 ok, none failed"]


async def test_a_wrong_answer_fails_with_all_that_would_have_followed_it(
    emulator: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script(monkeypatch)
    target = script.Target(stage(emulator), "")
    monkeypatch.setattr(script.Target, "route", lambda self, path: f"{self.websocket_url}?__path=/ws/json")
    load = script.Load(target, connections=1, messages=5, pause=0)
    await load.run()
    assert load.answers.failures == {"Unexpected": 5}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "expected either --stack or --websocket-url"),
        (("--websocket-url", "ws://a/prod", "--messages", "0"), "expected at least one connection and one message"),
        (("--websocket-url", "ws://a/prod", "--pause", "-1"), "a pause of no less than 0 s"),
    ],
)
async def test_what_was_asked_for_wrongly_is_said(arguments: tuple[str, ...], says: str) -> None:
    ended = await run_check("load.py", *arguments)
    assert ended.status == 2
    assert says in ended.errors.splitlines()[-1]


@pytest.mark.parametrize(("share", "value"), [(50, 2), (75, 3), (99, 4), (100, 4)])
def test_a_percentile_is_a_value_that_was_measured(monkeypatch: pytest.MonkeyPatch, share: int, value: int) -> None:
    assert load_script(monkeypatch).percentile([4, 3, 2, 1], share) == value


def load_script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "infra/checks")
    import load

    return load
