"""Trouble on purpose: decided by a seed, made one by one, and named."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.emulator import chaos as module
from gatesocket.emulator.activity import Activity, Faulted, Received
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.api import Api, Route
from gatesocket.emulator.chaos import (
    TABLE,
    Chaos,
    Decision,
    Fault,
    MortalFunction,
    Occasion,
    TroubledConnections,
    decide,
)
from gatesocket.emulator.effects import Accept, Invoke
from gatesocket.emulator.gateway import Gateway
from gatesocket.emulator.ids import random_id
from gatesocket.emulator.resources import Function
from gatesocket.emulator.runtimes import RuntimeFunction

OK = Returned("ok")


@given(st.integers(), st.sampled_from(Occasion), st.integers(min_value=1))
def test_a_decision_is_made_of_seed_occasion_and_number_alone(seed: int, occasion: Occasion, number: int) -> None:
    decision = decide(seed, occasion, number)
    assert decision == decide(seed, occasion, number)
    if decision is not None:
        (longest,) = (longest for fault, _, longest in TABLE[occasion] if fault is decision.fault)
        assert 0 <= decision.milliseconds <= longest


@pytest.mark.parametrize("occasion", Occasion)
def test_faults_come_about_as_often_as_the_table_says(occasion: Occasion) -> None:
    decisions = (decide(7, occasion, number) for number in range(4000))
    came = Counter(decision.fault for decision in decisions if decision)
    assert set(came) == {fault for fault, _, _ in TABLE[occasion]}
    for fault, probability, _ in TABLE[occasion]:
        assert came[fault] / 4000 == pytest.approx(probability, abs=0.03)


def test_another_seed_makes_other_trouble() -> None:
    def fates(seed: int) -> list[Decision | None]:
        return [decide(seed, Occasion.MESSAGE, number) for number in range(100)]

    assert fates(1) != fates(2)


@dataclass
class World:
    """A `Chaos` whose decisions the test makes, and whose clock and sleeps it holds."""

    decisions: dict[Occasion, list[Decision | None]] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    now: int = 0

    def __post_init__(self) -> None:
        self.chaos = Chaos(1, watch=self._watch, clock=lambda: self.now, sleep=self._sleep)
        self.sleeping: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    def _watch(self, activity: Activity) -> None:
        assert isinstance(activity, Faulted)
        self.told.append((activity.fault, activity.about))

    async def _sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self.sleeping.put_nowait((seconds, event))
        await event.wait()

    async def wake(self) -> float:
        """Let the sleep that began first be over; return how long it was to be."""
        seconds, event = await self.sleeping.get()
        event.set()
        return seconds

    def run(self, name: str) -> Any:
        async def run() -> Answer:
            self.ran.append(name)
            return OK

        return run


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    def decided(seed: int, occasion: Occasion, number: int) -> Decision | None:
        decisions = world.decisions.get(occasion, [])
        return decisions[number - 1] if number <= len(decisions) else None

    monkeypatch.setattr(module, "decide", decided)
    return world


def invoke(route_key: str, connection_id: str = "c1") -> Invoke:
    event: Any = {"requestContext": {"routeKey": route_key}}
    return Invoke("r1", "F", event, connection_id)


async def test_a_batch_comes_twice(world: World) -> None:
    world.decisions[Occasion.BATCH] = [Decision(Fault.DUPLICATE, 0)]
    assert await world.chaos.batch("F, 1 from the queue", world.run("batch")) == OK
    assert await world.chaos.batch("F, 1 from the queue", world.run("next")) == OK
    assert world.ran == ["batch", "batch", "next"]
    assert world.told == [("duplicate delivery", "F, 1 from the queue")]


async def test_a_batch_comes_late(world: World) -> None:
    world.decisions[Occasion.BATCH] = [Decision(Fault.LATE, 1200)]
    delivery = asyncio.create_task(world.chaos.batch("F", world.run("batch")))
    assert await world.wake() == 1.2
    assert await delivery == OK
    assert world.told == [("late delivery", "F, 1200 ms")]


async def test_a_held_message_is_overtaken_by_the_next_and_by_the_end(world: World) -> None:
    world.decisions[Occasion.MESSAGE] = [Decision(Fault.OVERTAKEN, 100), None]
    first = asyncio.create_task(world.chaos.invoke(invoke("$default"), world.run("first")))
    seconds, over = await world.sleeping.get()
    await world.chaos.invoke(invoke("$default"), world.run("second"))
    await world.chaos.invoke(invoke("$disconnect"), world.run("end"))
    over.set()
    await first
    assert seconds == 0.1
    assert world.ran == ["second", "end", "first"]
    assert world.told == [("held message", "c1, 100 ms"), ("early disconnect", "c1")]


async def test_an_end_that_nothing_was_held_before_is_not_early(world: World) -> None:
    world.decisions[Occasion.MESSAGE] = [Decision(Fault.OVERTAKEN, 100)]
    message = asyncio.create_task(world.chaos.invoke(invoke("$default"), world.run("message")))
    await world.wake()
    await message
    await world.chaos.invoke(invoke("$disconnect"), world.run("end"))
    assert world.told == [("held message", "c1, 100 ms")]


async def test_a_disconnect_comes_late_or_never(world: World) -> None:
    world.decisions[Occasion.DISCONNECT] = [Decision(Fault.LATE_DISCONNECT, 1000), Decision(Fault.NO_DISCONNECT, 0)]
    late = asyncio.create_task(world.chaos.invoke(invoke("$disconnect"), world.run("late")))
    assert await world.wake() == 1.0
    await late
    await world.chaos.invoke(invoke("$disconnect", "c2"), world.run("never"))
    assert world.ran == ["late"]
    assert world.told == [("late disconnect", "c1, 1000 ms"), ("missing disconnect", "c2")]


async def test_a_handshake_is_left_alone(world: World) -> None:
    world.decisions = {occasion: [Decision(Fault.LATE, 1)] for occasion in (Occasion.MESSAGE, Occasion.DISCONNECT)}
    await world.chaos.invoke(invoke("$connect"), world.run("connect"))
    assert (world.ran, world.told) == (["connect"], [])


def status(world: World, connection_id: str = "c1") -> int | None:
    response = world.chaos.management(connection_id)
    return None if response is None else response.status


def test_the_management_api_is_throttled_and_breaks(world: World) -> None:
    world.decisions[Occasion.POST] = [Decision(Fault.THROTTLED, 0), Decision(Fault.BROKEN, 0), None]
    assert [status(world) for _ in range(3)] == [429, 500, None]
    assert world.told == [("429 from @connections", "c1"), ("500 from @connections", "c1")]


def test_a_new_connection_is_gone_for_a_moment(world: World) -> None:
    world.decisions[Occasion.HANDSHAKE] = [Decision(Fault.NOT_YET, 300), None]
    world.chaos(Accept("c1", None))
    world.chaos(Accept("c2", None))
    world.chaos(Received("c2", "other activities change nothing"))
    assert (status(world, "c1"), status(world, "c2")) == (410, None)
    world.now = 300
    assert status(world, "c1") is None
    assert world.told == [("410 after the handshake", "c1")]


@pytest.mark.parametrize("route_key", ["$default", "$disconnect"])
async def test_a_client_that_has_spoken_or_left_is_past_its_handshake(world: World, route_key: str) -> None:
    world.decisions[Occasion.HANDSHAKE] = [Decision(Fault.NOT_YET, 300)]
    world.chaos(Accept("c1", None))
    await world.chaos.invoke(invoke(route_key), world.run("message"))
    assert status(world) is None


async def test_connections_answer_what_chaos_says_or_what_the_gateway_says(world: World) -> None:
    async def answer(effect: Invoke) -> Answer:
        raise AssertionError("nothing is invoked")

    api = Api("a1", "prod", "us-east-1", "h", r"\$default", {"$default": Route("F")})
    connections = TroubledConnections(Gateway(api, new_id=random_id), answer, chaos=world.chaos)
    world.decisions[Occasion.POST] = [Decision(Fault.BROKEN, 0), None]
    assert connections.manage("GET", random_id(), b"").status == 500
    assert connections.manage("GET", random_id(), b"").status == 410


SOURCE = """
import os

def handler(event, context):
    while event["long"]:
        pass
    return os.getpid()
"""


async def test_a_process_dies_in_the_middle_of_an_invocation_and_another_takes_its_place(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(SOURCE, encoding="utf-8")
    about = Function("F", "f-name", "arn:f", tmp_path, "main.handler", {}, timeout=20, memory=256)
    function = MortalFunction(RuntimeFunction(about, {}, count=1), "F", world.chaos)
    # Decided for all three; the second is over by then, and the third gets away.
    world.decisions[Occasion.PROCESS] = [Decision(Fault.DEATH, 50), Decision(Fault.DEATH, 30_000), None]
    await function.start()
    try:
        died = await function.invoke({"long": True}, request_id="r1")
        second = await function.invoke({"long": False}, request_id="r2")
        third = await function.invoke({"long": False}, request_id="r3")
    finally:
        await function.aclose()
    assert died == Failed("Runtime.ExitError", "its process ended with status -9")
    assert second == third
    assert isinstance(second, Returned)
    assert world.told == [("killed process", "F r1")]
