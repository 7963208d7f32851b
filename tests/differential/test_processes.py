"""Every message in a process of its own, with and without ``-O``, under a tracer: the same as one long life."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import process
from support.lives import load, long_lived, messages

ENDPOINTS = Path(__file__).parent / "endpoints"
PREFIXES = {
    "plain": [],
    "optimised": ["-O"],
    "without-positions": ["-X", "no_debug_ranges"],
    "covered": ["-m", "coverage", "run", "--data-file", os.devnull, "--source", str(ENDPOINTS)],
}


def in_a_process(options: list[str], task: dict[str, Any]) -> dict[str, Any]:
    """Run `support.process` for one message."""
    found = subprocess.run(
        [sys.executable, "-W", "error", *options, process.__file__],
        input=json.dumps(task),
        capture_output=True,
        check=False,
        text=True,
        timeout=50,
        env=os.environ | {"PYTHONPATH": str(Path(process.__file__).parents[1])},
    )
    assert found.returncode == 0, found.stderr
    result: dict[str, Any] = json.loads(found.stdout)
    return result


@pytest.mark.parametrize(
    ("options", "case"),
    [
        ("plain", "dependencies-saved"),
        pytest.param("plain", "helpers-nested_function_with_its_own_loop", marks=pytest.mark.slow),
        pytest.param("plain", "apps-middleware_around_a_route", marks=pytest.mark.slow),
        pytest.param("optimised", "failures-nested_tries", marks=pytest.mark.slow),
        pytest.param("without-positions", "helpers-recursive_helper", marks=pytest.mark.slow),
        pytest.param("covered", "failures-receive_in_a_handler_then_raise", marks=pytest.mark.slow),
    ],
)
async def test_a_process_for_each_message_is_the_same_as_one_life(options: str, case: str) -> None:
    stem, _, name = case.partition("-")
    path = ENDPOINTS / f"{stem}.py"
    module = load(path, only=name)
    frames = module.endpoint.frames[name]
    expected = await long_lived(module, module.endpoint.paths[name], frames)

    transcript: list[Any] = []
    snapshot = None
    for number in range(len(messages(frames))):
        task = {"path": str(path), "name": name, "number": number, "snapshot": snapshot}
        result = in_a_process(PREFIXES[options], task)
        transcript += result["transcript"]
        snapshot = result["snapshot"]
        if snapshot is None:
            break
    assert transcript == json.loads(json.dumps(expected))
