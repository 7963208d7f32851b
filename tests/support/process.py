"""One message of a hibernating route, in a process of its own: what the cloud may do, with nothing shared but bytes.

Reads a JSON object from standard input (the module's path, the endpoint, the number of the message, the snapshot) and
writes one (the transcript, the next snapshot).
"""

import asyncio
import base64
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from gatesocket.hibernation import prepare, run
from support.lives import ending, load, messages, scope, send, transcript


async def main(task: dict[str, Any]) -> dict[str, Any]:
    """Run the endpoint for one message."""
    module = load(Path(task["path"]), only=task["name"])
    waiting = [messages(module.endpoint.frames[task["name"]])[task["number"]]]
    life = run(
        module.app,
        scope(module.endpoint.paths[task["name"]]),
        partial(lambda waiting: waiting.pop() if waiting else None, waiting),
        send,
        blueprint=prepare(module.app),
        snapshot=base64.b64decode(task["snapshot"]) if task["snapshot"] else None,
    )
    hibernated = await ending(life, task["path"])
    snapshot = base64.b64encode(hibernated.snapshot).decode("ascii") if hibernated else None
    return {"transcript": transcript, "snapshot": snapshot}


if __name__ == "__main__":
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
