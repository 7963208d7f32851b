"""Exchanges as pages show them, held with an app.

::

    ann  /ws/lobby?name=ann     ann connects
    ann  → hello                ann sends a message
    bob  ← ann: hello           what bob receives
    eve  × 403                  eve isn't let in, or is closed with that code
    ann  × 1008, on API Gateway 1000
    bob  leaves

Who does it may be left out where there is only one client. A message goes on in lines that are indented.
"""

import json
import re
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Final

from support.pages import Block
from support.served_lives import Client, Closed, Refused, Socket

__all__ = ["hold", "is_exchange"]

_LINE: Final = re.compile(r"(?:(?P<who>\w+) +)?(?P<what>→|←|×|leaves|(?=/))(?P<text>.*)", re.DOTALL)
_END: Final = re.compile(r" (?P<code>\d+)(?:, on API Gateway (?P<cloud>\d+))?")


@dataclass
class _Someone:
    """One client of an exchange."""

    connecting: AbstractContextManager[Socket]
    stack: ExitStack
    socket: Socket | None = None

    def open(self) -> Socket:
        """Connect, unless that is done; raise `Refused` if it isn't let in."""
        if self.socket is None:
            self.socket = self.stack.enter_context(self.connecting)
        return self.socket

    def code_of_end(self) -> int:
        """Wait for the end of a connection, and return its code; the status of a handshake that is refused."""
        try:
            received = self.open().receive()
        except Refused as refused:
            return refused.status
        except Closed as closed:
            return closed.code
        raise AssertionError(f"expected the end of the connection, but got {received!r}")


def is_exchange(block: Block) -> bool:
    """Tell whether a block is an exchange."""
    return _LINE.match(block.text) is not None and block.text.partition("\n")[0].rpartition(" ")[2].startswith("/")


def hold(block: Block, client: Client, *, cloud: bool) -> None:
    """Have clients of an app say what *block* says, and look whether they get what it says."""
    clients: dict[str | None, _Someone] = {}
    with ExitStack() as stack:
        for line in re.split(r"\n(?! )", block.text.strip("\n")):
            found = _LINE.fullmatch(line)
            assert found, f"not a line of an exchange: {line!r}"
            who, what, text = found["who"], found["what"], found["text"]
            if not what:
                clients[who] = _Someone(client.connect(text), stack)
                continue
            someone = clients[who]
            if what == "→":
                someone.open().send(text.strip())
            elif what == "←":
                got = someone.open().receive()
                assert _said(got) == _said(text.strip()), f"{line}, but got {got!r}"
            elif what == "×":
                end = _END.fullmatch(text)
                assert end, f"not the end of a connection: {line!r}"
                code = someone.code_of_end()
                assert code == int((cloud and end["cloud"]) or end["code"]), f"{line}, but got {code}"
            else:
                someone.open().close()


def _said(message: str | bytes) -> Any:
    """What a message says: JSON, whatever its spaces, or a text."""
    try:
        return json.loads(message)
    except ValueError:
        return message
