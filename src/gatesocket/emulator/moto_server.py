"""``python -m gatesocket.emulator.moto_server``: moto's server, for `gatesocket.emulator.aws`.

It prints the port that it got, and serves until its standard input ends. So it can't outlive the process that holds the
other end, however that ends.
"""

import logging
import sys
from collections.abc import Iterable
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs.models import Queue
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["OneWriteAtATime", "look_for_delayed_messages", "main"]

DELAY_SECONDS: Final = 0.05
"""By how much a delayed message may be late."""


class OneWriteAtATime:
    """Serve DynamoDB's calls one after the other, as DynamoDB does for any one item.

    moto answers each call in a thread of its own, and a conditional write of it is a check followed by a write: without
    this, two of them pass the same check, and a connection has two holders of one lease.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._turn = Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self._app(environ, start_response)
        with self._turn:
            return list(self._app(environ, start_response))


def look_for_delayed_messages(queue: type, *, every: float) -> None:
    """Make long polls of moto's class *queue* look *every* so many seconds for messages whose delay is over.

    A new message ends a long poll at once, but a delayed one is looked for once a second only: a timer of 2 s would
    ring after up to 3.
    """
    wait = queue.wait_for_messages  # type: ignore[attr-defined]
    queue.wait_for_messages = lambda self, timeout: wait(self, min(timeout, every))  # type: ignore[attr-defined]


def main() -> None:
    """Serve until the parent closes our standard input."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    look_for_delayed_messages(Queue, every=DELAY_SECONDS)
    app = OneWriteAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.shutdown()
    thread.join()
    server.server_close()


if __name__ == "__main__":
    main()
