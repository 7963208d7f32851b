"""Record the snapshots of a release, for the Python that runs this.

``python tests/histories/record.py release_0_1_0`` writes what each of the release's endpoints hibernates as, after each
message, into the file beside the release's endpoints. Run it once per release and Python version, with the release.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from gatesocket.hibernation import prepare, run
from support.lives import load, messages, scope, send, transcript


async def recorded(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Run each endpoint of *path*, and keep each snapshot with how much had happened by then."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, frames in load(path).endpoint.frames.items():
        module = load(path, only=name)
        blueprint = prepare(module.app)
        transcript.clear()
        snapshot: bytes | None = None
        found[name] = []
        for message in messages(frames)[:-1]:
            waiting = [message]
            hibernated = await run(
                module.app,
                scope(module.endpoint.paths[name]),
                lambda waiting=waiting: waiting.pop() if waiting else None,  # type: ignore[misc]
                send,
                blueprint=blueprint,
                snapshot=snapshot,
            )
            assert hibernated is not None, f"{name} has ended before its client has left"
            snapshot = hibernated.snapshot
            found[name].append({"after": len(transcript), "snapshot": base64.b64encode(snapshot).decode("ascii")})
    return found


def main(release: str) -> None:
    """Add what this Python records to the release's file."""
    path = Path(__file__).with_name(f"{release}.py")
    file = path.with_suffix(".json")
    histories = json.loads(file.read_text("utf-8")) if file.exists() else {}
    histories[f"{sys.version_info.major}.{sys.version_info.minor}"] = asyncio.run(recorded(path))
    file.write_text(json.dumps(histories, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
