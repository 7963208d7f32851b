"""Mermaid for the site's diagrams, served by the site itself.

The theme would have browsers fetch it from another host. It comes by npm, once, into ``.cache``, and is checked by its
hash; pages without a diagram don't load it.
"""

import hashlib
import json
import posixpath
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

__all__ = ["on_files", "on_post_page"]

VERSION: Final = "11.12.0"  # the theme is made for 11
SHA256: Final = "07e37dfa97b337ccc85365d57eddf99b9706f09db3b59b260d0333b23b343c4b"
SCRIPT: Final = "assets/mermaid.js"
CACHE: Final = Path(".cache/mermaid")
SECONDS: Final = 120


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add Mermaid to the site."""
    files.append(File.generated(config, SCRIPT, abs_src_path=str(_fetched())))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Load Mermaid where there is a diagram, before the theme looks for it."""
    if 'class="mermaid"' not in output:
        return output
    address = get_relative_url(SCRIPT, posixpath.normpath(page.url))
    return output.replace("</head>", f'<script src="{address}"></script></head>', 1)


def _fetched() -> Path:
    """Return the script's file, which is fetched if it isn't there."""
    script = CACHE / f"mermaid-{VERSION}.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise PluginError("the site's diagrams are drawn by Mermaid, which npm brings, and there is no npm")
        CACHE.mkdir(parents=True, exist_ok=True)
        pack = [npm, "pack", f"mermaid@{VERSION}", "--json", "--silent", "--pack-destination", str(CACHE)]
        done = subprocess.run(pack, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            raise PluginError(f"npm can't bring Mermaid {VERSION}: {done.stderr.strip() or done.stdout.strip()}")
        package = CACHE / json.loads(done.stdout)[0]["filename"]
        with tarfile.open(package) as archive:
            found = archive.extractfile("package/dist/mermaid.min.js")
            assert found is not None  # noqa: S101 - a member that is a file
            script.write_bytes(found.read())
        package.unlink()
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    if digest != SHA256:
        raise PluginError(f"{script} isn't Mermaid {VERSION}: expected the SHA-256 {SHA256}, but it has {digest}")
    return script
