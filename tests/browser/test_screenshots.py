"""The README's pictures of the chat are what a browser shows of it.

``make screenshots`` writes them anew. Otherwise the same is done, and the pictures have to be there, of the right size:
whether they show the page as it is today only eyes can tell.
"""

import os
import struct
import zlib
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.chat_page import OpenTab, join, message, person, write

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("server", ["gateway"], indirect=True),
]

ROOT = Path(__file__).parents[2]
LARGEST = 150_000  # bytes: a README is read on phones

PLACE = {"locale": "en-GB", "timezone_id": "Europe/London"}
DESK = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light", **PLACE}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "device_scale_factor": 1.5, **PLACE}


@pytest.fixture
def talk(open_tab: OpenTab) -> tuple[Page, Page]:
    """Ada at a desk and Grace on a phone, who have said a few things to each other."""
    grace = open_tab(**PHONE)
    join(grace, "lighthouse", "Grace")
    ada, edsger = open_tab(**DESK), open_tab(**DESK)
    join(ada, "kitchen", "Ada")
    ada.get_by_label("Another room").fill("lighthouse")
    ada.get_by_label("Another room").press("Enter")
    expect(message(ada, "Welcome, Ada.")).to_be_visible()
    join(edsger, "lighthouse", "Edsger")
    ada.get_by_role("button", name="Under the hood").click()
    for tab, text in (
        (edsger, "Good morning! Is anybody awake?"),
        (grace, "I am. The server isn't: it hibernates between two messages."),
        (ada, "And still it counts mine, in a local variable."),
        (edsger, "In whichever process is free?"),
        (ada, "Yes. Watch the yellow line."),
    ):
        write(tab, text)
        for each in (ada, grace):
            expect(message(each, text)).to_be_visible()
    write(ada, "/primes 200000")
    expect(message(ada, "Primes below 200,000")).to_contain_text("17,984 found")
    write(edsger, "/announce The light goes on at nine.")
    for each in (ada, grace):
        expect(message(each, "The light goes on at nine.")).to_be_visible()
    expect(person(ada, "Edsger")).to_be_visible()
    edsger.get_by_label("Message", exact=True).press_sequentially("Nine it is")
    for each in (ada, grace):
        expect(each.get_by_text("Edsger is typing")).to_be_visible()
    return ada, grace


def test_the_readme_shows_the_chat_on_a_desk_and_on_a_phone(talk: tuple[Page, Page], tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ada, grace = talk
    expect(ada.locator(".waits")).to_be_in_viewport()
    for tab, name in ((ada, "chat-desk.png"), (grace, "chat-phone.png")):
        kept, made = ROOT / "docs" / "images" / name, tmp_path / name
        tab.screenshot(path=made, caret="hide", animations="disabled")
        if "GATESOCKET_SCREENSHOTS" in os.environ:
            kept.write_bytes(smaller(made.read_bytes(), tab))
        assert f"docs/images/{name}" in readme
        assert size_of(kept) == size_of(made)
        assert kept.stat().st_size < LARGEST


def smaller(picture: bytes, tab: Page) -> bytes:
    """The same PNG without the filters that Chromium gives each line: they are for photographs, and double a screen."""
    found = tab.evaluate(PIXELS, b64encode(picture).decode())
    width, pixels = found["width"], b64decode(found["pixels"])
    colours = bytearray(len(pixels) // 4 * 3)
    for channel in range(3):
        colours[channel::3] = pixels[channel::4]
    lines = [b"\0" + colours[at : at + width * 3] for at in range(0, len(colours), width * 3)]
    head = struct.pack(">IIBBBBB", width, len(lines), 8, 2, 0, 0, 0)  # 8 bits of each of three colours
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(lines), 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


PIXELS = """async (png) => {
  const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(png), (byte) => byte.charCodeAt(0))]));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  const { data } = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
  let pixels = "";
  for (let at = 0; at < data.length; at += 30_000) pixels += String.fromCharCode(...data.subarray(at, at + 30_000));
  return { width: bitmap.width, pixels: btoa(pixels) };
}"""
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG, from its first chunk (RFC 2083, section 4.1.1)."""
    head = picture.read_bytes()[:24]
    assert head.startswith(SIGNATURE), picture
    width, height = struct.unpack(">II", head[16:])
    return width, height
