"""``python -m gatesocket.emulator.moto_server``: moto's server, for `gatesocket.emulator.aws`.

It prints the port that it got, and serves until its standard input ends. So it can't outlive the process that holds the
other end, however that ends.
"""

import logging
import sys

from moto.moto_server.threaded_moto_server import ThreadedMotoServer

__all__ = ["main"]


def main() -> None:
    """Serve until the parent closes our standard input."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
