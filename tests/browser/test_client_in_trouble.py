"""The browsers' client against an API Gateway that makes trouble on purpose."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from support.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def server(browser: Browser) -> Iterator[Server]:
    with Server("gateway", "--chaos", "--seed", "1") as server:
        yield server


def join(tab: Page, name: str) -> None:
    tab.get_by_label("Your name").fill(name)
    tab.get_by_role("button", name="Join").click()
    expect(tab.get_by_role("log")).to_contain_text(f"Welcome, {name}.")


def said(tab: Page, text: str) -> Locator:
    return tab.get_by_role("log").get_by_role("listitem").filter(has_text=text)


def test_every_line_is_seen_once_by_both_before_and_after_a_hand_over(open_tab: Callable[..., Page]) -> None:
    ann, bob = open_tab(), open_tab()
    ann.clock.install()
    join(ann, "Ann")
    join(bob, "Bob")
    lines = [f"line {number:02}" for number in range(12)]
    for number, line in enumerate(lines):
        if number == len(lines) // 2:
            with ann.expect_websocket():
                ann.clock.fast_forward("01:56:00")
        speaker = (ann, bob)[number % 2]
        speaker.get_by_label("Message", exact=True).fill(line)
        speaker.get_by_label("Message", exact=True).press("Enter")
        for tab in (ann, bob):
            expect(said(tab, line)).to_be_visible()
    ann.clock.fast_forward("00:06")
    for tab in (ann, bob):
        assert said(tab, "line ").locator(".text").all_inner_texts() == lines
