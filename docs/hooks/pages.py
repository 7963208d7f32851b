"""The site's pages that lie in no file of their own, and its links to what lies outside of docs/.

A page of ``reference/`` is made of a module's docstrings. ``infra.md`` is infra/README.md. A link that leads out of
docs/ goes to such a page where there is one; elsewhere its text alone remains, as the site has no copy of the
repository.
"""

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["inside", "module_of", "on_files", "on_page_markdown"]

REFERENCE: Final = "reference/"
ELSEWHERE: Final = {"infra/README.md": "infra.md", "README.md": "index.md"}
"""Files of the repository, outside of docs/, that are pages of the site."""

_LINK: Final = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie in no file of docs/."""
    root = Path(config.docs_dir).parent
    infra = (root / "infra/README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "infra.md", content=inside(infra, "infra/README.md", config.nav or [])))
    for page in _leaves(config.nav or []):
        if page.startswith(REFERENCE):
            module = module_of(page)
            content = f"# `{module}`\n\n::: {module}\n"
            files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page to pages of the site."""
    if page.file.generated_by is not None:
        return markdown
    return inside(markdown, f"docs/{page.file.src_uri}", config.nav or [])


def module_of(page: str) -> str:
    """Return the module that a page of the reference is about."""
    return "gatesocket." + page.removeprefix(REFERENCE).removesuffix(".md")


def inside(markdown: str, file: str, nav: list[object]) -> str:
    """Rewrite the links of *file*, as the repository names it, to links between the site's pages."""
    pages = {_source(page): page for page in _leaves(nav) if page.startswith(REFERENCE)} | ELSEWHERE

    def rewrite(link: re.Match[str]) -> str:
        target, hash_, anchor = link["target"].partition("#")
        if not target or "://" in target:
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
        page = path.removeprefix("docs/") if path.startswith("docs/") else pages.get(path)
        return f"[{link['text']}]({page}{hash_}{anchor})" if page else link["text"]

    return _LINK.sub(rewrite, markdown)


def _source(page: str) -> str:
    """Return the file of the module that a page of the reference is about."""
    path = "src/" + module_of(page).replace(".", "/")
    return f"{path}/__init__.py" if Path(path).is_dir() else f"{path}.py"


def _leaves(nav: object) -> list[str]:
    """Return the pages that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    if isinstance(nav, dict):
        nav = list(nav.values())
    return [page for item in nav for page in _leaves(item)] if isinstance(nav, list) else []
