"""Make what `sam build` built the artefact that is deployed: one package, with byte code, the same for the same input.

``make build`` runs it after `sam build`, on its directory::

    python infra/build/finish.py .aws-sam/build

`sam build` copies the package for every function; one is kept, and the built template names it for all of them. Python
doesn't write byte code in Lambda, where the disk is read-only, so that a package without any is compiled at each cold
start: 420 ms instead of 190 for FastAPI, measured. Byte code that isn't checked against its source spares looking at
both. It belongs to one version of Python, so that the interpreter has to be the one of the functions' runtime.

Beside the byte code of the app that the template's ``Metadata: Gatesocket: App`` names lies what its WebSocket routes
are transformed to (gatesocket/hibernation/cache.py). For that the app is imported, with the dependencies of the
interpreter where it has them: those of the package may be for another processor.

What differs from one build to the next, or tells where it was built, is left out: the times of files, who may read
them, the scripts of dependencies, and what pip notes of an installation. The printed hash is over every file's path and
content; infra/checks/reproducible.py builds a second time and compares.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

PACKAGE: Final = "Package"
"""The directory of the one package, beside the built template."""

CODE: Final = re.compile(r"^(\s+CodeUri: )(\S+)$", re.MULTILINE)
APP: Final = re.compile(r"^  Gatesocket:\n    App: (\S+)$", re.MULTILINE)
RUNTIME: Final = re.compile(r"^\s+Runtime: (python3\.\d+)$", re.MULTILINE)

PIPS_OWN: Final = ("direct_url.json", "INSTALLER", "REQUESTED")
"""Files of a ``dist-info`` that say how it was installed."""

UNWANTED: Final = (
    "boto3",
    "botocore",
    "moto",
    "pytest",
    "rich",
    "s3transfer",
    "samtranslator",
    "tests",
    "typer",
    "uvicorn",
)
"""What would have come by mistake: a twin of what Lambda has, the emulator's dependencies, tests."""

LARGEST: Final = 250 * 1024 * 1024
"""Bytes of a package, unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""

PRECOMPILE: Final = """
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path

sys.path.append(sys.argv[1])
from gatesocket.hibernation.precompile import precompile

module, _, name = sys.argv[2].partition(":")
precompile(attrgetter(name)(import_module(module)), Path(sys.argv[1]))
"""

ROOT_IN_LAMBDA: Final = "/var/task"
READABLE: Final = 0o644
READABLE_DIRECTORY: Final = 0o755
NO_TIME: Final = 315532800
"""1980-01-01, the first day of a zip file's calendar, in seconds since the epoch."""


class Unfit(Exception):
    """What was built can't be deployed; the text says why, and what to do."""


def finish(build: Path, python: str | None = None) -> Path:
    """Finish the build in the directory *build*, and return the package's directory.

    Args:
        build: where `sam build` has put its template and a directory for each function.
        python: the interpreter that compiles; None takes the one of the runtime's name, ``python3.13``.

    Raises:
        Unfit: there is no build, its functions don't have one package, the package holds what it shouldn't or is too
            large, there is no interpreter of the runtime's version, or the app can't be imported or can't hibernate.
    """
    template = build / "template.yaml"
    if not template.is_file():
        raise Unfit(f"there is no {template}; run sam build first")
    text = template.read_text(encoding="utf-8")
    directories = sorted({build / name for _, name in CODE.findall(text) if (build / name).is_dir()})
    runtimes = set(RUNTIME.findall(text))
    if not directories or len(runtimes) != 1:
        raise Unfit(f"{template}: expected functions with one runtime, got {len(directories)} with {sorted(runtimes)}")
    [runtime] = runtimes

    for directory in directories:
        tidy(directory)
        compile_in(directory, python or runtime, runtime)
    first, *others = directories
    for other in others:
        if digest(other) != digest(first):
            raise Unfit(f"{other} isn't what {first} is; functions of one CodeUri and one runtime are one package")
    refuse_unwanted(first)

    package = build / PACKAGE
    if first != package:
        first.rename(package)
    for app in APP.findall(text):
        precompile_in(package, python or runtime, app)
    settle(package)
    for other in others:
        shutil.rmtree(other)
    names = {directory.name for directory in directories}
    text = CODE.sub(lambda match: match[1] + (PACKAGE if match[2] in names else match[2]), text)
    template.write_text(text, encoding="utf-8")
    return package


def tidy(package: Path) -> None:
    """Remove what isn't the same in every build."""
    for cached in sorted(package.rglob("__pycache__")):
        shutil.rmtree(cached)
    shutil.rmtree(package / "bin", ignore_errors=True)
    for information in package.glob("*.dist-info"):
        for name in PIPS_OWN:
            (information / name).unlink(missing_ok=True)
        record = information / "RECORD"
        if record.is_file():
            # What tells the app's own code from that of its dependencies, in the directory that they share (see
            # gatesocket/hibernation/origin.py): without the hashes and sizes of what isn't the same in every build.
            names = (line.partition(",")[0] for line in record.read_text(encoding="utf-8").splitlines())
            there = sorted(name for name in names if ".." not in name and (package / name).is_file())
            record.write_text("".join(f"{name},,\n" for name in there), encoding="utf-8")


def compile_in(package: Path, python: str, runtime: str) -> None:
    """Add the byte code of every module, with the paths that tracebacks have in Lambda."""
    name = f"import sys; sys.exit('python%d.%d' % sys.version_info[:2] != {runtime!r})"
    # One process and no random hashes, so that the order in which Python meets constants is always the same.
    options = ("--invalidation-mode", "unchecked-hash", "-q", "-s", str(package), "-p", ROOT_IN_LAMBDA)
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        if subprocess.run((python, "-c", name), check=False, timeout=60).returncode:
            raise Unfit(f"{python} isn't {runtime}; name one that is: --python")
        command = (python, "-m", "compileall", *options, str(package))
        subprocess.run(command, check=True, env=environment, timeout=600)
    except FileNotFoundError as error:
        raise Unfit(f"there is no {python} to compile with; install it, or name one: --python") from error


def precompile_in(package: Path, python: str, app: str) -> None:
    """Add what the functions of *app*, which lies in *package*, are transformed to."""
    command = (python, "-P", "-c", PRECOMPILE, str(package), app)
    # The package's byte code is there, and what else is imported is the interpreter's own.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=120)
    if done.returncode:
        raise Unfit(
            f"{app} can't be prepared by {python}: {done.stderr.strip().rpartition(chr(10))[2]}. Try `gatesocket check "
            "--app-dir`; what isn't in the package, or is there for another processor, the interpreter has to have"
        )


def settle(package: Path) -> None:
    """Give every file the same time, and let everybody read it."""
    for path in sorted([package, *package.rglob("*")], reverse=True):
        # Lambda runs the package as somebody else than who built it, whatever that one's umask hides from others.
        path.chmod(READABLE_DIRECTORY if path.is_dir() else READABLE)
        os.utime(path, (NO_TIME, NO_TIME))


def refuse_unwanted(package: Path) -> None:
    """Raise `Unfit` if *package* holds what it shouldn't, or too much."""
    found = sorted(path.name for path in package.iterdir() if path.name in UNWANTED)
    if found:
        raise Unfit(f"{package} holds {', '.join(found)}; take what brings them out of handlers/requirements.txt")
    if (bytes_of := size(package)) > LARGEST:
        raise Unfit(f"{package} has {bytes_of} bytes, and Lambda takes {LARGEST}")


def digest(package: Path) -> str:
    """Return the SHA-256 of all paths and contents."""
    total = hashlib.sha256()
    for path in files(package):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{content}  {path.relative_to(package).as_posix()}\n".encode())
    return total.hexdigest()


def size(package: Path) -> int:
    """Return the bytes of all files."""
    return sum(path.stat().st_size for path in files(package))


def files(package: Path) -> Iterator[Path]:
    """Yield every file, in the order of their paths."""
    yield from sorted(path for path in package.rglob("*") if path.is_file())


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish a build, say what it has become, and return the exit status; None takes the process's own arguments."""
    parser = argparse.ArgumentParser(description="Make what `sam build` built the artefact that is deployed.")
    parser.add_argument("build", type=Path, nargs="?", default=Path(".aws-sam/build"), help="default: %(default)s")
    parser.add_argument("--python", help="the interpreter that compiles (default: the runtime's name, python3.13)")
    options = parser.parse_args(arguments)
    try:
        package = finish(options.build, options.python)
    except Unfit as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    compiled = sum(path.suffix == ".pyc" for path in files(package))
    kept = sum(path.suffix == ".gatesocket" for path in files(package))
    print(f"{package}: {size(package) / 1e6:.1f} MB unzipped, {compiled} modules compiled, routes kept of {kept}")
    print(f"sha256 {digest(package)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
