"""Keeps the Lambda events of a stack as files, for ``sam local invoke -e`` and for tests."""

import itertools
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gatesocket.emulator.activity import Activity, Invoked
from gatesocket.exceptions import ConfigurationError

__all__ = ["Recorder", "kind_of"]

logger = logging.getLogger("gatesocket.emulator")

_NUMBER: Final = re.compile(r"(\d{6})-.*\.json")


class Recorder:
    """A watch that writes each event into a file of its own, ``000001-WebSocketFunction-connect.json`` and so on.

    The numbers go on from those that are there already, so that names sort as the events came. What clients sent is in
    the files as it came, their cookies and tokens too.

    Args:
        directory: where to; made if it isn't there.

    Raises:
        ConfigurationError: nothing can be written there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            trial = directory / ".writable"
            trial.touch()
            trial.unlink()
            self._numbers = _after(directory)
        except OSError as error:
            raise ConfigurationError(
                f"events can't be recorded in {directory}: {error.strerror}. Name a directory that can be written: "
                "--record"
            ) from error

    def __call__(self, activity: Activity) -> None:
        """Write the event of an invocation; other activities leave no trace."""
        if not isinstance(activity, Invoked):
            return
        name = f"{next(self._numbers):06}-{activity.function}-{kind_of(activity.event)}.json"
        try:
            (self._directory / name).write_text(json.dumps(activity.event, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            # The stack goes on: whoever records would lose more than this file.
            logger.error("the event of request %s isn't recorded: %s", activity.request_id, error)  # noqa: TRY400


def kind_of(event: Mapping[str, Any]) -> str:
    """Say in one word what invokes a function: ``connect``, ``message``, ``disconnect``, ``sqs``, ``http`` and such."""
    match event:
        case {"Records": [{"eventSource": str(source)}, *_]}:
            return source.removeprefix("aws:")
        case {"requestContext": {"http": _}}:
            return "http"
        case {"requestContext": {"eventType": str(kind)}}:
            return "authorize" if event.get("type") == "REQUEST" else kind.lower()
    return "event"


def _after(directory: Path) -> Iterator[int]:
    taken = (_NUMBER.fullmatch(path.name) for path in directory.iterdir())
    return itertools.count(1 + max((int(found[1]) for found in taken if found), default=0))
