"""Every command that a page shows is one that `make`, the command line or the repository knows."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hooks.tables import command_line

from support.pages import PAGES, ROOT, blocks, name_of

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def commands(page: Path) -> Iterator[list[str]]:
    """Iterate over the commands of a page, those of its shell blocks and those within a sentence."""
    text = page.read_text(encoding="utf-8")
    lines = [
        line for block in blocks(page, "", "sh", "console") for line in block.text.replace("\\\n", "").splitlines()
    ]
    for line in lines + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text):
        for command in re.split(r" \| ", line.partition("  #")[0]):
            if re.match(r"(make|gatesocket|pip|\.venv\S*/python) ", command):
                yield shlex.split(command, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_exists(page: Path) -> None:
    for program, *arguments in commands(page):
        if program == "make":
            for argument in arguments:
                name, variable, _ = argument.partition("=")
                assert re.search(rf"^{name}( \?=|:)" if variable else rf"^{name}:", MAKEFILE, re.MULTILINE), argument
        elif program == "gatesocket":
            knows(arguments)
        elif program == "pip":
            for extras in re.findall(r"gatesocket\[([\w,]+)\]", arguments[-1]):
                assert set(extras.split(",")) <= set(EXTRAS), arguments
        elif arguments[0] != "-m":  # a module's command line is its own business
            source = (ROOT / arguments[0]).read_text(encoding="utf-8")
            for option in filter(re.compile("--").match, arguments[1:]):
                assert f'"{option.partition("=")[0]}"' in source, option


def knows(arguments: list[str]) -> None:
    """Look whether the command line has a command, its options and as many arguments."""
    path = next(
        (path for path in command_line() if " ".join(["gatesocket", *arguments, ""]).startswith(f"{path} ")), None
    )
    if path is None:
        known = " ".join(command_line())
        assert f"gatesocket {arguments[0]} " in f"{known} ", arguments  # a group of commands
        return
    command = command_line()[path]
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    rest = arguments[len(path.split()) - 1 :]
    while rest:
        argument = rest.pop(0)
        if argument.startswith("--"):
            name, equals, _ = argument.partition("=")
            assert name in options, f"{path} has no option {name}"
            if not equals and rest and not getattr(options[name], "is_flag", False):
                rest.pop(0)


def test_commands_are_found_where_pages_have_them() -> None:
    found = [command for page in PAGES for command in commands(page)]

    assert ["make", "run"] in found
    assert any(command[:2] == ["gatesocket", "event"] for command in found)
    assert any(command[0] == ".venv/bin/python" for command in found)
