"""Build what `make build` built a second time, elsewhere and otherwise, and compare.

The second build is of a copy of the sources, in another directory, at another time, by somebody with another home,
umask, time zone and order of Python's sets. It runs in the environment of requirements/stack.txt::

    make check-stack

It prints the hash that both have; the exit status is 1 if they differ, and the first files that do are named.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "build"))
import finish

ROOT: Final = Path(__file__).resolve().parents[2]
BIN: Final = Path(sys.executable).parent
BUILD: Final = Path(".aws-sam/build")
SOURCES: Final = (
    "LICENSE",
    "README.md",
    "handlers",
    "infra",
    "pyproject.toml",
    "samconfig.toml",
    "src",
    "template.yaml",
)
"""What a build reads."""

WITHIN: Final = 600
"""Seconds for a build on a busy machine."""

NAMED: Final = 5
"""Files that are named at the most."""


def build(directory: Path, architecture: str) -> Path:
    """Build a copy of the sources in *directory*, and return the package."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, directory / name)
    home = directory / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONHASHSEED": "11",
        "SAM_CLI_TELEMETRY": "0",
        "TZ": "Asia/Kathmandu",
    }
    command = (BIN / "sam", "build", "--no-cached", "--parameter-overrides", f"Architecture={architecture}")
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        umask=0o077,
        check=False,
        capture_output=True,
        text=True,
        timeout=WITHIN,
    )
    if done.returncode:
        raise RuntimeError(f"sam build failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return finish.finish(directory / BUILD, sys.executable)


def different(first: Path, second: Path) -> list[str]:
    """Return the paths of files that aren't the same in both packages."""
    contents = [
        {path.relative_to(package).as_posix(): path.read_bytes() for path in finish.files(package)}
        for package in (first, second)
    ]
    return sorted(name for name in {*contents[0], *contents[1]} if contents[0].get(name) != contents[1].get(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Build again, compare, and return the exit status; None takes the process's own arguments."""
    parser = argparse.ArgumentParser(description="Build again, and compare with what `make build` built.")
    parser.add_argument("--architecture", default="arm64", help="as the first was built for (default: %(default)s)")
    options = parser.parse_args(arguments)
    first = ROOT / BUILD / finish.PACKAGE
    if not first.is_dir():
        print(f"reproducible: there is no {first}; run make build first", file=sys.stderr)
        return 1
    with TemporaryDirectory(prefix="gatesocket-build-") as directory:
        second = build(Path(directory), options.architecture)
        if names := different(first, second):
            print(f"FAIL another build differs in {len(names)} files: {', '.join(names[:NAMED])}")
            return 1
    print(f"ok   built again elsewhere: sha256 {finish.digest(first)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
