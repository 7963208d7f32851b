"""What the chat's page offers besides the chat: rooms, typing, jobs, announcements, and a look under the hood."""

import json
import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from support.chat_page import OpenTab, join, log, message, people, person, scripted, state, write
from support.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# For what only the page does: any server will do.
the_page_alone = pytest.mark.parametrize("server", ["uvicorn"], indirect=True)

PHONE = {"viewport": {"width": 390, "height": 844}}


def rooms(tab: Page) -> Locator:
    return tab.get_by_role("region", name="Rooms").get_by_role("listitem").get_by_role("button")


def field(tab: Page) -> Locator:
    return tab.get_by_label("Message", exact=True)


def enter(tab: Page, room: str) -> None:
    tab.get_by_label("Another room").fill(room)
    tab.get_by_label("Another room").press("Enter")
    expect(tab.get_by_role("heading", name=room, level=1)).to_be_visible()
    expect(state(tab)).to_have_text("Connected")


def open_drawer(tab: Page) -> Locator:
    tab.get_by_role("button", name="Under the hood").click()
    drawer = tab.get_by_role("complementary", name="Under the hood")
    expect(drawer).to_be_visible()
    return drawer


def frames(tab: Page, type_: str) -> Locator:
    return tab.get_by_role("list", name="Frames").get_by_role("listitem").filter(has_text=type_)


class TestTyping:
    def test_the_others_see_who_is_typing_until_the_text_is_there(self, open_tab: OpenTab) -> None:
        ann, bob = open_tab(), open_tab()
        join(ann, "typing-here", "Ann")
        join(bob, "typing-here", "Bob")
        expect(people(ann)).to_have_count(2)
        field(ann).press_sequentially("Hel")
        expect(bob.get_by_text("Ann is typing")).to_be_visible()
        expect(ann.get_by_text("is typing")).to_have_count(0)
        write(ann, "Hello")
        expect(message(bob, "Hello")).to_be_visible()
        expect(bob.get_by_text("Ann is typing")).to_have_count(0)

    @the_page_alone
    def test_nothing_moves_when_somebody_types(self, open_tab: OpenTab) -> None:
        ann, bob = open_tab(), open_tab()
        join(ann, "still", "Ann")
        join(bob, "still", "Bob")
        write(bob, "before")
        expect(message(bob, "before")).to_be_visible()
        where = [message(bob, "before").bounding_box(), field(bob).bounding_box()]
        expect(people(ann)).to_have_count(2)
        field(ann).press_sequentially("x")
        expect(bob.get_by_text("Ann is typing")).to_be_visible()
        assert [message(bob, "before").bounding_box(), field(bob).bounding_box()] == where

    @the_page_alone
    def test_whoever_stops_is_taken_to_have_stopped(self, open_tab: OpenTab) -> None:
        ann, bob = open_tab(), open_tab()
        bob.clock.install()
        join(ann, "stopping", "Ann")
        join(bob, "stopping", "Bob")
        expect(people(ann)).to_have_count(2)
        field(ann).press_sequentially("x")
        expect(bob.get_by_text("Ann is typing")).to_be_visible()
        bob.clock.fast_forward(5001)
        expect(bob.get_by_text("Ann is typing")).to_have_count(0)


class TestRooms:
    def test_another_room_is_entered_without_loading_the_page_anew(self, open_tab: OpenTab) -> None:
        ann, bob, cid = open_tab(), open_tab(), open_tab()
        join(ann, "kitchen", "Ann")
        join(bob, "kitchen", "Bob")
        join(cid, "garden", "Cid")
        write(ann, "in the kitchen")
        expect(message(bob, "in the kitchen")).to_be_visible()
        loaded = ann.evaluate("performance.timeOrigin")

        enter(ann, "garden")
        expect(message(bob, "Ann left")).to_be_visible()
        expect(message(cid, "Ann joined")).to_be_visible()
        expect(people(ann)).to_contain_text(["Ann", "Cid"])
        expect(message(ann, "in the kitchen")).to_have_count(0)
        write(ann, "in the garden")
        expect(message(cid, "in the garden")).to_be_visible()
        expect(message(bob, "in the garden")).to_have_count(0)

        rooms(ann).filter(has_text="kitchen").click()
        expect(message(ann, "in the kitchen")).to_be_visible()  # as it was left
        expect(message(ann, "You are back")).to_be_visible()
        assert "room=kitchen" in ann.url
        ann.go_back()
        expect(ann.get_by_role("heading", name="garden", level=1)).to_be_visible()
        expect(message(ann, "in the garden")).to_be_visible()
        assert ann.evaluate("performance.timeOrigin") == loaded

    def test_rooms_that_one_has_been_in_say_how_many_are_there(self, open_tab: OpenTab) -> None:
        ann, bob, cid = open_tab(), open_tab(), open_tab()
        join(ann, "counted", "Ann")
        join(bob, "counted", "Bob")
        enter(bob, "elsewhere")
        join(cid, "counted", "Cid")
        expect(rooms(bob).filter(has_text="elsewhere")).to_have_attribute("aria-current", "true")
        bob.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # Bob looks again
        expect(rooms(bob).filter(has_text="counted")).to_have_text(re.compile("counted2$"))

        bob.reload()
        join(bob, "elsewhere", "Bob")
        expect(rooms(bob)).to_have_count(2)


class TestMoreToDo:
    @pytest.mark.parametrize("asked", ["typed", "chosen"])
    def test_a_job_says_how_far_it_is_and_what_comes_of_it(self, open_tab: OpenTab, asked: str) -> None:
        ann, bob = open_tab(), open_tab()
        join(ann, "working", "Ann")
        join(bob, "working", "Bob")
        if asked == "typed":
            write(ann, "/primes 1000")
        else:
            ann.get_by_label("More to do").click()
            ann.get_by_role("button", name="Count primes").click()
            ann.get_by_label("Below").fill("1000")
            ann.get_by_role("button", name="Count", exact=True).click()
        job = message(ann, "Primes below 1,000")
        expect(job).to_contain_text("168 found")
        expect(job.get_by_role("progressbar", name="Primes below 1,000")).to_have_js_property("value", 100)
        write(ann, "done")
        expect(message(bob, "done")).to_be_visible()
        expect(message(bob, "Primes")).to_have_count(0)

    def test_an_announcement_is_posted_from_the_page(self, open_tab: OpenTab) -> None:
        ann, bob, cid = open_tab(), open_tab(), open_tab()
        join(ann, "announcing", "Ann")
        join(bob, "announcing", "Bob")
        join(cid, "not-listening", "Cid")
        ann.get_by_label("More to do").click()
        ann.get_by_role("button", name="Announce something").click()
        dialog = ann.get_by_role("dialog", name="Announce something")
        dialog.get_by_label("Text").fill("The museum closes in ten minutes.")
        dialog.get_by_role("button", name="Announce", exact=True).click()
        expect(dialog).to_be_hidden()
        expect(message(bob, "The museum closes in ten minutes.")).to_contain_text("Announcement")
        expect(message(ann, "Announced to 2 connections")).to_be_visible()

        write(ann, "/announce And good night.")
        expect(message(bob, "And good night.")).to_contain_text("Announcement")
        expect(log(cid).get_by_text("Announcement")).to_have_count(0)

        ann.get_by_label("More to do").click()
        ann.get_by_role("button", name="Announce something").click()
        dialog.get_by_label("Text").fill("Everybody out")
        dialog.get_by_label("In every room").check()
        dialog.get_by_role("button", name="Announce", exact=True).click()
        expect(message(cid, "Everybody out")).to_contain_text("Announcement")

    @the_page_alone
    def test_what_cannot_be_announced_stays_in_the_dialog(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        join(tab, "refused", "Ann")
        tab.route("**/announce", lambda route: route.abort())
        tab.get_by_label("More to do").click()
        tab.get_by_role("button", name="Announce something").click()
        tab.get_by_label("Text").fill("Hear, hear")
        tab.get_by_role("button", name="Announce", exact=True).click()
        expect(tab.get_by_role("alert")).to_have_text("The server can't be reached.")
        expect(tab.get_by_label("Text")).to_have_value("Hear, hear")
        tab.get_by_role("button", name="Cancel").click()
        expect(tab.get_by_role("dialog")).to_be_hidden()

    @the_page_alone
    def test_a_command_that_makes_no_sense_says_so_and_stays_to_be_mended(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        join(tab, "mistaken", "Ann")
        write(tab, "/primes many")
        expect(tab.get_by_role("alert")).to_contain_text("from 2 to 1,000,000")
        expect(field(tab)).to_have_value("/primes many")


class TestUnderTheHood:
    def test_the_line_that_waits_is_shown_in_its_source(self, open_tab: OpenTab, server: Server) -> None:
        tab = open_tab()
        join(tab, "looking", "Ann")
        drawer = open_drawer(tab)
        waits = drawer.locator(".waits")
        expect(waits).to_be_in_viewport()
        expect(waits).to_contain_text("async for message in incoming:")
        expect(drawer).to_contain_text(re.compile(r"chat/app\.py:\d+ in chat"))
        for name in ("incoming", "name", "number", "room", "websocket"):
            expect(drawer.get_by_role("listitem").filter(has=tab.get_by_text(name, exact=True)).first).to_be_visible()
        if server.life == "gateway":
            expect(waits).to_contain_text("hibernates here")
            expect(drawer).to_contain_text(re.compile(r"Hibernates as \d+ B in the connections table"))
            before = woken(drawer)
            write(tab, "wake up")
            expect(message(tab, "wake up")).to_be_visible()
            expect(drawer).not_to_contain_text(f"Woken {before} times")
            assert woken(drawer) > before
        else:
            expect(waits).to_contain_text("waits here")
            expect(drawer).to_contain_text("Waits in the memory of the server's process")

    def test_frames_in_both_directions_can_be_read(self, open_tab: OpenTab) -> None:
        tab = open_tab(permissions=["clipboard-read", "clipboard-write"])
        join(tab, "listening", "Ann")
        open_drawer(tab)
        write(tab, "Hello")
        expect(message(tab, "Hello")).to_be_visible()
        sent, received = frames(tab, "say"), frames(tab, "said")
        expect(sent).to_contain_text('{"text":"Hello"}')
        expect(sent.get_by_role("img", name="sent")).to_be_visible()
        expect(received.get_by_role("img", name="received")).to_be_visible()
        expect(received).to_contain_text(re.compile(r"\d\d:\d\d:\d\d\.\d{3}.*\d+ B", re.DOTALL))
        received.locator("summary").click()
        expect(received.locator("pre")).to_contain_text('  "type": "said",')

        tab.get_by_role("button", name="Copy", exact=True).click()
        expect(tab.get_by_role("button", name="Copied")).to_be_visible()
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert re.search(r'^\S+Z > \{"type":"say","id":"1","data":\{"text":"Hello"\}\}$', copied, re.MULTILINE)
        tab.get_by_role("button", name="Clear").click()
        expect(frames(tab, "")).to_have_count(0)

    @the_page_alone
    def test_a_lost_connection_is_seen_there(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        opened = scripted(tab)
        join(tab, "r", "Ann")
        open_drawer(tab)
        opened[0].close(code=1001, reason="going away")
        expect(frames(tab, "the socket is closed, with 1001: going away")).to_be_visible()
        expect(frames(tab, "the socket is open")).to_have_count(2)

    @the_page_alone
    def test_only_the_latest_frames_are_kept(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        opened = scripted(tab)
        join(tab, "r", "Ann")
        for number in range(310):
            opened[0].send(json.dumps({"type": "is-typing", "data": {"name": f"Bob {number}"}}))
        open_drawer(tab)
        expect(frames(tab, "Bob 309")).to_be_in_viewport()
        expect(frames(tab, "")).to_have_count(300)
        expect(frames(tab, '"Bob 9"')).to_have_count(0)

    @the_page_alone
    def test_a_deployment_that_shows_no_source_is_asked_once(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        asked: list[str] = []

        def refuse(route: Route) -> None:
            asked.append(route.request.url)
            route.fulfill(status=403, json={"detail": "This deployment doesn't show its source."})

        tab.route("**/whereabouts", refuse)
        join(tab, "hidden", "Ann")
        drawer = open_drawer(tab)
        expect(drawer).to_contain_text("This deployment doesn't show its source.")
        write(tab, "Hello")
        expect(frames(tab, "said")).to_be_visible()
        tab.wait_for_timeout(500)  # longer than it would wait before it asks
        assert len(asked) == 1

    @the_page_alone
    def test_nobody_is_asked_while_nobody_looks(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url) if "whereabouts" in request.url else None)
        join(tab, "unseen", "Ann")
        write(tab, "Hello")
        expect(message(tab, "Hello")).to_be_visible()
        tab.wait_for_timeout(500)
        assert asked == []

    @the_page_alone
    def test_it_is_left_by_escape_and_the_keys_are_where_they_were(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        join(tab, "keys", "Ann")
        drawer = open_drawer(tab)
        expect(tab.get_by_role("button", name="Close")).to_be_focused()
        tab.keyboard.press("Escape")
        expect(drawer).to_be_hidden()
        expect(tab.get_by_role("button", name="Under the hood")).to_be_focused()
        expect(tab.get_by_role("button", name="Under the hood")).to_have_attribute("aria-expanded", "false")


def woken(drawer: Locator) -> int:
    found = re.search(r"Woken (\w+)( times)? so far", drawer.inner_text())
    assert found is not None
    return 1 if found[1] == "once" else int(found[1])


@the_page_alone
class TestOnAnyScreen:
    def test_on_a_phone_rooms_and_people_are_a_sheet(self, open_tab: OpenTab) -> None:
        tab = open_tab(**PHONE)
        join(tab, "pocket", "Ann")
        expect(people(tab)).to_have_count(0)
        tab.get_by_role("button", name="Rooms and people").click()
        expect(rooms(tab).first).to_be_focused()
        expect(people(tab)).to_have_count(1)
        tab.keyboard.press("Escape")
        expect(people(tab)).to_have_count(0)
        expect(tab.get_by_role("button", name="Rooms and people")).to_be_focused()
        tab.get_by_role("button", name="Rooms and people").click()
        tab.mouse.click(370, 400)  # beside it
        expect(people(tab)).to_have_count(0)

    def test_on_a_phone_the_drawer_covers_the_conversation(self, open_tab: OpenTab) -> None:
        tab = open_tab(**PHONE)
        join(tab, "pocket", "Ann")
        drawer = open_drawer(tab)
        expect(drawer.locator(".waits")).to_be_in_viewport()
        expect(field(tab)).to_be_hidden()
        tab.get_by_role("button", name="Close").click()
        expect(field(tab)).to_be_visible()

    @pytest.mark.parametrize("width", [320, 390, 768, 1000, 1280])
    def test_nothing_is_wider_than_the_screen_with_the_drawer_open(self, open_tab: OpenTab, width: int) -> None:
        tab = open_tab(viewport={"width": width, "height": 700})
        scripted(tab, ("Ann", "A name of forty letters, which is a lot!"))
        join(tab, "r", "Ann")
        open_drawer(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        expect(tab.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
        expect(tab.get_by_role("button", name="Clear")).to_be_in_viewport(ratio=1)

    def test_a_hundred_people_are_a_list_that_can_be_scrolled(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        scripted(tab, ("Ann", *(f"Guest {number}" for number in range(99))))
        join(tab, "r", "Ann")
        expect(people(tab)).to_have_count(100)
        expect(tab.get_by_text("you, Guest 0 and 98 others")).to_be_visible()
        expect(tab.get_by_role("button", name="Leave")).to_be_in_viewport(ratio=1)
        person(tab, "Guest 98").scroll_into_view_if_needed()
        expect(person(tab, "Guest 98")).to_be_in_viewport()

    def test_whoever_is_alone_is_told_what_to_do(self, open_tab: OpenTab) -> None:
        ann = open_tab()
        join(ann, "lonely", "Ann")
        expect(ann.get_by_text("Nobody else is here.")).to_be_visible()
        bob = open_tab()
        join(bob, "lonely", "Bob")
        expect(ann.get_by_text("Nobody else is here.")).to_be_hidden()

    def test_a_job_whose_connection_is_lost_says_that_its_result_is(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        opened = scripted(tab)
        join(tab, "r", "Ann")
        write(tab, "/primes 1000")
        opened[0].close(code=1011)
        expect(message(tab, "Primes below 1,000")).to_contain_text("The connection was lost")

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_texts_stand_out_from_what_is_behind_them(self, open_tab: OpenTab, scheme: str) -> None:
        """By 4.5 to 1, as WCAG 2.2 wants it (1.4.3)."""
        tab = open_tab(color_scheme=scheme)
        opened = scripted(tab)
        join(tab, "r", "Ann")
        for type_, data in (
            ("said", {"name": "Bob", "text": "Hello", "number": 1}),
            ("said", {"name": "Ann", "text": "Hello", "number": 1}),
            ("told", {"name": "Bob", "connection": "d", "text": "Hello"}),
            ("announced", {"text": "Hello"}),
            ("error", {"detail": "what?"}),
        ):
            opened[0].send(json.dumps({"type": type_, "data": data}))
        open_drawer(tab)
        expect(log(tab).get_by_text("The server didn't understand")).to_be_visible()
        assert tab.evaluate(FAINT) == []

    def test_every_control_has_a_name(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        join(tab, "named", "Ann")
        open_drawer(tab)
        for role in ("button", "textbox", "list", "region", "complementary"):
            for number in range(tab.get_by_role(role).count()):
                control = tab.get_by_role(role).nth(number)
                if role != "list" or control.get_attribute("tabindex"):
                    expect(control).to_have_accessible_name(re.compile(r"\S"))

    def test_nothing_moves_for_those_who_want_nothing_to_move(self, open_tab: OpenTab) -> None:
        tab = open_tab(reduced_motion="reduce", **PHONE)
        opened = scripted(tab)
        join(tab, "r", "Ann")
        opened[0].send(json.dumps({"type": "is-typing", "data": {"name": "Bob"}}))
        expect(tab.get_by_text("Bob is typing")).to_be_visible()
        tab.get_by_role("button", name="Rooms and people").click()
        assert tab.evaluate("document.getAnimations().length") == 0


# Texts whose contrast with the nearest background is too low, with the ratio. A canvas makes numbers of any colour.
FAINT = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (!text || !element.checkVisibility() || element.disabled) continue;
    const [a, b] = [rgba(getComputedStyle(element).color), behind(element)].map(luminance).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${text}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""
