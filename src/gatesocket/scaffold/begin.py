"""The work of ``gatesocket init``: look at an app, write what it lacks, and say what to do next."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gatesocket.exceptions import CannotHibernate, ConfigurationError
from gatesocket.hibernation import check
from gatesocket.scaffold.addresses import Address, addresses_of, tried
from gatesocket.scaffold.needs import Needs, needs_of
from gatesocket.scaffold.project import Project, locate, write

__all__ = ["begin"]


def begin(
    app: Any,
    spec: str,
    directory: Path,
    *,
    name: str | None = None,
    parts: Collection[str] = (),
    attempt: bool = True,
    force: bool = False,
) -> str:
    """Write what *app* lacks to run on API Gateway, and return a report for its developer.

    Args:
        app: the ASGI app, imported already.
        spec: what it was imported by, ``module:attribute``.
        directory: the project's own, where template and tests belong.
        name: what the stack is called; None takes the app's package, or the directory if that says nothing.
        parts: ``http``, ``jobs`` and ``broadcasts``: what the stack has although the app doesn't use it yet.
        attempt: whether to open each route once, so that the test expects what happens.
        force: whether to replace what is in the way.

    Raises:
        CannotHibernate: a route can't hibernate; nothing was written.
        ConfigurationError: the app can't be used, or the files can't be written; none was.
    """
    report = check(app)
    if report.findings:
        raise CannotHibernate(*report.findings)
    if not report.routes:
        raise ConfigurationError(f"{spec} has no WebSocket routes, which is what Gatesocket is for. Name another app")
    module = sys.modules[spec.partition(":")[0]]
    project = locate(spec, module, directory, name)
    needs = _with(needs_of(app, module, project.root), parts)
    addresses = addresses_of(app)
    if attempt:
        addresses = tried(app, addresses, project.root)
    files = project.files(needs, addresses)
    lacking = project.lacking(files[project.requirements])
    if project.requirements.exists():
        del files[project.requirements]
    write(files, force=force)
    paragraphs = [
        ["Written:", *(f"  {os.path.relpath(path)}" for path in files)],
        [f"note: {note}" for note in report.notes],
        [f"note: {remark}" for remark in _remarks(project, addresses, lacking)],
        _next(project),
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)


def _with(needs: Needs, parts: Collection[str]) -> Needs:
    return replace(
        needs,
        http=needs.http or "http" in parts,
        jobs=needs.jobs or "jobs" in parts,
        broadcasts=needs.broadcasts or "broadcasts" in parts,
    )


def _remarks(project: Project, addresses: Iterable[Address], lacking: Sequence[str]) -> Iterator[str]:
    if lacking:
        yield f"{os.path.relpath(project.requirements)} is yours and stays. Add to it: {', '.join(lacking)}"
    for address in addresses:
        if address.failure is not None:
            yield f"{address.path} failed when it was opened, and so will its test: {address.failure}"
        elif address.refusal is not None:
            yield (
                f"{address.path} answers {address.refusal} to whoever only knows the address. The test expects that; "
                "add one of a client that is let in"
            )
        elif address.url is None:
            yield f"{address.path} was not tried, as its address can't be made up. Add it to the test"


def _next(project: Project) -> list[str]:
    test = "python -m pytest"
    if project.configures_pytest():
        # Whatever the project's own configuration says of the path; it may well say nothing.
        test += f" -o pythonpath={project.code} {project.test.relative_to(project.directory)}"
    commands = {
        "gatesocket dev": "run the app on an emulated API Gateway",
        test: "test its routes as the cloud serves them",
        "sam build && sam deploy --guided": "deploy it",
    }
    width = max(map(len, commands))
    where = os.path.relpath(project.directory)
    return [
        "Next:" if where == "." else f"Next, in {where}:",
        *(f"  {command:<{width}}  # {what}" for command, what in commands.items()),
    ]
