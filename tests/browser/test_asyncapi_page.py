"""The AsyncAPI page of the reference app, in each of its lives: read, connect, send."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

OpenTab = Callable[..., Page]


def channel(tab: Page, address: str) -> Locator:
    found = tab.get_by_role("group", name=address, exact=True)
    found.locator("summary").click()
    return found


def opened(open_tab: OpenTab, **options: object) -> Page:
    tab = open_tab(**options)
    tab.goto("/asyncapi")
    expect(tab.get_by_role("heading", name="Gatesocket's chat")).to_be_visible()
    return tab


def test_a_route_can_be_read_about_connected_to_and_talked_to(open_tab: OpenTab) -> None:
    echo = channel(opened(open_tab), "/ws/echo")
    expect(echo.get_by_text("Send every text back.")).to_be_visible()
    expect(echo.get_by_text("Clients send")).to_be_visible()

    echo.get_by_role("button", name="Connect", exact=True).click()
    expect(echo.get_by_role("status")).to_have_text("Connected")
    echo.get_by_label("Message").fill("hello")
    echo.get_by_role("button", name="Send").click()
    expect(echo.get_by_role("log")).to_contain_text("You said: hello")

    echo.get_by_role("button", name="Disconnect").click()
    expect(echo.get_by_role("status")).to_contain_text("Closed with 100")
    expect(echo.get_by_role("button", name="Send")).to_be_disabled()


def test_parameters_of_path_and_query_are_filled_in_and_reach_the_route(open_tab: OpenTab) -> None:
    room = channel(opened(open_tab), "/ws/{room}")
    room.get_by_label("room", exact=False).fill("küche_2")
    room.get_by_label("name", exact=False).fill("Ann & co")
    room.get_by_role("button", name="Connect", exact=True).click()
    expect(room.get_by_role("log")).to_contain_text('"room":"küche_2","name":"Ann & co"')


def test_a_required_parameter_is_asked_for_before_anything_is_opened(open_tab: OpenTab) -> None:
    room = channel(opened(open_tab), "/ws/{room}")
    room.get_by_role("button", name="Connect", exact=True).click()
    expect(room.get_by_label("room", exact=False)).to_be_focused()
    expect(room.get_by_role("status")).to_have_text("Not connected")


def test_nothing_is_wider_than_a_phone(open_tab: OpenTab) -> None:
    tab = opened(open_tab, viewport={"width": 320, "height": 700})
    for details in tab.locator("summary").all():
        details.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
