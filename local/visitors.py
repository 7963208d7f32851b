"""Fill a room of the running chat with visitors, so that its page has something to show.

Start the chat with `make run`, then, in another terminal::

    .venv/bin/python local/visitors.py --room lobby --say 3

It says what each visitor hears, and ends when all of them have said what they had to say.
"""

import argparse
import asyncio
import itertools
import json
from collections.abc import Sequence

from websockets.asyncio.client import ClientConnection, connect

NAMES = ("Ada", "Grace", "Hedy", "Radia")
LINES = ("Good morning!", "Does anybody else see this?", "I was woken just for that.", "Back in a frame.")


async def visit(url: str, room: str, name: str, lines: Sequence[str]) -> None:
    """Join *room* as *name*, say *lines* one by one, each after the one before was heard by everybody, and leave."""
    async with connect(f"{url}/ws/{room}?name={name}") as client:
        await hear(client, name, until="welcome")
        for line in lines:
            await client.send(json.dumps({"type": "say", "data": {"text": line}}))
            await hear(client, name, until=line)


async def hear(client: ClientConnection, name: str, *, until: str) -> None:
    """Print what comes, up to the message of the type, or with the text by *name*, that *until* gives."""
    async for text in client:
        message = json.loads(text)
        data = message.get("data", {})
        print(f"{name:<6} hears {json.dumps(message)}")
        if until in (message.get("type"), data.get("text") if data.get("name") == name else None):
            return


async def main(arguments: Sequence[str] | None = None) -> None:
    """Let all visitors in at once."""
    parser = argparse.ArgumentParser(description="Fill a room of the running chat with visitors.")
    parser.add_argument("--url", default="ws://127.0.0.1:8000", help="where the chat is (default: %(default)s)")
    parser.add_argument("--room", default="lobby", help="the room to visit (default: %(default)s)")
    parser.add_argument("--visitors", type=int, default=len(NAMES), help="how many (default: %(default)s)")
    parser.add_argument("--say", type=int, default=len(LINES), help="lines that each says (default: %(default)s)")
    options = parser.parse_args(arguments)
    names = [f"{name}{number or ''}" for number, name in itertools.islice(_numbered(), options.visitors)]
    lines = list(itertools.islice(itertools.cycle(LINES), options.say))
    async with asyncio.TaskGroup() as visits:
        for name in names:
            visits.create_task(visit(options.url, options.room, name, lines))


def _numbered() -> "itertools.chain[tuple[int, str]]":
    """Go through the names again and again, with a number from the second time on."""
    return itertools.chain.from_iterable([(number, name) for name in NAMES] for number in itertools.count())


if __name__ == "__main__":
    asyncio.run(main())
