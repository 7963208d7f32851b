"""The built site: complete, without a warning, and nothing in it is fetched from another host."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hooks.tables import public_modules

from support.pages import ROOT

pytestmark = pytest.mark.slow
SECONDS = 240


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    if "there is no npm" in done.stderr:
        pytest.skip("npm isn't installed to bring what draws diagrams")
    assert done.returncode == 0, done.stderr
    return directory


def test_nothing_is_fetched_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(
            r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=\"?((?:https?:)?//[^\s\">]+)", text
        )
        assert not loaded, page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style


def test_a_page_with_a_diagram_has_what_draws_it(site: Path) -> None:
    drawn = [page for page in site.glob("*.html") if 'class="mermaid"' in page.read_text(encoding="utf-8")]

    assert {"connection.html", "index.html"} <= {page.name for page in drawn}
    for page in drawn:
        [script] = re.findall(r'<script src="([^"]*mermaid[^"]*)">', page.read_text(encoding="utf-8"))
        assert (page.parent / script).exists()


@pytest.mark.parametrize("name", public_modules())
def test_every_public_name_has_a_place_in_the_reference(site: Path, name: str) -> None:
    page = (site / "reference" / f"{name.removeprefix('gatesocket.')}.html").read_text(encoding="utf-8")
    module = importlib.import_module(name)

    for public in getattr(module, "__all__", ()):
        # What another module defines and this one offers is shown under either name.
        assert re.search(rf'id="gatesocket\.[\w.]*\b{public}"', page), public
