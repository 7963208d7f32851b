"""What pages show in a fence is what they say it is: Python runs, data can be read, commands exist."""

import asyncio
import inspect
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from support.pages import PAGES, ROOT, Shown, blocks, name_of

pytest_plugins = ["pytester"]

EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=name_of)

NOT_RUN = 0
"""How many Python blocks may say that they can't be run. Raise it only for a block that needs what no test can have."""


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_the_python_of_a_page_runs(
    page: Path, show: Callable[..., Shown], request: pytest.FixtureRequest, pytester: pytest.Pytester
) -> None:
    shown = show(page)

    for test in shown.tests():
        fixtures = {name: request.getfixturevalue(name) for name in inspect.signature(test).parameters}
        running = test(**fixtures)
        if inspect.iscoroutine(running):
            asyncio.run(running)
    if shown.test_files:
        options = ["-p", "no:cacheprovider", "--rootdir", str(shown.directory)]
        result = pytester.runpytest_inprocess(*options, *(str(shown.directory / file) for file in shown.test_files))
        assert result.ret == 0, str(result.stdout)


def test_hardly_a_block_is_left_out() -> None:
    left_out = [f"{name_of(page)}:{block.line}" for page in PAGES for block in blocks(page, "python") if block.reason]

    assert len(left_out) <= NOT_RUN, left_out


@EVERY_PAGE
def test_every_fence_says_what_is_in_it(page: Path) -> None:
    known = {"", "console", "js", "json", "mermaid", "python", "sh", "text", "ts", "yaml"}

    for block in blocks(page, *known):
        assert block.text.strip(), f"{name_of(page)}:{block.line} is empty"
    fences = page.read_text(encoding="utf-8").count("\n```")
    assert fences == 2 * len(blocks(page, *known)), f"{name_of(page)} has a fence of another language, or an open one"


@EVERY_PAGE
def test_data_can_be_read(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block.text)
    for block in blocks(page, "yaml"):
        assert yaml_parse(block.text)


@EVERY_PAGE
def test_javascript_can_be_read(page: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    for block in blocks(page, "js"):
        if node is None:
            pytest.skip("node isn't installed to read JavaScript")
        (file := tmp_path / "block.mjs").write_text(block.text, encoding="utf-8")
        done = subprocess.run([node, "--check", file], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{name_of(page)}:{block.line}\n{done.stderr}"


def test_what_pages_take_for_granted_belongs_to_a_page() -> None:
    given: Any = {path.stem for path in (ROOT / "tests/docs/given").glob("*.py")}

    assert given <= {page.stem.lower().replace("-", "_") for page in PAGES}
