"""What pages take from the code, so that no page can say something else: settings, limits, errors, commands, modules.

A page marks the place by two comments, ``<!-- from the code: settings -->`` and ``<!-- end -->``. `make docs-tables`
writes what belongs between them; a test says which page is out of date.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

import griffe
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from gatesocket import exceptions, limits
from gatesocket.commands import application
from gatesocket.settings import Settings

__all__ = ["PAGES", "TABLES", "command_line", "filled", "package", "public_modules"]

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_REGION: Final = re.compile(r"(<!-- from the code: (?P<table>[\w -]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """Return the text of a page with what belongs into its regions."""
    return _REGION.sub(lambda region: f"{region[1]}\n{TABLES[region['table']]().strip()}\n\n{region[3]}", page)


def public_modules() -> list[str]:
    """Return the modules that are public, in the order of the site's reference."""
    # As text: the file's tags name code of the site's builder.
    pages = re.findall(r"^ +- gatesocket\.[\w.]+: reference/([\w.]+)\.md$", _read("mkdocs.yml"), re.MULTILINE)
    return [f"gatesocket.{page}" for page in pages]


@cache
def package() -> Any:
    """Return what the builder reads of the library's source, read once."""
    return griffe.load("gatesocket", search_paths=[ROOT / "src"])


def settings() -> str:
    """Return a table of the environment variables."""
    rows = []
    for name, field in Settings.model_fields.items():
        first, *more = _docstring(f"settings.Settings.{name}").split("\n\n")
        default = "none" if field.default is None else f"`{json.dumps(field.default).strip(chr(34))}`"
        rows.append((f"`GATESOCKET_{name.upper()}`", default, _flat(" ".join([first, *more]))))
    return _table(("variable", "default", ""), rows)


def platform() -> str:
    """Return a table of the platform's numbers."""
    rows = []
    for name in vars(limits):
        if name.isupper():
            what, _, source = _docstring(f"limits.{name}").partition("\n\n")
            what, quotas, _ = _flat(what).partition(" (Quotas)")
            where = _QUOTAS if quotas else source.strip()
            rows.append((_amount(name), what.rstrip("."), f"[{_whose(where)}]({where})", f"`{name}`"))
    return _table(("at most", "", "source", "name"), rows)


def errors() -> str:
    """Return a table of the exceptions, each after its base."""
    rows = []
    for error in _errors(exceptions.GatesocketError):
        bases = " and ".join(f"`{base.__name__}`" for base in error.__bases__)
        what, *_ = _docstring(f"exceptions.{error.__name__}").split("\n\n")
        rows.append((f"`{error.__name__}`", bases, _flat(what)))
    return _table(("error", "is a", ""), rows)


def modules() -> str:
    """Return a table of the public modules."""
    rows = []
    for module in public_modules():
        path = f"src/{module.replace('.', '/')}"
        path = f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"
        what, *_ = _docstring(module.removeprefix("gatesocket.")).split("\n\n")
        rows.append((f"[`{module}`](../{path})", _flat(what).removesuffix("::").rstrip()))
    return _table(("module", ""), rows)


def commands() -> str:
    """Return every command of the command line, with its arguments and options."""
    parts = []
    for path, command in command_line().items():
        arguments = [parameter for parameter in command.params if isinstance(parameter, TyperArgument)]
        options = [parameter for parameter in command.params if isinstance(parameter, TyperOption)]
        usage = [path, *(f"[{_takes(each)}]" if not each.required else _takes(each) for each in arguments), "[OPTIONS]"]
        parts += [f"## `{path}`", f"```\n{' '.join(usage)}\n```", command.help or ""]
        if arguments:
            rows = [(f"`{_takes(each)}`", _default(each), _flat(each.help or "")) for each in arguments]
            parts.append(_table(("argument", "default", ""), rows))
        parts.append(_table(("option", "default", ""), [_option(each) for each in options]))
    return "\n\n".join(parts)


def command_line() -> dict[str, TyperCommand]:
    """Return the commands by what is typed to run them."""
    found = {}

    def look_into(path: str, command: Any) -> None:
        if isinstance(command, TyperGroup):
            for name, child in command.commands.items():
                look_into(f"{path} {name}", child)
        else:
            found[path] = command

    look_into("gatesocket", get_command(application))
    return found


def support_matrix() -> str:
    """Return the README's copy of the support matrix."""
    [table] = re.findall(r"^\|.*?(?=\n\n)", _read("docs/support-matrix.md"), re.DOTALL | re.MULTILINE)
    return re.sub(r"\]\((?=[\w-]+\.md)", "](docs/", str(table))


TABLES: Final[dict[str, Callable[[], str]]] = {
    "commands": commands,
    "errors": errors,
    "limits": platform,
    "modules": modules,
    "settings": settings,
    "support matrix": support_matrix,
}

_QUOTAS: Final = "https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"


def _docstring(path: str) -> str:
    """Return the docstring of what lies at *path* in the package, which may be an assignment."""
    found = package()[path]
    if found.docstring is None:
        raise ValueError(f"gatesocket.{path} has no docstring")
    return str(found.docstring.value)


def _errors(error: type[Exception]) -> Iterator[type[Exception]]:
    yield error
    for derived in error.__subclasses__():
        if derived.__module__ == exceptions.__name__:
            yield from _errors(derived)


def _option(option: TyperOption) -> tuple[str, str, str]:
    names = [*option.opts, *option.secondary_opts]
    if not option.is_flag:
        names = [f"{name} {_takes(option)}" for name in names]
    again = " It can be repeated." if option.multiple else ""
    return _flat(", ".join(f"`{name}`" for name in names)), _default(option), _flat(f"{option.help}{again}")


def _takes(parameter: TyperArgument | TyperOption) -> str:
    """Return the placeholder of a value."""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(member.value for member in kind)
    return parameter.metavar or (parameter.name or "").removeprefix("as_").replace("_", "-").upper()


def _default(parameter: TyperArgument | TyperOption) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if isinstance(parameter, TyperOption) and parameter.is_flag:
        names = parameter.opts if parameter.default else parameter.secondary_opts
        return f"`{names[0]}`" if names else ""
    return "" if parameter.required or parameter.default in {None, ""} else f"`{parameter.default}`"


def _amount(name: str) -> str:
    value = getattr(limits, name)
    if name.endswith("_BYTES"):
        return f"{value // 1024} KB"
    if name.endswith("_SECONDS") and value >= 60:  # noqa: PLR2004 - a minute
        return f"{value // 60} min" if value < 3600 else f"{value // 3600} h"  # noqa: PLR2004 - an hour
    return f"{value:,} s" if name.endswith("_SECONDS") else f"{value:,}"


def _whose(address: str) -> str:
    """Return the service whose quotas a page of AWS's documentation lists."""
    names = {"apigateway": "API Gateway", "amazondynamodb": "DynamoDB", "AWSSimpleQueueService": "SQS"}
    return next(name for part, name in names.items() if f"/{part}/" in address)


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(re.sub(r"\|\s+(?=\|)", "| ", f"| {' | '.join(line)} |") for line in lines)


def _read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _write() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if filled(text) != text:
            page.write_text(filled(text), encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    _write()
