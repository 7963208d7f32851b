"""A real Chromium, and the reference app served to it in each of its lives."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from support.servers import COMMANDS, Server

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No sandbox: it needs kernel features that containers lack. The others keep the browser from calling home.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 30_000  # ms until an expectation has failed, on a machine that does much else

expect.set_options(timeout=PATIENCE)


# Not for the whole session: while it runs, no other test could run an event loop in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        pytest.skip(f"no browser: none of {', '.join(CHROMIUMS)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=COMMANDS)
def server(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Server]:
    """The app, started only where there is a browser for it."""
    with Server(request.param) as server:
        yield server


@pytest.fixture
def open_tab(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Open the page in a browser of its own, so to speak: nothing is shared with the other tabs but the server.

    What the page logs as an error, or throws, fails the test at its end.
    """
    errors: list[str] = []
    with ExitStack() as tabs:

        def open_tab(**options: object) -> Page:
            context = browser.new_context(base_url=server.url, **options)  # type: ignore[arg-type]
            tabs.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto("/")
            return page

        yield open_tab
    assert errors == []
