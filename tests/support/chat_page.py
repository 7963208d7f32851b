"""The chat's page, as people use it: what they do, and where they look."""

import json
from collections.abc import Callable

from playwright.sync_api import Locator, Page, WebSocketRoute, expect

__all__ = ["OpenTab", "join", "log", "message", "people", "person", "scripted", "state", "write"]

OpenTab = Callable[..., Page]


def join(tab: Page, room: str, name: str) -> None:
    """Join a room, and wait until that is done."""
    tab.get_by_label("Your name").fill(name)
    tab.get_by_label("Room", exact=True).fill(room)
    tab.get_by_role("button", name="Join").click()
    expect(state(tab)).to_have_text("Connected")


def write(tab: Page, text: str) -> None:
    """Write a text, and send it."""
    field = tab.get_by_label("Message", exact=True)
    field.fill(text)
    field.press("Enter")


def state(tab: Page) -> Locator:
    """What the page says of the connection."""
    return tab.get_by_role("status")


def log(tab: Page) -> Locator:
    """The conversation."""
    return tab.get_by_role("log")


def people(tab: Page) -> Locator:
    """Who is in the room."""
    return tab.get_by_role("region", name="In the room").get_by_role("button")


def person(tab: Page, name: str) -> Locator:
    """One of those in the room."""
    return people(tab).filter(has_text=name)


def message(tab: Page, text: str) -> Locator:
    """An entry of the conversation, with a text in it."""
    return log(tab).get_by_role("listitem").filter(has_text=text)


def scripted(tab: Page, names: tuple[str, ...] = ("Ann", "Bob")) -> list[WebSocketRoute]:
    """Answer every socket that *tab* opens with a welcome; return them, the latest last."""
    opened: list[WebSocketRoute] = []
    welcome = {"room": "r", "name": "Ann", "connection": "c", "people": list(names)}

    def accept(socket: WebSocketRoute) -> None:
        opened.append(socket)
        socket.on_message(lambda _: None)
        socket.send(json.dumps({"type": "welcome", "data": welcome}))

    tab.route_web_socket("**", accept)
    return opened
