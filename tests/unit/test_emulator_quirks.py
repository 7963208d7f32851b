"""Quirks of API Gateway, given as texts."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from gatesocket.emulator.quirks import Quirks, settle
from gatesocket.exceptions import ConfigurationError


def test_what_is_not_given_has_its_default() -> None:
    assert settle({}) == Quirks()
    given = {"ping_keeps_alive": "true", "connect_timeout_status": "408", "oversize_reason": "too big"}
    assert settle(given) == Quirks(ping_keeps_alive=True, connect_timeout_status=408, oversize_reason="too big")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ping_keep_alive": "true"}, "API Gateway has no quirk 'ping_keep_alive'; did you mean ping_keeps_alive?"),
        ({"x": "true"}, "API Gateway has no quirk 'x'; there are malformed_connect_status, connect_timeout_status, "),
        ({"lifetime_code": "soon"}, "the quirk lifetime_code can't be 'soon': Input should be a valid integer"),
    ],
)
def test_a_quirk_that_is_none_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settle(given)
    assert str(refused.value).startswith(message)


def test_the_documentation_lists_every_quirk_with_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`|empty) \|", text.partition("## Quirks")[2], re.MULTILINE)
    assert settle(dict(rows)) == Quirks()
    assert [name for name, _ in rows] == [field.name for field in fields(Quirks)]
