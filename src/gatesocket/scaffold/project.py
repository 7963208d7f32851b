"""Where the files go that ``gatesocket init`` writes, and whether anything is in the way.

Entry points lie beside the module of the app, whatever the project looks like: ``main.py``, ``app/main.py``,
``src/shop/app.py``. What the functions need lies in the directory that Python imports from, where ``sam build`` looks
for it. Template, settings and tests lie in the project's own directory.
"""

import configparser
import importlib.metadata
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from gatesocket.exceptions import ConfigurationError
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.scaffold.addresses import Address
from gatesocket.scaffold.needs import Needs
from gatesocket.scaffold.text import Values, fill

__all__ = ["Project", "locate", "write"]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-using-console-create-stack-parameters.html"""

_SAYS_NOTHING: Final = {"api", "app", "asgi", "backend", "main", "server", "src", "web"}
"""Names of modules that many projects have."""

_ENTRY_POINTS: Final = {"http", "jobs", "websocket"}

_REQUIREMENT: Final = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Project:
    """An app, and the directories of the project around it."""

    spec: str
    """``module:attribute`` of the app."""
    package: str
    """The package of the app's module, in which the entry points belong; empty for a module in none."""
    root: Path
    """Where Python imports from; absolute."""
    directory: Path
    """The project's own; absolute."""
    name: str
    """What the stack is called."""

    @property
    def requirements(self) -> Path:
        """The file that says what the functions need."""
        return self.root / "requirements.txt"

    @property
    def test(self) -> Path:
        """The file of the first test, by the project's name: unless told otherwise, pytest wants no two of one name."""
        return self.directory / "tests" / f"test_{self.name.lower().replace('-', '_')}_websockets.py"

    @property
    def code(self) -> str:
        """The root, as the template names it."""
        return Path(os.path.relpath(self.root, self.directory)).as_posix()

    def files(self, needs: Needs, addresses: Sequence[Address]) -> dict[Path, str]:
        """Return what to write: path -> text."""
        values = self._values(needs, addresses)
        beside = self.root.joinpath(*filter(None, self.package.split(".")))
        files = {beside / "entry.py": fill("entry.py", values)}
        if needs.broadcasts:
            files[beside / "fanout.py"] = fill("fanout.py", values)
        files |= {
            self.requirements: fill("requirements.txt", values),
            self.directory / "template.yaml": fill("template.yaml", values),
            self.directory / "samconfig.toml": fill("samconfig.toml", values),
            self.test: fill("test_websockets.py", values),
        }
        if not self.configures_pytest():
            files[self.directory / "pytest.ini"] = fill("pytest.ini", values)
        return files

    def lacking(self, text: str) -> list[str]:
        """Return the lines of *text* for which the project's own requirements, if it has any, name nothing."""
        if not self.requirements.exists():
            return []
        named = set(map(_distribution, self.requirements.read_text(encoding="utf-8").splitlines()))
        return [line for line in text.splitlines() if _distribution(line) not in named | {None}]

    def configures_pytest(self) -> bool:
        """Whether the project has a configuration of pytest's that isn't the one that `files` has.

        Source: https://docs.pytest.org/en/stable/reference/customize.html

        Raises:
            ConfigurationError: a file that may hold one can't be read.
        """
        own = self.directory / "pytest.ini"
        if own.exists():
            return own.read_text(encoding="utf-8") != fill("pytest.ini", {"pythonpath": self.code})
        if any((self.directory / name).exists() for name in (".pytest.ini", "pytest.toml", ".pytest.toml")):
            return True
        pyproject = self.directory / "pyproject.toml"
        ini = configparser.ConfigParser(interpolation=None)
        try:
            if pyproject.exists() and "pytest" in tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}):
                return True
            ini.read([self.directory / "tox.ini", self.directory / "setup.cfg"], encoding="utf-8")
        except (configparser.Error, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            said = str(error).partition("\n")[0]
            raise ConfigurationError(
                f"the project's configuration in {os.path.relpath(self.directory)} can't be read: {said}. Mend it first"
            ) from error
        return ini.has_section("pytest") or ini.has_section("tool:pytest")

    def _values(self, needs: Needs, addresses: Sequence[Address]) -> Values:
        module, _, attribute = self.spec.partition(":")
        first, _, rest = attribute.partition(".")
        local = "asgi_app" if first in _ENTRY_POINTS else first
        prefix = f"{self.package}." if self.package else ""
        known = [address for address in addresses if address.url is not None]
        opened = [address for address in known if address.refusal is None]
        working = [address for address in opened if address.failure is None]
        extras = "[jwt]" if needs.tokens else ""
        return {
            "app": self.spec,
            "broadcasts": needs.broadcasts,
            "code": f"{self.code}/",
            "entry": f"{prefix}entry",
            "example": working[0].url or "" if working else "",
            "fanout": f"{prefix}fanout",
            "fastapi": needs.fastapi,
            "gatesocket": f"gatesocket{extras}>={importlib.metadata.version('gatesocket')}",
            "http": needs.http,
            "import": first if local == first else f"{first} as {local}",
            "jobs": needs.jobs,
            "module": module,
            "name": self.name,
            "object": f"{local}.{rest}" if rest else local,
            "open": tuple(f'"{address.url}"' for address in opened),
            "others": needs.distributions,
            "pythonpath": self.code,
            "refused": tuple(f'("{address.url}", {address.refusal})' for address in known if address.refusal),
            "unknown": tuple(address.path for address in addresses if address.url is None),
        }


def locate(spec: str, module: ModuleType, directory: Path, name: str | None) -> Project:
    """Find out where an app's project keeps what.

    Args:
        spec: ``module:attribute`` of the app.
        module: the app's.
        directory: the project's own.
        name: what the stack is to be called; None takes the app's package, or the directory if that says nothing.

    Raises:
        ConfigurationError: the app isn't a project's own, or *name* can't be a stack's.
    """
    if module.__file__ is None or origin(module.__file__) is not Origin.OWN:
        raise ConfigurationError(
            f"{module.__name__} was found in {module.__file__}, among what is installed. Say where the project's own "
            "is: --app-dir"
        )
    package = module.__package__ or ""
    root = Path(module.__file__).resolve().parents[len(list(filter(None, package.split("."))))]
    directory = directory.resolve()
    if name is None:
        top = module.__name__.partition(".")[0]
        said = directory.name if top in _SAYS_NOTHING else top
        name = re.sub(r"[^A-Za-z0-9]+", "-", said).strip("-")
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"a stack can't be called {name!r}: letters, digits and hyphens, and a letter first. Name it: --name"
        )
    return Project(spec, package, root, directory, name)


def write(files: Mapping[Path, str], *, force: bool) -> None:
    """Write *files*, all or none.

    Raises:
        ConfigurationError: something else is in the way and isn't to be replaced, or a file can't be written.
    """
    if not force and (others := [path for path, text in files.items() if _is_another(path, text)]):
        listed = ", ".join(os.path.relpath(path) for path in others)
        raise ConfigurationError(f"there is something in the way: {listed}. Move it, or have it replaced: --force")
    fresh = {path: path.with_name(f".{path.name}.new") for path in files}
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh[path].write_text(text, encoding="utf-8")
        for path, written in fresh.items():
            written.replace(path)
    except OSError as error:
        for written in fresh.values():
            if written.exists():
                written.unlink()
        raise ConfigurationError(
            f"{error.filename} can't be written: {error.strerror}. Choose another place: --directory"
        ) from error


def _is_another(path: Path, text: str) -> bool:
    if not path.exists():
        return False
    try:
        return path.read_text(encoding="utf-8") != text
    except (OSError, UnicodeDecodeError):
        return True


def _distribution(line: str) -> str | None:
    """Return the name in a line of a requirements file; None for any other line."""
    found = _REQUIREMENT.match(line.strip())
    return found[0].lower().replace("_", "-") if found else None
