"""Where the server is: what the drawer of the page shows of the route behind a connection.

It tells the names of a route's locals, not their values, and it tells the route's source. So it is for those who
develop the app; `Settings.show_source` decides.
"""

import os
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath
from pydantic import BaseModel

from chat.settings import settings
from gatesocket.whereabouts import Place, whereabouts

__all__ = ["router"]

HANDLERS: Final = Path(__file__).parents[1]

router = APIRouter()


class Waiting(BaseModel):
    """One function of a route, where it waits."""

    file: str
    function: str
    line: int
    names: list[str]
    """The locals that are kept."""
    first: int
    """The number of the first line of *source*."""
    source: list[str]


class Whereabouts(BaseModel):
    """Where a connection's route waits, outermost function first."""

    hibernates: bool
    """Whether it is stored in between, or waits in the memory of the server's process."""
    bytes: int | None
    """What is stored."""
    runs: bool
    """Whether it runs at this moment, and has waited where *waiting* says before that."""
    version: int
    """Another number means that the route has run meanwhile."""
    waiting: list[Waiting]


@router.get("/connections/{connection}/whereabouts")
async def where_it_waits(connection: Annotated[str, InPath(max_length=128)]) -> Whereabouts:
    """Say where the route of a connection waits, with the source around it."""
    if not settings.show_source:
        raise HTTPException(403, "This deployment doesn't show its source. CHAT_SHOW_SOURCE=true would have it.")
    found = await whereabouts(connection)
    if found is None:
        raise HTTPException(404, "There is no such connection any more.")
    return Whereabouts(
        hibernates=found.stored is not None,
        bytes=found.stored,
        runs=found.runs,
        version=found.version,
        waiting=[described(place) for place in found.places if place.file is not None],
    )


def described(place: Place) -> Waiting:
    """Describe a place for the page."""
    first, source = place.source()
    return Waiting(
        file=os.path.relpath(str(place.file), HANDLERS),
        function=place.function.partition(":")[2],
        line=place.line or first,
        names=list(place.names),
        first=first,
        source=source,
    )
