"""The pages of the examples, in each life, as somebody sees them who tries them out."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from support.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

OpenTab = Callable[..., Page]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Server]:
    """An example, run by the command that its README names."""
    example, mode = request.param
    with Server("gateway", "--template", f"examples/{example}/template.yaml", "--mode", mode) as server:
        yield server


def example(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "server", [(name, "uvicorn"), (name, "gateway")], indirect=True, ids=lambda it: it[1]
    )


@example("dashboard")
def test_charts_move_by_themselves_and_measurements_appear(open_tab: OpenTab) -> None:
    tab, other = open_tab(), open_tab()
    for each in (tab, other):
        expect(each.get_by_role("status")).to_have_text("Live")
        expect(each.locator(".chart")).to_have_count(3)
    line = tab.locator(".chart .line").first
    before = line.get_attribute("d")
    expect(line).not_to_have_attribute("d", str(before))

    tab.get_by_role("checkbox", name="Latency").uncheck()
    expect(tab.locator(".chart")).to_have_count(2)
    assert "series=load%2Crequests" in tab.url

    tab.get_by_label("Value").fill("181.5")
    tab.get_by_role("button", name="Send").click()
    expect(tab.locator(".chart").last).to_contain_text("181.5")
    expect(tab.get_by_text("Seen by 1.")).to_be_visible()
    expect(other.locator(".chart")).to_have_count(3)


@example("dashboard")
def test_nothing_of_the_dashboard_is_wider_than_a_phone(open_tab: OpenTab) -> None:
    tab = open_tab(viewport={"width": 320, "height": 700})
    expect(tab.locator(".chart")).to_have_count(3)
    assert tab.evaluate("document.documentElement.scrollWidth") == 320


@example("assistant")
def test_an_answer_is_streamed_and_another_is_stopped(open_tab: OpenTab) -> None:
    tab = open_tab()
    expect(tab.get_by_text("a Markov chain that has read forty sentences, and no language model")).to_be_visible()
    tab.get_by_role("button", name="What do timers do?").click()
    answer = tab.locator(".assistant p")
    expect(answer).to_contain_text("Timers ")
    expect(tab.get_by_role("button", name="Ask", exact=True)).to_be_visible()
    expect(answer).to_have_text(re.compile(r"^Timers .{200,}\.$"))

    tab.get_by_label("Question").fill("And then?")
    tab.keyboard.press("Enter")
    expect(answer.last).to_contain_text(" ")
    tab.get_by_role("button", name="Stop").click()
    expect(tab.get_by_text("Stopped.")).to_be_visible()

    tab.get_by_role("button", name="New conversation").click()
    expect(tab.get_by_role("heading", name="Ask something")).to_be_visible()


@example("assistant")
def test_nothing_of_the_assistant_is_wider_than_a_phone(open_tab: OpenTab) -> None:
    tab = open_tab(viewport={"width": 320, "height": 700})
    expect(tab.get_by_role("button", name="Ask", exact=True)).to_be_enabled()
    assert tab.evaluate("document.documentElement.scrollWidth") == 320
