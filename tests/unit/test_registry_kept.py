"""Histories as DynamoDB items: what was written is read again, and what anybody else may have put there is refused."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.exceptions import UnreadableHistory
from gatesocket.registry.base import REMEMBERED_SECONDS, START, Kept, Place
from gatesocket.registry.kept import LAST, begin, decode, encode, put, run_item, run_of, sort_key
from gatesocket.registry.writes import Write

RUN = 1_700_000_000
KEPT = Kept(Place(RUN, 7), '{"type":"said"}', at=RUN + 60, until=RUN + 360)

places = st.builds(Place, st.integers(1, LAST.run - 1), st.integers(1, LAST.index - 1))
times = st.integers(0, 1 << 40)


@given(st.builds(Kept, places, st.text().map("{{{}}}".format), times, times), times)
def test_what_is_kept_is_read_as_it_was_written(kept: Kept, least: int) -> None:
    item = encode("lobby", kept, id="call", least=least)
    assert decode("lobby", item) == (kept, max(kept.at + REMEMBERED_SECONDS, least))


@given(places, places)
def test_items_are_in_the_order_of_their_places(one: Place, other: Place) -> None:
    assert (sort_key(one) < sort_key(other)) == (one < other)
    assert sort_key(START) < sort_key(one) < sort_key(LAST) < "run"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"text": {"N": "1"}}, id="no text"),
        pytest.param({"text": {"S": "hello"}}, id="another text than an object"),
        pytest.param({"text": {"S": "{"}}, id="half an object"),
        pytest.param({"kept_at": {"S": "now"}}, id="no time"),
        pytest.param({"until": {"NULL": True}}, id="no end"),
        pytest.param({"expires_at": {"NULL": True}}, id="it never expires"),
        pytest.param({"sk": {"S": f"{RUN:012}.7"}}, id="no place"),
        pytest.param({"sk": {"S": f"{RUN:012}.seven"}}, id="no number"),
        pytest.param({"sk": {"S": sort_key(LAST)}}, id="the last place of all, behind which nothing could be kept"),
        pytest.param({"sk": {"S": sort_key(START)}}, id="before the first place"),
    ],
)
def test_an_item_of_another_shape_is_refused(damage: dict[str, Any]) -> None:
    item = encode("lobby", KEPT, id="call", least=0) | damage
    with pytest.raises(UnreadableHistory, match="the history of group 'lobby' can't be read"):
        decode("lobby", item)


def test_a_run_is_read_as_it_was_begun() -> None:
    assert run_of("lobby", run_item("lobby", RUN)) == (RUN, RUN + REMEMBERED_SECONDS)


@pytest.mark.parametrize("run", [{"S": "one"}, {"NULL": True}, {"N": "0"}, {"N": "-1"}, {"N": str(LAST.run)}])
def test_a_run_that_nothing_could_be_kept_in_is_refused(run: Any) -> None:
    with pytest.raises(UnreadableHistory):
        run_of("lobby", run_item("lobby", RUN) | {"run": run})


@pytest.mark.parametrize("write", [put("call"), begin(RUN)])
def test_every_placeholder_is_given_and_none_for_nothing(write: Write) -> None:
    assert set(re.findall(r"#\w+", write.condition)) == set(write.names)
    assert set(re.findall(r":\w+", write.condition)) == set(write.values)
