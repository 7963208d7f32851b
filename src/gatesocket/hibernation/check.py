"""What would not survive hibernation, and what is kept: the report of ``gatesocket check``."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from gatesocket.exceptions import Finding
from gatesocket.hibernation.blueprint import RoutePlan, blueprint_of

__all__ = ["Report", "check"]


@dataclass(frozen=True, slots=True)
class Report:
    """What hibernation means for an app."""

    routes: tuple[RoutePlan, ...]
    findings: tuple[Finding, ...]
    """What is refused: the handler can't be made."""
    notes: tuple[Finding, ...]
    """What might be refused at run time, or mean something else in the cloud."""

    def to_json(self) -> str:
        """Write the report as JSON: an object with ``routes``, ``findings`` and ``notes``."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        lines = [f"{finding.file}:{finding.line}: {finding.what}. {finding.remedy}" for finding in self.findings]
        lines += [f"{note.file}:{note.line}: note: {note.what}. {note.remedy}" for note in self.notes]
        for route in self.routes:
            lines.append(f"{route.path}  {route.endpoint}  ({route.file}:{route.line})")
            lines += [
                f"  {point.function}:{point.line}  {point.awaited}  keeps {', '.join(point.kept) or 'nothing'}"
                for point in route.points
            ]
        return "\n".join(lines)


def check(app: Any) -> Report:
    """Say what of *app* can't hibernate, what might not, and what each route keeps.

    Raises:
        ConfigurationError: *app* is not an ASGI app.
    """
    blueprint = blueprint_of(app)
    return Report(blueprint.routes, blueprint.findings, blueprint.notes)
