"""From the receive up to the run: which functions of the route's are waiting."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from gatesocket.exceptions import CannotHibernate, Finding
from gatesocket.hibernation.dependencies import Solved, solved_in, solves
from gatesocket.hibernation.entry import Activation
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.tasks import IN_CONTEXT
from gatesocket.hibernation.units import Point, Unit, is_transformed, unit_of

__all__ = ["Live", "walk"]


@dataclass(slots=True)
class Live:
    """A transformed function on the stack."""

    frame: FrameType
    members: Mapping[str, Any]
    """Its locals."""
    unit: Unit
    point: Point
    activation: Activation
    direct: bool
    """Whether it awaits the next transformed function itself, without a framework in between."""
    entered: bool = False
    """Whether a framework has called it, which calls it again on waking."""
    ends: bool = False
    """Whether the framework that has called it expects nothing of it, so that it can be left as if it had returned."""
    solved: Solved | None = None
    """The dependencies that FastAPI has resolved for it."""

    def enter(self) -> None:
        """Note that a framework has called it."""
        self.entered = True
        self.ends = self.solved is None or self.solved.complete


_passed: dict[int, CodeType] = {}
"""Framework code that is only passed on the way, by identity: nearly all of a stack."""
_at: dict[tuple[int, int], Point] = {}
"""The point that an instruction of transformed code was seen to wait at, by the identity of the code: units are kept
for good."""


def walk(frame: FrameType | None) -> list[Live]:
    """Find the transformed functions between *frame* and the run, outermost first.

    Raises:
        CannotHibernate: a function of the app's is on the way that can't be left where it is.
    """
    found: list[Live] = []
    findings: list[Finding] = []
    last: Live | None = None
    passed = _passed
    while True:
        while frame is not None and id(frame.f_code) in passed:
            frame = frame.f_back
        if frame is None or (code := frame.f_code) is IN_CONTEXT:
            break
        called = last if last is not None and last.frame.f_back is frame else None
        if is_transformed(code):
            live = _live(frame, direct=called is not None)
            if isinstance(live, Finding):
                findings.append(live)
            else:
                found.append(live)
                last = live
                outer = frame.f_back
                if outer is not None and id(outer.f_code) in passed:
                    live.enter()
        elif origin(code.co_filename) is Origin.FRAMEWORK:
            _note(frame, last)
            if called is not None:
                called.enter()
        else:
            what = f"{code.co_qualname} can't hibernate here: it was not transformed"
            remedy = "Await it directly from the route, or receive in the route itself"
            findings.append(Finding(code.co_filename, frame.f_lineno, what, remedy))
        frame = frame.f_back
    if findings:
        raise CannotHibernate(*findings)
    return found[::-1]


def _note(frame: FrameType, last: Live | None) -> None:
    """Take what is to be known of a frame of the framework's; code without any is only passed from now on."""
    code = frame.f_code
    if not solves(code):
        _passed[id(code)] = code
    elif last is not None:
        last.solved = solved_in(frame) or last.solved


def _live(frame: FrameType, *, direct: bool) -> Live | Finding:
    code = frame.f_code
    members = dict(frame.f_locals)  # from Python 3.13 on, each look into that itself would search all names
    unit = unit_of(code)
    point = unit.points.get(members.get(".p", 0))
    if point is not None and (point is _at.get((id(code), frame.f_lasti)) or _is_at(frame, point)):
        return Live(frame, members, unit, point, members[".a"], direct)
    what = f"{unit.name} can't hibernate here: its source doesn't show that this waits for the client"
    remedy = "Receive in a plain `await` in the body of the function"
    return Finding(code.co_filename, frame.f_lineno, what, remedy)


def _position(code: CodeType, instruction: int) -> tuple[int | None, ...]:
    return next(islice(code.co_positions(), instruction, None))


def _is_at(frame: FrameType, point: Point) -> bool:
    """Whether *frame* is in the await of *point*, and not in another one that comes after it."""
    position = _position(frame.f_code, frame.f_lasti // 2)
    if None in position:  # Python was told not to keep them (-X no_debug_ranges)
        return point.position[0] <= frame.f_lineno <= point.position[1]
    if position == point.position:
        _at[id(frame.f_code), frame.f_lasti] = point
        return True
    return False
