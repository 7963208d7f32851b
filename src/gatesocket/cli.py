"""The command line: from its arguments to an exit status.

The commands themselves are in `gatesocket.commands`, which needs the ``local`` extra; this module says so where it
isn't installed, and turns every error that is the user's to remedy into one line.
"""

import sys
from collections.abc import Sequence
from typing import Final

from gatesocket.exceptions import ConfigurationError

__all__ = ["main"]

_USAGE: Final = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; None takes the process's own arguments.

    The exit status is 0, 1 for findings of ``gatesocket check``, and 2 for what the user has to remedy first.
    """
    try:
        from gatesocket.commands import application  # noqa: PLC0415 (needs an extra, and takes its time)

        application(arguments)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "gatesocket":
            raise
        _fail(f"{error.name} isn't installed, which this command needs: pip install 'gatesocket[local]'")
    except ConfigurationError as error:
        _fail(str(error))


def _fail(message: str) -> None:
    sys.stderr.write(f"gatesocket: {message}\n")
    sys.exit(_USAGE)
