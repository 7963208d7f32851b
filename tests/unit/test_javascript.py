"""The tests of what browsers run, under node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gatesocket.client import DIRECTORY

TESTS = sorted((Path(__file__).parents[1] / "javascript").glob("*.test.js"))
SECONDS = 60


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name.removesuffix(".test.js"))
def test_javascript(path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node isn't installed to run what browsers run")
    done = subprocess.run([node, "--test", path], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n# pass 0\n" not in done.stdout


def test_there_are_tests_of_the_client_and_of_the_pages() -> None:
    assert [path.name for path in TESTS] == ["asyncapi.test.js", "chat.test.js", "connection.test.js"]


def test_the_client_comes_with_its_types() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == {"connection.d.ts", "connection.js"}


def test_the_client_imports_nothing() -> None:
    assert "import" not in (DIRECTORY / "connection.js").read_text(encoding="utf-8")
