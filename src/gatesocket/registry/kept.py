"""Histories of groups as DynamoDB items, and back, without any I/O.

::

    pk           sk                     the rest
    H#<group>    <run>.<index>          text, id, kept_at, until, expires_at
    H#<group>    run                    run, expires_at

The order of the sort keys is the order of the history. A text goes to the place after the last one, if that place is
still free. So the history has no hole at any moment, and nothing of it depends on a second write: two who write at once
want the same place, one gets it, and the other looks for the next.

What a run is says the one item beside them, written when nothing else is there: those who begin at once would otherwise
each begin a run of their own. A text's place is remembered for a day after nobody is to get it any more, at least; and
no place for longer than the ones after it, so that as long as anything is there the last one is.
"""

from typing import Final

from gatesocket.exceptions import UnreadableHistory
from gatesocket.registry.base import REMEMBERED_SECONDS, Kept, Place
from gatesocket.registry.items import Item, number
from gatesocket.registry.writes import Write

__all__ = ["LAST", "begin", "decode", "encode", "history_key", "put", "run_item", "run_of", "sort_key"]

DIGITS: Final = 12
"""Digits of a run and of an index, so that texts sort as the numbers do."""

LAST: Final = Place(10**DIGITS - 1, 10**DIGITS - 1)
"""After everything that any group keeps."""

RUN: Final = "run"
"""The sort key of what says which run there is; it isn't among the places."""


def history_key(group: str) -> str:
    """Return the partition key of a group's history."""
    return f"H#{group}"


def sort_key(place: Place) -> str:
    """Return the sort key of a place."""
    return f"{place.run:0{DIGITS}}.{place.index:0{DIGITS}}"


def encode(group: str, kept: Kept, *, id: str, least: int) -> Item:  # noqa: A002
    """Return the item of a text that is *kept* by the call *id*; it is there until *least*, or longer."""
    return {
        "pk": {"S": history_key(group)},
        "sk": {"S": sort_key(kept.place)},
        "text": {"S": kept.text},
        "id": {"S": id},
        "kept_at": number(kept.at),
        "until": number(kept.until),
        "expires_at": number(max(kept.at + REMEMBERED_SECONDS, least)),
    }


def decode(group: str, item: Item) -> tuple[Kept, int]:
    """Return what `encode` made *item* of, and when it expires.

    Raises:
        UnreadableHistory: it is no such item.
    """
    try:
        run, _, index = item["sk"]["S"].partition(".")
        kept = Kept(Place(int(run), int(index)), item["text"]["S"], int(item["kept_at"]["N"]), int(item["until"]["N"]))
        expires_at = int(item["expires_at"]["N"])
    except (KeyError, ValueError) as error:
        raise _unreadable(group, error) from error
    if item["sk"]["S"] != sort_key(kept.place) or not 0 < kept.place.index < LAST.index:
        raise UnreadableHistory(group, f"{item['sk']['S'][:80]!r} is no place in it")
    if not (kept.text.startswith("{") and kept.text.endswith("}")):
        raise UnreadableHistory(group, "it holds what is no JSON object")
    return kept, expires_at


def run_item(group: str, run: int) -> Item:
    """Return the item that begins a run."""
    return {
        "pk": {"S": history_key(group)},
        "sk": {"S": RUN},
        "run": number(run),
        "expires_at": number(run + REMEMBERED_SECONDS),
    }


def run_of(group: str, item: Item) -> tuple[int, int]:
    """Return the run that *item* has begun, and when it expires.

    Raises:
        UnreadableHistory: it is no such item.
    """
    try:
        run, expires_at = int(item["run"]["N"]), int(item["expires_at"]["N"])
    except (KeyError, ValueError) as error:
        raise _unreadable(group, error) from error
    if not 0 < run < LAST.run:
        raise UnreadableHistory(group, f"{run} is no run")
    return run, expires_at


def put(id: str) -> Write:  # noqa: A002
    """Put a text where none is, or where the call *id* itself has put it, whose answer was lost."""
    return Write("", "attribute_not_exists(#pk) OR #id = :id", {":id": {"S": id}})


def begin(now_seconds: int) -> Write:
    """Put what begins a run where there is none any more."""
    return Write("", "attribute_not_exists(#pk) OR #expires_at <= :now_seconds", {":now_seconds": number(now_seconds)})


def _unreadable(group: str, error: Exception) -> UnreadableHistory:
    why = f"it wasn't written by Gatesocket, or was damaged: {type(error).__name__}: {error}"
    return UnreadableHistory(group, why)
