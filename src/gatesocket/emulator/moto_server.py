"""``python -m gatesocket.emulator.moto_server``: moto's server, for `gatesocket.emulator.aws`.

It prints the port that it got, and serves until its standard input ends. So it can't outlive the process that holds the
other end, however that ends.
"""

import logging
import sys
from collections.abc import Iterable
from threading import Lock, Thread
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["OneWriteAtATime", "main"]


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


def main() -> None:
    """Serve until the parent closes our standard input."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
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
