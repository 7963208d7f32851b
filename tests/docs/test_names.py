"""Whatever is public is in the documentation, and the documentation's navigation has every page."""

import importlib
import re
from pathlib import Path

import pytest
from hooks.docstrings import markdown
from hooks.tables import PAGES, command_line, filled, package, public_modules

from gatesocket.settings import Settings
from support.pages import ROOT, name_of

NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2].partition("\n\n")[0]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_takes_from_the_code_is_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert filled(text) == text, f"{name_of(page)} is out of date: make docs-tables"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("**/*.md")), ids=name_of)
def test_the_navigation_has_every_page(page: Path) -> None:
    name = str(page.relative_to(ROOT / "docs"))

    assert re.search(rf"^ +- (?:[^:\n]+: )?{re.escape(name)}$", NAVIGATION, re.MULTILINE), (
        f"no reader finds docs/{name}: add '- {name}' to a section of nav in mkdocs.yml"
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)

    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", re.sub(r"`[^`\n]*`", "", text)):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("name", public_modules())
def test_every_public_name_says_what_it_is(name: str) -> None:
    module = importlib.import_module(name)
    public = getattr(module, "__all__", None) or [each for each in vars(module) if each.isupper()]

    assert public
    for each in public:
        found = package()[f"{name.removeprefix('gatesocket.')}.{each}"]
        assert (found.final_target if found.is_alias else found).has_docstring, f"{name}.{each} has no docstring"


def test_what_the_package_offers_is_of_a_public_module() -> None:
    import gatesocket

    for name in gatesocket.__all__:
        assert getattr(gatesocket, name).__module__ in public_modules(), name


def test_a_module_that_a_page_names_is_public() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.stem != "api-gateway-facts"]
    imported = {name for text in texts for name in re.findall(r"^from (gatesocket\.[\w.]+) import", text, re.MULTILINE)}

    for name in sorted(imported - set(public_modules())):
        page = f"reference/{name.removeprefix('gatesocket.')}.md"
        raise AssertionError(f"a page shows {name}: add '- {name}: {page}' to the reference in mkdocs.yml's nav")


def test_every_command_option_and_setting_is_in_a_page() -> None:
    texts = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

    for path, command in command_line().items():
        assert f"## `{path}`" in texts
        for option in command.params:
            assert all(f"`{name}" in texts for name in option.opts if name.startswith("-")), option.opts
    for name in Settings.model_fields:
        assert f"`GATESOCKET_{name.upper()}`" in texts, name


def test_an_example_of_a_docstring_becomes_a_fence_and_a_page_a_link() -> None:
    assert markdown("Do it::\n\n    x = 1\n\n    y = 2\n\nThen rest.") == (
        "Do it:\n\n```python\nx = 1\n\ny = 2\n```\n\nThen rest."
    )
    assert markdown("See docs/dev.md.") == "See [docs/dev.md](../dev.md)."
    assert markdown("Errors.\n\n::\n\n    a\n    └── b\n") == "Errors.\n\n```text\na\n└── b\n```\n"
