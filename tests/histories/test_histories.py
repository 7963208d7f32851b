"""What a release has stored, every later release wakes: the snapshots in ``*.json`` were recorded by `record`."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gatesocket.hibernation import prepare, run
from support.lives import load, long_lived, messages, scope, send, transcript

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
CASES = [
    pytest.param(file.with_suffix(".py"), name, number, history, id=f"{file.stem}-{name}-{number}")
    for file in sorted(Path(__file__).parent.glob("release_*.json"))
    for name, histories in json.loads(file.read_text("utf-8")).get(PYTHON, {}).items()
    for number, history in enumerate(histories)
]


def test_there_are_histories_for_this_python() -> None:
    assert CASES, f"run tests/histories/record.py under Python {PYTHON}"


@pytest.mark.parametrize(("path", "name", "number", "history"), CASES)
async def test_a_recorded_snapshot_wakes(path: Path, name: str, number: int, history: dict[str, Any]) -> None:
    module = load(path, only=name)
    frames, url = module.endpoint.frames[name], module.endpoint.paths[name]
    expected = await long_lived(module, url, frames)

    blueprint = prepare(module.app)
    transcript.clear()
    waiting = messages(frames)[number + 1 :]
    snapshot = base64.b64decode(history["snapshot"])
    try:
        await run(
            module.app,
            scope(url),
            lambda: waiting.pop(0) if waiting else None,
            send,
            blueprint=blueprint,
            snapshot=snapshot,
        )
    except Exception as error:
        transcript.append(("error", type(error).__name__))
    assert [event[:2] for event in transcript] == [event[:2] for event in expected[history["after"] :]]
