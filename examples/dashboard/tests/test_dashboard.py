"""The dashboard from a client's side: as one coroutine under uvicorn, and woken for every message as in the cloud."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from gatesocket.testing import GatewayTestClient, NothingToReceive
from starlette.testclient import TestClient, WebSocketTestSession

from dashboard import app as dashboard
from dashboard.sensors import SENSORS
from dashboard.settings import Settings


class Life:
    """A client, and how time passes for it."""

    def __init__(self, client: TestClient, every: float) -> None:
        self.client = client
        self.every = every

    def let_pass(self, ticks: int) -> None:
        """Let so many values become due; under uvicorn they do by themselves."""
        if isinstance(self.client, GatewayTestClient):
            self.client.advance(ticks * self.every)


@pytest.fixture(params=["uvicorn's life", "the cloud's life"])
def life(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    # Time stands still in the cloud's life until a test lets it pass. In the other it can only be short.
    kind, every = (TestClient, 0.05) if request.param == "uvicorn's life" else (GatewayTestClient, 3)
    monkeypatch.setattr(dashboard, "settings", Settings(every=every, history=5))
    with kind(dashboard.app) as client:
        yield Life(client, every)


def says(socket: WebSocketTestSession, kind: str, **data: Any) -> Any:
    """Say something, and return the data of the answer; ticks may come before it."""
    socket.send_json({"type": kind, "id": kind, "data": data})
    while True:
        answer = socket.receive_json()
        if answer.get("id") == kind:
            return answer["data"]


def measured(socket: WebSocketTestSession) -> Any:
    message = socket.receive_json()
    assert message["type"] == "measured"
    return message["data"]


def test_a_client_is_told_what_there_is_to_see(life: Life) -> None:
    with life.client.websocket_connect("/ws/live") as socket:
        welcome = socket.receive_json()
    assert welcome["type"] == "welcome"
    assert welcome["data"]["every"] == life.every
    assert [each["name"] for each in welcome["data"]["series"]] == ["load", "requests", "latency", "temperature"]


def test_values_of_what_it_subscribes_to_come_by_themselves(life: Life) -> None:
    with life.client.websocket_connect("/ws/live") as socket:
        assert socket.receive_json()["type"] == "welcome"
        says(socket, "subscribe", series="load")
        says(socket, "subscribe", series="latency")
        life.let_pass(3)
        # Values that were due while the second was subscribed to may be of the first alone.
        told = [measured(socket) for _ in range(6)]
    assert {each["series"] for each in told} == {"load", "latency"}
    for each in told:
        assert each["value"] == SENSORS[each["series"]].value(each["at"])


def test_a_client_that_comes_late_sees_what_it_has_missed(life: Life) -> None:
    with life.client.websocket_connect("/ws/live") as socket:
        assert socket.receive_json()["type"] == "welcome"
        points = says(socket, "subscribe", series="temperature")["points"]
    assert len(points) == 5
    times = [point["at"] for point in points]
    assert [later - sooner for sooner, later in itertools.pairwise(times)] == pytest.approx([life.every] * 4, abs=1e-3)
    assert time.time() - times[-1] < 60
    for point in points:
        assert point["value"] == SENSORS["temperature"].value(point["at"])


def test_what_it_unsubscribes_from_comes_no_more(life: Life) -> None:
    with life.client.websocket_connect("/ws/live") as socket:
        assert socket.receive_json()["type"] == "welcome"
        says(socket, "subscribe", series="load")
        says(socket, "subscribe", series="latency")
        says(socket, "unsubscribe", series="load")
        life.let_pass(2)
        assert [measured(socket)["series"] for _ in range(2)] == ["latency", "latency"]


def test_who_looks_at_nothing_is_not_ticked_for() -> None:
    with GatewayTestClient(dashboard.app) as client, client.websocket_connect("/ws/live") as socket:
        assert socket.receive_json()["type"] == "welcome"
        client.advance(60)
        with pytest.raises(NothingToReceive):
            socket.receive()


def test_a_measurement_reaches_those_who_look_at_its_series(life: Life) -> None:
    client = life.client
    with client.websocket_connect("/ws/live") as ann, client.websocket_connect("/ws/live") as bob:
        for socket in (ann, bob):
            assert socket.receive_json()["type"] == "welcome"
        assert says(ann, "subscribe", series="oven") == {"series": "oven", "points": []}
        response = client.post("/measurements", json={"series": "oven", "value": 180.5})
        assert response.json() == {"sent": 1, "queued": 0, "failed": 0}
        told = measured(ann)
        assert (told["series"], told["value"]) == ("oven", 180.5)
        assert says(bob, "ping") == {}


def test_who_has_unsubscribed_hears_no_measurement(life: Life) -> None:
    with life.client.websocket_connect("/ws/live") as socket:
        assert socket.receive_json()["type"] == "welcome"
        says(socket, "subscribe", series="oven")
        says(socket, "unsubscribe", series="oven")
        assert life.client.post("/measurements", json={"series": "oven", "value": 1}).json()["sent"] == 0


@pytest.mark.parametrize("value", ["hot", None])
def test_what_is_no_measurement_is_refused(value: Any) -> None:
    with TestClient(dashboard.app) as client:
        assert client.post("/measurements", json={"series": "oven", "value": value}).status_code == 422
        assert client.post("/measurements", json={"series": "*", "value": 1}).status_code == 422


def test_a_series_that_cannot_be_is_answered_with_an_error(life: Life) -> None:
    with life.client.websocket_connect("/ws/live") as socket:
        assert socket.receive_json()["type"] == "welcome"
        assert says(socket, "subscribe", series="*")["code"] == "invalid"


def test_the_page_finds_all_that_it_needs() -> None:
    with TestClient(dashboard.app) as client:
        assert "<title>Live dashboard</title>" in client.get("/").text
        for path in ("/static/dashboard.js", "/static/dashboard.css", "/client/connection.js"):
            assert client.get(path).status_code == 200
