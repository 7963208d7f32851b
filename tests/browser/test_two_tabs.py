"""The chat's page, driven as people drive it, against the app in each of its lives."""

import json
import urllib.request

import pytest
from playwright.sync_api import WebSocketRoute, expect

from support.chat_page import OpenTab, join, log, message, people, person, scripted, state, write
from support.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# For what only the page does: any server will do.
the_page_alone = pytest.mark.parametrize("server", ["uvicorn"], indirect=True)


def test_two_tabs_chat(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "chatting", "Ann")
    join(bob, "chatting", "Bob")
    expect(message(ann, "Bob joined")).to_be_visible()
    for tab in (ann, bob):
        expect(people(tab)).to_contain_text(["Ann", "Bob"])

    write(ann, "Hello, is anybody here?")
    expect(message(bob, "Hello, is anybody here?")).to_contain_text("Ann")
    write(bob, "I am.")
    expect(message(ann, "I am.")).to_contain_text("Bob")
    write(ann, "Good.")
    for tab, speaker in ((ann, "You"), (bob, "Ann")):
        expect(message(tab, "Good.")).to_contain_text(speaker)
        expect(message(tab, "Good.")).to_contain_text("#2")
        expect(message(tab, "Hello, is anybody here?")).to_have_count(1)


def test_rooms_are_apart(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "this-room", "Ann")
    join(bob, "other-room", "Bob")
    write(ann, "to this room")
    expect(message(ann, "to this room")).to_be_visible()
    write(bob, "to the other room")
    expect(message(bob, "to the other room")).to_be_visible()
    expect(message(bob, "to this room")).to_have_count(0)
    expect(people(ann)).to_have_count(1)


def test_a_personal_message_and_its_answer_are_seen_by_two_only(open_tab: OpenTab) -> None:
    ann, bob, cid = open_tab(), open_tab(), open_tab()
    for tab, name in ((ann, "Ann"), (bob, "Bob"), (cid, "Cid")):
        join(tab, "whispering", name)
    person(ann, "Bob").click()
    expect(ann.get_by_text("Only to Bob")).to_be_visible()
    write(ann, "psst")
    expect(message(ann, "psst")).to_contain_text("only to Bob")
    expect(message(bob, "psst")).to_contain_text("only to you")

    bob.get_by_role("button", name="Reply").click()
    write(bob, "what is it?")
    expect(message(ann, "what is it?")).to_contain_text("only to you")

    ann.get_by_role("button", name="To everybody").click()
    write(ann, "for all")
    expect(message(cid, "for all")).to_be_visible()
    expect(message(cid, "psst")).to_have_count(0)
    expect(message(cid, "what is it?")).to_have_count(0)


def test_a_personal_message_to_someone_who_has_left_is_not_lost_silently(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "leaving", "Ann")
    join(bob, "leaving", "Bob")
    person(ann, "Bob").click()
    bob.get_by_role("button", name="Leave").click()
    expect(state(bob)).to_have_text("Not connected")
    expect(message(ann, "Bob left")).to_be_visible()
    expect(people(ann)).to_have_count(1)
    write(ann, "still there?")
    expect(ann.get_by_role("alert")).to_contain_text("Bob isn't there any more")


def test_a_closed_tab_is_missed(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "closing", "Ann")
    join(bob, "closing", "Bob")
    expect(message(ann, "Bob joined")).to_be_visible()
    bob.close()
    expect(message(ann, "Bob left")).to_be_visible()


def test_an_announcement_by_http_is_seen_in_every_tab(open_tab: OpenTab, server: Server) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "hearing", "Ann")
    join(bob, "hearing", "Bob")
    request = urllib.request.Request(
        f"{server.url}/announce",
        json.dumps({"text": "The museum closes in ten minutes.", "room": "hearing"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer) == {"sent": 2, "gone": 0, "queued": 0, "failed": 0}
    for tab in (ann, bob):
        expect(message(tab, "The museum closes in ten minutes.")).to_contain_text("Announcement")


def test_tabs_come_back_by_themselves_when_the_server_does(open_tab: OpenTab, server: Server) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "returning", "Ann")
    join(bob, "returning", "Bob")
    server.stop()
    for tab in (ann, bob):
        expect(tab.get_by_role("button", name="Send")).to_be_disabled()
    write(ann, "written while away")
    server.start()
    for tab in (ann, bob):
        expect(state(tab)).to_have_text("Connected")
        expect(message(tab, "You are back")).to_be_visible()
        expect(people(tab)).to_contain_text(["Ann", "Bob"])
    ann.get_by_role("button", name="Send").click()  # the text has waited in its field
    expect(message(bob, "written while away")).to_contain_text("Ann")


def test_who_reloads_the_page_reads_what_was_said_meanwhile_and_nothing_twice(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "reloading", "Ann")
    join(bob, "reloading", "Bob")
    write(ann, "before")
    expect(message(bob, "before")).to_be_visible()
    bob.goto("about:blank")
    expect(message(ann, "Bob left")).to_be_visible()
    write(ann, "one")
    write(ann, "two")
    expect(message(ann, "two")).to_be_visible()
    bob.goto("/")
    join(bob, "reloading", "Bob")
    expect(log(bob).get_by_role("listitem").filter(has_text="Ann")).to_contain_text(["one", "two"])
    expect(message(bob, "one")).to_have_count(1)
    expect(message(bob, "before")).to_have_count(0)
    expect(message(bob, "some of what was said is missing")).to_have_count(0)


def test_a_silent_connection_is_kept_open(open_tab: OpenTab) -> None:
    """API Gateway ends a connection after ten minutes without a message."""
    tab = open_tab()
    tab.clock.install()
    with tab.expect_websocket() as socket:
        join(tab, "silent", "Ann")
    with socket.value.expect_event("framereceived", lambda frame: json.loads(frame)["type"] == "pong"):
        tab.clock.fast_forward("05:00")


def test_a_second_socket_takes_over_before_two_hours_and_nobody_notices(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    ann.clock.install()
    join(ann, "handing-over", "Ann")
    join(bob, "handing-over", "Bob")
    write(bob, "through the first socket")
    expect(message(ann, "through the first socket")).to_be_visible()
    with ann.expect_websocket() as second:
        ann.clock.fast_forward("01:56:00")
    second.value.wait_for_event("framereceived", lambda frame: json.loads(frame)["type"] == "people")
    write(bob, "heard by both sockets")
    expect(message(ann, "heard by both sockets")).to_have_count(1)
    ann.clock.fast_forward("00:06")  # the first one is closed
    write(ann, "through the second socket")
    expect(message(bob, "through the second socket")).to_be_visible()
    expect(message(ann, "heard by both sockets")).to_have_count(1)
    expect(message(ann, "You are back")).to_have_count(0)
    expect(message(bob, "Ann left")).to_have_count(0)


def test_texts_of_strangers_are_only_text(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    name = "<b>Bob</b>"
    join(ann, "strangers", "Ann")
    join(bob, "strangers", name)
    text = "<img src=x onerror=\"document.title='taken over'\"> & <script>alert(1)</script>"
    write(bob, text)
    expect(message(ann, text)).to_contain_text(name)
    expect(ann.locator("#log img, #log script")).to_have_count(0)
    expect(ann).to_have_title("Gatesocket chat")


@the_page_alone
def test_the_keys_do_what_they_do_elsewhere(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "typing", "Ann")
    join(bob, "typing", "Bob")
    field = ann.get_by_label("Message", exact=True)
    field.press_sequentially("one")
    field.press("Shift+Enter")
    field.press_sequentially("two")
    field.press("Enter")
    expect(message(bob, "one\ntwo")).to_be_visible()
    expect(field).to_have_value("")

    person(ann, "Bob").click()
    expect(person(ann, "Bob")).to_have_attribute("aria-pressed", "true")
    field.press("Escape")
    expect(person(ann, "Bob")).to_have_attribute("aria-pressed", "false")


@the_page_alone
def test_who_reads_older_messages_is_not_dragged_to_the_newest(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab(viewport={"width": 390, "height": 400})
    join(ann, "scrolling", "Ann")
    join(bob, "scrolling", "Bob")
    for number in range(12):
        write(ann, f"message {number:02}")
    expect(message(bob, "message 11")).to_be_in_viewport()
    log(bob).evaluate("log => log.scrollTop = 0")
    write(ann, "the newest")
    bob.get_by_role("button", name="New messages").click()
    expect(message(bob, "the newest")).to_be_in_viewport()
    expect(bob.get_by_role("button", name="New messages")).to_be_hidden()


@the_page_alone
def test_a_room_that_cannot_be_is_stopped_at_the_form(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.get_by_label("Your name").fill("Ann")
    tab.get_by_label("Room", exact=True).fill("two words")
    tab.get_by_role("button", name="Join").click()
    expect(tab.get_by_label("Room", exact=True)).to_be_focused()
    expect(state(tab)).to_have_text("Not connected")


def test_the_address_of_a_room_can_be_shared(open_tab: OpenTab) -> None:
    ann, bob = open_tab(), open_tab()
    join(ann, "küche_2", "Ann")
    bob.goto(ann.url)
    expect(bob.get_by_label("Room", exact=True)).to_have_value("küche_2")
    join(bob, "küche_2", "Bob")
    expect(message(ann, "Bob joined")).to_be_visible()


@the_page_alone
@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_nothing_is_wider_than_the_screen(open_tab: OpenTab, width: int) -> None:
    tab = open_tab(viewport={"width": width, "height": 700})
    join(tab, "a-room-of-forty-letters-which-is-a-lot-2", "A name of forty letters, which is a lot!")
    write(tab, "x" * 200)
    expect(message(tab, "x" * 200)).to_be_in_viewport()
    expect(tab.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    if width < 704:
        tab.get_by_role("button", name="Rooms and people").click()
    expect(tab.get_by_role("button", name="Leave")).to_be_in_viewport(ratio=1)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@the_page_alone
class TestAgainstAScript:
    """What a server says to the page is played by the test, where no server would say it on demand."""

    WELCOME = json.dumps(
        {"type": "welcome", "data": {"room": "r", "name": "Ann", "connection": "c", "people": ["Ann", "Bob"]}}
    )

    def test_what_overtakes_the_welcome_counts_after_it(self, open_tab: OpenTab) -> None:
        """On Lambda a welcome waits for the end of the handshake; what others send then doesn't."""
        tab = open_tab()

        def accept(socket: WebSocketRoute) -> None:
            socket.on_message(lambda _: None)
            for event in (
                {"type": "joined", "data": {"name": "Cid"}},
                {"type": "left", "data": {"name": "Bob"}},
                {"type": "said", "data": {"name": "Cid", "text": "Hello", "number": 1}},
            ):
                socket.send(json.dumps(event))
            socket.send(self.WELCOME)

        tab.route_web_socket("**", accept)
        join(tab, "r", "Ann")
        expect(message(tab, "Hello")).to_contain_text("Cid")
        expect(people(tab)).to_have_count(2)
        expect(people(tab)).to_contain_text(["Ann", "Cid"])

    def test_nothing_is_wider_than_a_phone_while_the_server_is_away(self, open_tab: OpenTab) -> None:
        tab = open_tab(viewport={"width": 320, "height": 700})
        tab.clock.install(time=0)
        opened = scripted(tab)
        join(tab, "r", "Ann")
        tab.clock.pause_at(60)
        opened[0].close(code=1001)
        expect(state(tab)).to_have_text("Reconnecting")
        for name in ("Try now", "Rooms and people"):
            expect(tab.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)

    @pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
    def test_the_page_comes_back_however_the_connection_ended(self, open_tab: OpenTab, code: int) -> None:
        """1001 is how API Gateway ends one after two hours, 1000 how the Management API does."""
        tab = open_tab()
        opened = scripted(tab)
        join(tab, "r", "Ann")
        opened[0].close(code=code)
        expect(message(tab, "You are back")).to_be_visible()
        assert len(opened) == 2

    def test_the_page_stays_away_where_it_is_refused(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        tab.clock.install()
        opened = scripted(tab)
        join(tab, "r", "Ann")
        opened[0].close(code=1008, reason="not on the list")
        expect(state(tab)).to_have_text("Refused")
        expect(tab.get_by_role("alert")).to_contain_text("not on the list")
        tab.clock.fast_forward("10:00")
        assert len(opened) == 1
        tab.get_by_role("button", name="Try now").click()
        expect(state(tab)).to_have_text("Connected")

    def test_attempts_become_rarer_the_longer_the_server_is_away(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        tab.add_init_script("Math.random = () => 1")  # the longest delay of each draw
        tab.reload()
        tab.clock.install(time=0)
        opened = scripted(tab)
        join(tab, "r", "Ann")
        tab.clock.pause_at(60)
        away = tab.get_by_text("Reconnecting")
        for delay in (500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000):
            attempts = len(opened)
            opened[-1].close(code=1001)
            expect(away).to_be_visible()
            tab.clock.run_for(delay - 1)
            assert len(opened) == attempts
            tab.clock.run_for(1)
            expect(state(tab)).to_have_text("Connected")
            assert len(opened) == attempts + 1

    def test_a_connection_that_answers_no_ping_is_given_up(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        tab.clock.install()
        opened = scripted(tab)
        join(tab, "r", "Ann")
        tab.clock.run_for("04:00")
        tab.clock.run_for("00:11")
        expect(message(tab, "You are back")).to_be_visible()
        assert len(opened) == 2

    def test_a_personal_message_whose_fate_is_unknown_is_named(self, open_tab: OpenTab) -> None:
        tab = open_tab()
        opened = scripted(tab)
        join(tab, "r", "Ann")
        person(tab, "Bob").click()
        write(tab, "did you get this?")
        opened[0].close(code=1011)
        expect(tab.get_by_role("alert")).to_contain_text("did you get this?")

    def test_an_api_without_paths_is_told_the_path_in_the_query(self, open_tab: OpenTab) -> None:
        """So the page works with a bare API Gateway address, with no CloudFront in front of it."""
        tab = open_tab()
        tab.goto("/?gateway=wss://abcd1234.execute-api.eu-west-1.amazonaws.com/prod")
        opened = scripted(tab)
        join(tab, "r", "Ann & co")
        assert opened[0].url == (
            "wss://abcd1234.execute-api.eu-west-1.amazonaws.com/prod?__path=%2Fws%2Fr&name=Ann+%26+co&after="
        )
