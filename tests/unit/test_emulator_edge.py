from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.emulator.edge import rewrite


@pytest.mark.parametrize(
    ("path", "query", "rewritten"),
    [
        ("/ws/lobby", "", ("/prod", "__path=/ws/lobby")),
        ("/ws/lobby", "name=ann&x=1", ("/prod", "__path=/ws/lobby&name=ann&x=1")),
        ("/", "", ("/prod", "__path=/")),
        ("/ws/a%20b", "", ("/prod", "__path=/ws/a%20b")),
        ("/ws/a&b=c", "", ("/prod", "__path=/ws/a%26b%3Dc")),
        ("/production", "", ("/prod", "__path=/production")),
    ],
)
def test_a_path_goes_into_the_query(path: str, query: str, rewritten: tuple[str, str]) -> None:
    assert rewrite(path, query, stage="prod") == rewritten


@pytest.mark.parametrize("path", ["/prod", "/prod/", "/prod/extra"])
def test_paths_of_the_stage_are_left_to_api_gateway(path: str) -> None:
    assert rewrite(path, "a=1", stage="prod") == (path, "a=1")


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S"]).filter(lambda c: c not in "?#%")))
def test_the_app_gets_the_path_that_the_client_asked_for(tail: str) -> None:
    _, query = rewrite(f"/ws/{tail}", "x=1", stage="prod")
    assert parse_qsl(query.replace("+", "%2B")) == [("__path", unquote(f"/ws/{tail}")), ("x", "1")]
