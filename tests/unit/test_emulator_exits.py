"""Functions that end their process, in a process that isn't theirs alone."""

import os
import threading
from typing import NoReturn

import pytest

from gatesocket.emulator.exits import survived


def test_a_thread_that_ends_its_process_ends_only_what_it_does() -> None:
    seen: list[object] = []

    def end() -> None:
        try:
            os._exit(3)
        except SystemExit as error:
            seen.append(error.code)

    with survived():
        thread = threading.Thread(target=end)
        thread.start()
        thread.join()
    assert seen == [3]


def test_the_main_thread_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []

    def end(status: int) -> NoReturn:
        ended.append(status)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "_exit", end)
    with survived(), pytest.raises(KeyboardInterrupt):
        os._exit(4)
    assert ended == [4]


def test_what_a_function_forks_ends_itself() -> None:
    statuses: list[int] = []

    def fork() -> None:
        child = os.fork()
        if not child:
            os._exit(5)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    with survived():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert statuses == [5]


def test_it_is_as_before_in_the_end() -> None:
    before = os._exit
    with survived():
        assert os._exit is not before
    assert os._exit is before
