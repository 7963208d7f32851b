"""One message of a hibernating route, in a process of its own: what the cloud may do, with nothing shared but bytes.

Reads a JSON object from standard input (the module's path, the endpoint, the number of the message, the snapshot) and
writes one (the transcript, the next snapshot).
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

from gatesocket.hibernation import prepare
from support.lives import ending, load, messages, one_run, scope, send, transcript


async def main(task: dict[str, Any]) -> dict[str, Any]:
    """Run the endpoint for one message."""
    module = load(Path(task["path"]), only=task["name"])
    message = messages(module.endpoint.frames[task["name"]])[task["number"]]
    given = base64.b64decode(task["snapshot"]) if task["snapshot"] else None
    at = scope(module.endpoint.paths[task["name"]])
    life = one_run(module.app, at, [message], send, prepare(module.app), given)
    hibernated = await ending(life, task["path"])
    snapshot = base64.b64encode(hibernated.snapshot).decode("ascii") if hibernated else None
    return {"transcript": transcript, "snapshot": snapshot}


if __name__ == "__main__":
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
