"""Programs that tests run beside us, installed when they are first needed, and kept."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

__all__ = ["from_npm", "from_pypi", "program"]

CACHE = Path(__file__).parents[2] / ".cache"
INSTALLED_WITHIN = 50  # s


def from_npm(package: str) -> Path:
    """Return the directory ``node_modules`` with a package. The test is skipped where it can't be had."""
    npm = [program("npm", package), "install", "--no-fund", "--no-audit", "--loglevel", "error", "--prefix"]
    return _installed(package, npm) / "node_modules"


def from_pypi(package: str) -> Path:
    """Return the directory of a package and of what it needs. The test is skipped where it can't be had."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
    return _installed(package, pip)


def program(name: str, package: str) -> str:
    """Return where a program is that *package* needs. The test is skipped where it isn't."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{package} needs {name}, which isn't installed")
    return path


def _installed(package: str, install: list[str]) -> Path:
    """Install a package into the cache, once; return its directory. The test is skipped where it can't be had."""
    target = CACHE / package
    if target.exists():
        return target
    CACHE.mkdir(exist_ok=True)
    # Moved into place when it is complete, so that an interrupted installation isn't taken for one.
    fresh = Path(tempfile.mkdtemp(dir=CACHE))
    try:
        subprocess.run(
            [*install, str(fresh), package], check=True, capture_output=True, text=True, timeout=INSTALLED_WITHIN
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(fresh)
        why = error.stderr if isinstance(error.stderr, str) else str(error)
        pytest.skip(f"{package}, which a test runs, couldn't be installed: {why}")
    try:
        fresh.replace(target)
    except OSError:  # another worker was faster
        shutil.rmtree(fresh)
    return target
