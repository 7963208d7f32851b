"""What functions did with each event, told to whoever wants to know.

::

    websocket = WebSocketHandler(app, observer=EmbeddedMetrics("Chat"), tracing=Tracing())
    jobs = JobsHandler(observer=EmbeddedMetrics("Chat"))
    http = ObservedFunction(Mangum(app), observer=EmbeddedMetrics("Chat"))

Without an observer nothing is measured and nothing wrapped. What is told are ids, counts, times, and places in the
app's source: no texts, no headers, no addresses, so that no token gets into a log by this.

`gatesocket.observation` is what is told and how it is gathered; here `gateway` counts posts, `metrics` and `logs` write
lines, `functions` observes other Lambda functions. `gatesocket.observe.tracing` isn't imported by any of them, and
nothing imports OpenTelemetry but that.
"""

from gatesocket.observation import Observation, Observer, Trace, Tracer
from gatesocket.observe.functions import ObservedFunction
from gatesocket.observe.gateway import ObservedGateway
from gatesocket.observe.logs import ConnectionFields
from gatesocket.observe.metrics import EmbeddedMetrics

__all__ = [
    "ConnectionFields",
    "EmbeddedMetrics",
    "Observation",
    "ObservedFunction",
    "ObservedGateway",
    "Observer",
    "Trace",
    "Tracer",
]
