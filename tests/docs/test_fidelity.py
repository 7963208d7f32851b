"""The page that compares the emulator with the facts sheet names tests that there are, and every quirk."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields

from gatesocket.emulator.quirks import Quirks
from support.pages import ROOT

PAGE = (ROOT / "docs" / "emulator-fidelity.md").read_text(encoding="utf-8")


def rows() -> Iterator[tuple[str, str, str]]:
    for line in PAGE.splitlines():
        if line.startswith("| ") and not line.startswith(("| fact", "| ---")):
            fact, here, shown_by = (cell.strip() for cell in re.split(r"(?<= )\|(?= )|\|$", line.removeprefix("|"))[:3])
            yield fact, here, shown_by


def named_in(path: str) -> Iterator[str]:
    """Yield the tests of a file as pytest names them, but for parameters."""
    for node in ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path}::{node.name}"
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{path}::{node.name}::{method.name}"


def test_each_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:unit|integration)/[\w/]+\.py::[\w:]+)`", PAGE))
    there = {test for path in {name.partition("::")[0] for name in named} for test in named_in(path)}
    assert len(named) > 90
    assert named - there == set()


def test_each_quirk_is_on_the_page_and_has_a_test() -> None:
    shown = {quirk: tests for _, here, tests in rows() for quirk in re.findall(r"`(\w+)`", here)}
    assert [field.name for field in fields(Quirks) if not shown.get(field.name)] == []


def test_a_fact_without_a_test_is_one_that_is_not_emulated() -> None:
    assert [
        fact for fact, here, tests in rows() if not tests and not here.startswith(("can't: ", "not counted: "))
    ] == []
