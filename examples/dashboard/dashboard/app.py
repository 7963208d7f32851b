"""The dashboard: a route that ticks, a route that takes measurements, and the page.

Each client has a ticker of its own, `live`: it waits for what the client wants to see, but never longer than until the
next value is due. Under uvicorn that is a coroutine that waits. On Lambda nothing waits: the route hibernates, and a
message on a queue brings it back in time.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from gatesocket import ConnectionManager
from gatesocket.client import DIRECTORY
from gatesocket.messages import envelope, messages
from pydantic import BaseModel, FiniteFloat

from dashboard.messages import (
    Described,
    Measured,
    Ping,
    Point,
    Pong,
    Series,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from dashboard.sensors import SENSORS
from dashboard.settings import Settings

__all__ = ["app"]

PAGE: Final = Path(__file__).parent / "page"

app = FastAPI(title="Live dashboard")
manager = ConnectionManager()
settings = Settings()


@app.websocket("/ws/live")
async def live(websocket: WebSocket) -> None:
    """Tell the values of the series that the client subscribes to, until it leaves."""
    await manager.connect(websocket)
    shown: set[str] = set()
    try:
        described = [Described(name=each.name, label=each.label, unit=each.unit) for each in SENSORS.values()]
        await websocket.send_text(envelope(Welcome(series=described, every=settings.every)))
        incoming = messages(websocket, Subscribe | Unsubscribe | Ping)
        while True:
            try:
                # Who looks at nothing needs no ticks, and costs none.
                message = await asyncio.wait_for(incoming.receive(), settings.every if shown else None)
            except TimeoutError:
                at = last_tick()
                for name in sorted(shown & SENSORS.keys()):
                    value = SENSORS[name].value(at)
                    await websocket.send_text(envelope(Measured(series=name, at=at, value=value)))
                continue
            match message:
                case Subscribe(series=series):
                    shown.add(series)
                    await manager.join(websocket, series)  # for what others measure
                    await incoming.reply(Subscribed(series=series, points=lately(series)))
                case Unsubscribe(series=series):
                    shown.discard(series)
                    await manager.leave(websocket, series)
                    await incoming.reply(Unsubscribed(series=series))
                case Ping():
                    await incoming.reply(Pong())
    except WebSocketDisconnect:
        pass  # the client has left
    await manager.disconnect(websocket)


def last_tick() -> float:
    """Return the moment that everybody is told of now: all clients see the same values at the same times."""
    return time.time() // settings.every * settings.every


def lately(series: str) -> list[Point]:
    """Return the latest values of a sensor; of a series that others measure, nothing is kept."""
    if series not in SENSORS:
        return []
    end = last_tick()
    times = [end - settings.every * ago for ago in range(settings.history - 1, -1, -1)]
    return [Point(at=at, value=SENSORS[series].value(at)) for at in times]


class Measurement(BaseModel):
    """What somebody has measured."""

    series: Series
    value: FiniteFloat


@app.post("/measurements")
async def measure(measurement: Measurement) -> dict[str, int]:
    """Tell a measurement to all who look at its series, and return how many that are.

    Whoever can reach the app can measure. Put a token before it in your own.
    """
    measured = Measured(series=measurement.series, at=time.time(), value=measurement.value)
    delivery = await manager.broadcast(envelope(measured), group=measurement.series)
    return {"sent": delivery.sent, "queued": delivery.queued, "failed": delivery.failed}


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Serve the page."""
    return FileResponse(PAGE / "index.html")


app.mount("/static", StaticFiles(directory=PAGE), name="static")
app.mount("/client", StaticFiles(directory=DIRECTORY), name="client")
