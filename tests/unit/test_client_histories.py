"""The Python client comes back to where it was, and receives once what comes twice; as the module for browsers does."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gatesocket.client import Connection
from gatesocket.client.histories import FURTHEST, Histories
from gatesocket.cursors import parse
from support.played_sockets import PlayedSockets, settle
from support.virtual_time import in_virtual_time

HAND_OVER = 115 * 60  # by the longest draw


def cursor(index: int, run: int = 100, tag: str = "lobby-01") -> str:
    return f"{tag}.{run}.{index}.{run + index}"


def said(index: int, run: int = 100) -> str:
    return json.dumps({"n": index, "cursor": cursor(index, run)})


def marker(index: int, *, complete: bool = True) -> str:
    return json.dumps({"type": "history", "cursor": cursor(index), "complete": complete})


def after(histories: Histories, *texts: str) -> str:
    for text in texts:
        found = parse(text)
        assert found is not None
        if not histories.knows(found):
            histories.note(found)
    return histories.cursor


def test_a_cursor_is_the_last_before_which_nothing_is_missing() -> None:
    histories = Histories(f"damaged,{cursor(4)}")
    assert after(histories, cursor(5), cursor(7), cursor(5)) == cursor(5)
    assert after(histories, cursor(6)) == cursor(7)


def test_a_count_that_begins_anew_goes_on() -> None:
    assert after(Histories(cursor(4)), cursor(2, 200), cursor(1, 200), cursor(3, 200)) == cursor(3, 200)


def test_a_history_that_goes_on_before_its_first_message_goes_on_with_that() -> None:
    assert after(Histories(cursor(0)), cursor(2), cursor(1)) == cursor(2)


def test_more_after_a_gap_than_any_server_keeps_closes_it() -> None:
    assert after(Histories(cursor(1)), *map(cursor, range(3, 3 + FURTHEST + 1))) == cursor(3 + FURTHEST)


def test_each_group_has_a_history_of_its_own() -> None:
    assert after(Histories(cursor(4)), cursor(1, tag="attic_02")) == f"{cursor(4)},{cursor(1, tag='attic_02')}"


@pytest.mark.parametrize(("index", "complete", "expected"), [(9, True, 9), (3, True, 5), (9, False, 9), (3, False, 3)])
def test_the_server_says_where_a_history_goes_on(index: int, complete: bool, expected: int) -> None:
    histories = Histories(cursor(5))
    found = parse(cursor(index))
    assert found is not None
    histories.go_on(found, complete=complete)
    assert histories.cursor == cursor(expected)


def run(exchange: Callable[[PlayedSockets, Connection, list[bool]], Any], **options: Any) -> None:
    async def main() -> None:
        sockets, told = PlayedSockets(), list[bool]()
        async with Connection(
            "wss://example.com/ws?a=b",
            **{"connect": sockets, "random": lambda: 1.0, "on_history": told.append, "resume": "after", **options},
        ) as connection:
            await settle()
            await sockets[0].accept()
            await exchange(sockets, connection, told)

    in_virtual_time(main)


def asked(socket: Any) -> list[str]:
    return parse_qs(urlsplit(socket.address).query, keep_blank_values=True).get("after", [])


def test_a_client_comes_back_and_receives_once_what_comes_twice() -> None:
    async def exchange(sockets: PlayedSockets, connection: Connection, told: list[bool]) -> None:
        assert asked(sockets[0]) == [""]
        await sockets[0].says(marker(4), said(5), said(7))
        await sockets[0].ends(1001)
        await asyncio.sleep(1)
        await sockets[1].accept()
        assert asked(sockets[1]) == [cursor(5)]
        await sockets[1].says(marker(5), said(6), said(7), said(8), '{"n":9}')
        assert [(await connection.recv())["n"] for _ in range(5)] == [5, 7, 6, 8, 9]
        assert (told, connection.cursor) == ([True, True], cursor(8))

    run(exchange)


def test_what_both_sockets_bring_while_there_is_no_room_for_it_is_received_once() -> None:
    async def exchange(sockets: PlayedSockets, connection: Connection, told: list[bool]) -> None:
        await sockets[0].says(marker(4))
        await asyncio.sleep(HAND_OVER)
        await sockets[1].accept()
        await sockets[0].says(said(5))
        await sockets[1].says(said(5), said(6))
        assert connection.cursor == cursor(4), "nothing has been taken yet"
        assert [(await connection.recv())["n"] for _ in range(2)] == [5, 6]
        await settle()
        assert (told, connection.cursor) == ([], cursor(6))

    run(exchange, untaken=0, on_history=None)


def test_without_the_option_cursors_are_an_apps_own() -> None:
    async def exchange(sockets: PlayedSockets, connection: Connection, told: list[bool]) -> None:
        assert asked(sockets[0]) == []
        await sockets[0].says(marker(4), said(4))
        assert [len(await connection.recv()) for _ in range(2)] == [3, 2]
        assert (told, connection.cursor) == ([], "")

    run(exchange, resume=None)
