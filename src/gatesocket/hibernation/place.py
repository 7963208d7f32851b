"""Where a snapshot's route waits, in words for people."""

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.snapshot import Snapshot
from gatesocket.hibernation.units import unit_named

__all__ = ["place_of"]


def place_of(snapshot: bytes) -> str | None:
    """Return where the innermost function of the route waits, as ``module:function:line``.

    Without the line if that function isn't loaded here or reads differently now; None if the snapshot can't be read.
    Either is for whoever wakes the route to say.
    """
    try:
        frame = Snapshot.load(snapshot).frames[-1]
    except SnapshotError:
        return None
    try:
        return f"{frame.name}:{unit_named(frame.key).points[frame.point].line}"
    except (KeyError, SnapshotError):
        return frame.name
