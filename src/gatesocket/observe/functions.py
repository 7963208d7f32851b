"""Other Lambda functions, observed: those that send, and aren't Gatesocket's own."""

from collections.abc import Callable
from typing import Any

from gatesocket.observation import Observation, Observer, Observers, Tracer, request_id
from gatesocket.observe.gateway import counting_posts

__all__ = ["ObservedFunction"]


class ObservedFunction:
    """A Lambda callable whose events are observed: an app's HTTP routes, a function on a schedule.

    ::

        http = ObservedFunction(Mangum(app), observer=EmbeddedMetrics("Chat"))

    What its managers send is counted. It makes no span: FastAPI makes one for each HTTP request, which wouldn't be
    under it.

    Args:
        function: the callable.
        event: what its events are called.
        observer: is told of each event when it is over.
        tracing: is flushed after each event, so that the spans that others have made get out.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        *,
        event: str = "http",
        observer: Observer | None = None,
        tracing: Tracer | None = None,
    ) -> None:
        self._function = function
        self._event = event
        self._observers = Observers(observer)
        self._tracing = tracing

    def __call__(self, event: Any, context: object) -> Any:
        """Serve one event."""
        try:
            with self._observers.watching(Observation(self._event, None, request_id(context))), counting_posts():
                return self._function(event, context)
        finally:
            if self._tracing is not None:
                self._tracing.flush_here()
