"""What one message costs inside the function: from the Lambda event to the response, in CPU time.

Ours wakes the route, lets it answer and stores it again: a lease taken, a post, a release. Beside it stand an echo as
one writes it by hand with boto3, which only reads an item and posts, and the same app's HTTP request through Mangum,
which calls nothing. What ours takes is shown step by step: without calls, with calls that nobody sends, with nothing
but the waiting for their answers, and whole. ::

    .venv/bin/python benchmarks/handler.py
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from canned import CannedClient, CannedGateway, CannedRegistry, record_of
from canned_aws import canned_aws, environment
from functions.echo_app import app
from gatesocket import WebSocketHandler
from gatesocket.clock import milliseconds
from gatesocket.gateway.management_api import ManagementAPI
from gatesocket.registry.base import Record
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.items import encode
from gatesocket.settings import Settings
from measure import Options, Results, Subject, calls, cpu_microseconds, options, report
from sample_events import Context, http, message

PATH: Final = "/ws/lobby"
SLEEP: Final = 0.0001
"""Seconds until an answer comes that isn't there at once: what a process pays for sleeping and for being woken doesn't
depend on how long it has slept, between that and some milliseconds."""
TEXT: Final = "Good morning! Does anybody else see this? I was woken just for it."


def main() -> None:
    """Measure, and print."""
    chosen = options("CPU time per message inside the handler.", samples=15, seconds=40)
    record = record_of(app, PATH, TEXT)
    with canned_aws(encode(record), awake=True) as address:
        os.environ |= environment(address)
        report("handler", [_measured(record, chosen)], chosen)


def _measured(record: Record, chosen: Options) -> Results:
    # Only now: boto3's clients are made with the module, as they are in functions, and look at the environment.
    from functions import boto3_echo, mangum_echo  # noqa: PLC0415

    gateway = CannedGateway()
    alone = WebSocketHandler(app, registry=CannedRegistry(record), gateway=gateway, settings=Settings(table=None))
    unsent, waiting = (_unsent(CannedClient(encode(record), seconds=seconds)) for seconds in (None, SLEEP))
    deployed = WebSocketHandler(app)
    event, request = message(TEXT, now=milliseconds()), http("/echo/lobby", "name=Ada&text=Good%20morning")
    rows = {
        "Gatesocket, without its AWS calls": _calls(alone, event),
        "Gatesocket, its AWS calls answered before they are sent": _calls(unsent, event),
        "Gatesocket, the same, and asleep before each answer": _calls(waiting, event),
        "Gatesocket: 2 UpdateItem, 1 post": _calls(deployed, event),
        "boto3 by hand: 1 GetItem, 1 post": _calls(boto3_echo.handler, event),
        "Mangum, HTTP: no AWS call": _calls(mangum_echo.handler, request),
    }
    subjects = [Subject(name, repeat) for name, repeat in rows.items()]
    taken = cpu_microseconds(subjects, chosen)
    called = {subject.name: calls(subject) for subject in subjects}
    by_hand = taken["boto3 by hand: 1 GetItem, 1 post"]
    if gateway.posts == 0:
        raise RuntimeError("the route has answered nothing, so that nothing was measured")
    return Results(
        "CPU time per message inside the handler",
        [
            {"": name, "µs": cost, "of boto3 by hand": f"{cost / by_hand:.2f}", "function calls": called[name]}
            for name, cost in taken.items()
        ],
    )


def _unsent(client: CannedClient) -> WebSocketHandler:
    """Make a deployed handler whose calls to AWS go no further than *client*."""
    registry, gateway = DynamoDBRegistry("t", client=client), ManagementAPI(client=client)
    return WebSocketHandler(app, registry=registry, gateway=gateway, settings=Settings())


def _calls(handler: Callable[[dict[str, Any], Any], dict[str, Any]], event: dict[str, Any]) -> Callable[[int], None]:
    context = Context()
    answer = handler(event, context)
    if answer["statusCode"] != 200:
        raise RuntimeError(f"expected a handler that answers 200, but got {answer}")

    def repeat(times: int) -> None:
        for _ in range(times):
            handler(event, context)

    return repeat


if __name__ == "__main__":
    main()
    # As Lambda ends a process: the handlers' event loops are open, and the app's lifespan has not been told.
    sys.stdout.flush()
    os._exit(0)
