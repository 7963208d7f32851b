"""Start the reference app in a process of its own, as a user would, and end it."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

__all__ = ["Server"]

ROOT = Path(__file__).parents[2]
READY_WITHIN = 40  # s: a cold import on a busy machine
ENDED_WITHIN = 10  # s

COMMANDS = {
    "uvicorn": ("uvicorn", "--app-dir", "handlers", "chat.app:app", "--port"),
    "gateway": ("gatesocket", "dev", "--no-reload", "--port"),
}
"""What serves the app, by life; the port comes last."""


class Server:
    """The app in one of its lives, on a free port of this machine; after a `stop`, `start` takes the same port.

    The *options* are further ones of the life's command.
    """

    def __init__(self, life: str, *options: str) -> None:
        self.life = life
        self.options = options
        self.port = 0
        self.output: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when the server listens, which it says by printing its address."""
        said = threading.Event()
        self._listens = False
        self._process = subprocess.Popen(
            (sys.executable, "-m", *COMMANDS[self.life], str(self.port), *self.options),
            cwd=ROOT,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process, said), daemon=True)
        self._reader.start()
        said.wait(READY_WITHIN)
        if not self._listens:
            self.stop()
            raise RuntimeError(f"{self.life} did not start:\n{''.join(self.output)}")

    def stop(self) -> None:
        """End it as Ctrl-C does; its clients are told, or not, as that server does it."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(ENDED_WITHIN)
        self._reader.join(ENDED_WITHIN)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _read(self, process: subprocess.Popen[str], said: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.output.append(line)
                if not self._listens and (address := re.search(r"http://127\.0\.0\.1:(\d+)", line)):
                    self.port = int(address[1])
                    self._listens = True
                    said.set()
        said.set()  # it has ended: nothing more will come


def _environment() -> dict[str, str]:
    # A table that the developer's shell names would make the app a client of AWS.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GATESOCKET_"))}
    return kept | {"PYTHONUNBUFFERED": "1"}
