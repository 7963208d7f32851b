"""``python -m gatesocket.emulator.moto_server``: moto's server, for `gatesocket.emulator.aws`.

It prints the port that it got, and serves until its standard input ends. So it can't outlive the process that holds the
other end, however that ends.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs.models import Queue
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["OneCallAtATime", "main", "share_long_polls"]

DELAY_SECONDS: Final = 0.05
"""By how much a delayed message may be late."""


class OneCallAtATime:
    """Serve the calls to a service one after the other, as DynamoDB and SQS do for any one item or message group.

    moto answers each call in a thread of its own, and what a call checks may no longer hold when it writes: without
    this, a connection has two holders of one lease, and a message that is sent while another is deleted is lost.

    Args:
        app: moto.
        turns: of each service, by the beginning of its calls' target, who has the turn.
    """

    def __init__(self, app: "WSGIApplication", turns: Mapping[str, Lock]) -> None:
        self._app = app
        self._turns = turns

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        for service, turn in self._turns.items():
            if target.startswith(service):
                with turn:
                    return list(self._app(environ, start_response))
        return self._app(environ, start_response)


def share_long_polls(queue: type, turn: Lock, *, every: float) -> None:
    """Make long polls of moto's class *queue* give their *turn* away while they wait, and look *every* so many seconds.

    A new message ends a long poll at once, but one whose delay is over would be looked for once a second only: a timer
    of 2 s would ring after up to 3.
    """
    wait = queue.wait_for_messages  # type: ignore[attr-defined]

    def wait_for_messages(self: Queue, timeout: float) -> None:
        turn.release()
        try:
            wait(self, min(timeout, every))
        finally:
            turn.acquire()

    queue.wait_for_messages = wait_for_messages  # type: ignore[attr-defined]


def main() -> None:
    """Serve until the parent closes our standard input."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    turns = {"DynamoDB": Lock(), "AmazonSQS": Lock()}
    share_long_polls(Queue, turns["AmazonSQS"], every=DELAY_SECONDS)
    app = OneCallAtATime(DomainDispatcherApplication(create_backend_app), turns)
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
