"""Run the WebSocket tests of Starlette and FastAPI against `GatewayTestClient`, and compare with what is recorded.

The tests come with the packages' source distributions, which pip downloads from wherever it is configured to; nothing
of them is kept. What is recorded is docs/other-peoples-tests.md: for each package its version, how many of its tests
pass, and those that don't, by name. They are run twice: as the emulator is, and with the headers of refusals, of which
nobody knows whether API Gateway drops them. A test that fails and isn't named there, and one that passes although it
is, are both reported, and the exit status is 1.
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
RECORD: Final = HERE.parents[1] / "docs" / "other-peoples-tests.md"
SECONDS: Final = 300
"""How long a download, or one package's tests, may take."""

FILES: Final = {
    "starlette": ("tests/test_websockets.py",),
    "fastapi": (
        "tests/test_dependency_after_yield_websockets.py",
        "tests/test_dependency_yield_scope_websockets.py",
        "tests/test_http_connection_injection.py",
        "tests/test_security_websockets.py",
        "tests/test_tutorial/test_websockets",
        "tests/test_ws_dependencies.py",
        "tests/test_ws_router.py",
    ),
}
"""Which of a package's tests are run."""

SETTINGS: Final = {"GATESOCKET_BINARY": "base64", "GATESOCKET_ACCEPT_THEN_CLOSE": "open"}
"""What is set otherwise than a deployment has it, because those tests expect the ordinary life's."""

QUIRK: Final = "refusal_carries_headers=true"
"""What is otherwise in the second run."""

_HEADING: Final = re.compile(
    r"^## (?P<name>\w+) (?P<version>[\w.]+): (?P<passed>\d+) of (?P<total>\d+), "
    r"(?P<more>\d+) with headers of refusals$",
    re.MULTILINE,
)
_ROW: Final = re.compile(r"^\| `(?P<test>[^`]+)` \| (?P<passes>passes )?\|", re.MULTILINE)


@dataclass(frozen=True)
class Recorded:
    """What the record says of one run of a package's tests."""

    package: str
    version: str
    passed: int
    total: int
    failing: frozenset[str]
    quirk: str | None = None
    """Which one is settled otherwise; None if none is."""

    def __str__(self) -> str:
        return f"{self.package} with {self.quirk}" if self.quirk else self.package


def main() -> int:
    """Run everything; return the exit status."""
    problems: list[str] = []
    for package, runs in groupby(read(RECORD.read_text(encoding="utf-8")), key=lambda recorded: recorded.package):
        with tempfile.TemporaryDirectory() as directory:
            root: Path | None = None
            for recorded in runs:
                root = root or fetch(package, recorded.version, Path(directory))
                outcomes = run(recorded, root)
                passed = sum(outcome == "passed" for outcome in outcomes.values())
                sys.stdout.write(f"{recorded}, {recorded.version}: {passed} of {len(outcomes)} pass\n")
                problems += compare(recorded, outcomes)
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


def read(text: str) -> Iterator[Recorded]:
    """Read the record: a heading for each package, and a table row for each test that fails; give two runs of each."""
    headings = list(_HEADING.finditer(text))
    for heading, end in zip(headings, [*(each.start() for each in headings[1:]), len(text)], strict=True):
        rows = list(_ROW.finditer(text, heading.end(), end))
        plain = Recorded(
            package=heading["name"].lower(),
            version=heading["version"],
            passed=int(heading["passed"]),
            total=int(heading["total"]),
            failing=frozenset(row["test"] for row in rows),
        )
        yield plain
        failing = frozenset(row["test"] for row in rows if not row["passes"])
        yield replace(plain, passed=int(heading["more"]), failing=failing, quirk=QUIRK)


def compare(recorded: Recorded, outcomes: Mapping[str, str]) -> Iterator[str]:
    """Say what differs from the record."""
    failing = {test for test, outcome in outcomes.items() if outcome != "passed"}
    for test in sorted(failing - recorded.failing):
        yield f"{recorded}: {test} fails, which isn't recorded"
    for test in sorted(recorded.failing - failing):
        now = "passes" if test in outcomes else "isn't there"
        yield f"{recorded}: {test} is recorded as failing, and {now}"
    if (len(outcomes) - len(failing), len(outcomes)) != (recorded.passed, recorded.total):
        yield f"{recorded}: recorded are {recorded.passed} of {recorded.total}"


def run(recorded: Recorded, root: Path) -> dict[str, str]:
    """Run a package's tests, which are in *root*; return the outcome of each."""
    with tempfile.TemporaryDirectory() as directory:
        outcomes = Path(directory) / "outcomes.json"
        # What a developer's shell says of AWS or of a deployment has no part in this.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GATESOCKET_"))
        }
        environment |= SETTINGS | {"PYTHONPATH": str(HERE)}
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=no", "-p", "gateway_client"]
        command += ["-p", "no:cacheprovider", f"--outcomes={outcomes}", *FILES[recorded.package]]
        command += [f"--quirk={recorded.quirk}"] if recorded.quirk else []
        finished = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if not outcomes.exists():
            sys.exit(f"the tests of {recorded.package} could not be run:\n{finished.stdout}{finished.stderr}")
        found: dict[str, str] = json.loads(outcomes.read_text(encoding="utf-8"))
    return found


def fetch(package: str, version: str, directory: Path) -> Path:
    """Download the source distribution and unpack it, without the package itself: the installed one is tested."""
    installed = importlib.metadata.version(package)
    if installed != version:
        sys.exit(
            f"{RECORD.name} records {package} {version}, but {installed} is installed. "
            "Install the one that is recorded, or record what this one's tests do"
        )
    requirement = f"{package}=={version}"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    subprocess.run(
        [*command, "--no-binary", package, "--dest", str(directory), requirement], timeout=SECONDS, check=True
    )
    (archive,) = directory.glob(f"{package}-*.tar.gz")
    with tarfile.open(archive) as source:
        root, package = source.next(), f"{archive.name.removesuffix('.tar.gz')}/{package}/"
        members = [member for member in source.getmembers() if not member.name.startswith(package)]
        source.extractall(directory, members, filter="data")
    assert root is not None
    return directory / root.name.partition("/")[0]


if __name__ == "__main__":
    sys.exit(main())
