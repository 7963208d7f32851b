"""What an invocation may do with the time that it has."""

import pytest

from gatesocket.invocation import HAND_OVER_MARGIN, LEASE_MARGIN, Invocation
from gatesocket.registry.base import Lease

DEADLINE = 1_700_000_010_000
INVOCATION = Invocation("request-1", DEADLINE, {})


def test_its_lease_is_over_only_after_lambda_has_ended_it() -> None:
    assert INVOCATION.lease == Lease("request-1", DEADLINE + LEASE_MARGIN)


@pytest.mark.parametrize(("before", "begins"), [(HAND_OVER_MARGIN + 1, True), (HAND_OVER_MARGIN, False)])
def test_it_begins_no_message_shortly_before_its_end(before: int, begins: bool) -> None:
    assert INVOCATION.has_time(DEADLINE - before) is begins
