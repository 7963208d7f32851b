"""The questions that only a real account answers, asked of the emulator, whose answers are known."""

import json
import socket
from pathlib import Path
from types import ModuleType

import pytest

from support.checks import CREDENTIALS, run_check
from support.servers import Server

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "infra/checks")
    import settle_facts

    return settle_facts


def stage(server: Server) -> str:
    return f"{server.url.replace('http', 'ws', 1)}/prod"


@pytest.mark.slow
async def test_every_quick_question_is_answered_and_written_down(emulator: Server, tmp_path: Path) -> None:
    output = tmp_path / "facts.json"
    ended = await run_check(
        "settle_facts.py", "--websocket-url", stage(emulator), "--output", str(output), **CREDENTIALS
    )
    assert (ended.status, ended.errors) == (0, "")
    written = json.loads(output.read_text(encoding="utf-8"))
    assert written["at"].endswith("+00:00")
    facts = [(fact["letter"], fact["answer"], fact["why_not"]) for fact in written["facts"]]
    order, *others = facts
    assert order[0] == "a"
    assert order[1].startswith("of 200 messages sent at once ")
    assert others == [
        ("b", "a text message of 5 characters", None),
        ("b", "the post is answered 400", None),
        ("b", "a text message of 40000 characters", None),
        ("c", None, "only with --idle"),
        ("d", None, "only with --life"),
        ("e", "403 with the body ''", None),
        *((letter, None, "only with --probe") for letter in "eefghi"),
        ("j", "not accepted", None),
        ("k", "closed with 1009 ''", None),
        ("k", "closed with 1003 ''", None),
        *[("k", None, "only with --probe")] * 3,
        ("l", "refused with 403", None),
    ]
    assert len(ended.lines) == len(facts) + 1
    assert ended.lines[-1] == f"written to {output}"


async def test_how_a_long_connection_ends_is_told(
    emulator: Server, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hours cut short: nothing ends the connection in that time, which is an answer too."""
    for name in ("IDLE", "LIFE", "KEPT_BUSY_EVERY"):
        monkeypatch.setattr(script, name, 0.05)
    target = script.Target(stage(emulator), "")
    assert (await script.pinged(target)).startswith("pings alone kept it open for ")
    assert (await script.whole_life(target)).startswith("still open after ")


async def test_what_cannot_be_asked_is_said_and_fails_if_it_is_everything(tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound, but not listening
        closed.bind(("127.0.0.1", 0))
        nowhere = f"ws://127.0.0.1:{closed.getsockname()[1]}/prod"
        ended = await run_check("settle_facts.py", "--websocket-url", nowhere, "--output", str(tmp_path / "facts.json"))
    assert ended.status == 1
    assert "(b) What does a client receive of a posted text? Not settled: there are no AWS credentials" in "\n".join(
        ended.lines
    )
    assert any("Not settled: ConnectionRefusedError" in line for line in ended.lines)


@pytest.mark.parametrize("arguments", [(), ("--stack", "chat", "--websocket-url", "wss://a/prod")])
async def test_it_wants_one_target(arguments: tuple[str, ...]) -> None:
    ended = await run_check("settle_facts.py", *arguments)
    assert ended.status == 2
    assert ended.errors.splitlines()[-1] == "settle_facts.py: error: expected either --stack or --websocket-url"
