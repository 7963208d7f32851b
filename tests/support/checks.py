"""The scripts of infra/checks, run as whoever has deployed a stack would run them."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CREDENTIALS", "PATIENCE", "Ended", "run_check"]

ROOT = Path(__file__).parents[2]
PATIENCE = 50  # s, for all checks on a busy machine
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Ended:
    """What a script printed, line by line, and its exit status."""

    status: int
    lines: list[str]
    errors: str


async def run_check(script: str, *arguments: str, **environment: str) -> Ended:
    """Run a script, with no AWS configuration but what is given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nothing = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, f"infra/checks/{script}", *arguments),
        cwd=ROOT,
        env={**inherited, **nothing, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            printed, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, printed.decode().splitlines(), errors.decode())
