"""Fixtures for tests in a real browser.

`network`     the network that the browser is in: 127.0.0.1 with the platform's port alone
`ada`         somebody whose server runs and who has the example in their home
`open_lab`    logs somebody in with a browser that nobody has used before, and opens a Lab with the sidebar in front
`submit`      submits a command from the sidebar and gives the job's id; `sent` does so for any way to press
`dark`        the dark theme, for ada
`bare_list`   ada's list of jobs without those that ended in other tests, so that pictures show what they are about
`complaints`  what the pages wrote to their consoles as errors; at the end there must be none
`picture`     keeps a picture of a page for the docs, when HIMALIA_SCREENSHOTS=1
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from quiet_network import QuietNetwork

from himalia.states import FINAL_STATES

if TYPE_CHECKING:
    from live_platform import LivePlatform

    import himalia
    from himalia_spawner.platform.person import Person

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
IMAGES = Path(__file__).parents[2] / "docs" / "images"
LAB_SECONDS = 90
#: A machine that runs all tests at once is slow: what should come at once may take a while.
EXPECT_SECONDS = 20

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
THEMES = "lab/api/settings/@jupyterlab/apputils-extension:themes"

OpenLab = Callable[..., Page]


@pytest.fixture(scope="module")
def network(live: LivePlatform) -> Iterator[QuietNetwork]:
    """The network that the module's browser sees: the platform's port, and what a test adds."""
    quiet = QuietNetwork()
    quiet.reach(live.place.site.platform.port)
    yield quiet
    quiet.end()


@pytest.fixture(scope="module")
def browser(network: QuietNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for the module: while Playwright is open, no asyncio test can run in this thread."""
    expect.set_options(timeout=EXPECT_SECONDS * 1000)
    program = network.program(CHROMIUM, tmp_path_factory.mktemp("chromium") / "chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def ada(live: LivePlatform) -> Person:
    """Somebody whose server runs and who has the example in their home."""
    person = live.person("ada")
    person.start_server("cpu")
    person.upload(DIGITS, "digits")
    return person


@pytest.fixture
def dark(ada: Person) -> Iterator[None]:
    """The dark theme, for ada."""

    def choose(theme: str) -> None:
        body = {"raw": json.dumps({"theme": theme})}
        assert ada.put(f"user/ada/{THEMES}", body).is_success

    choose("JupyterLab Dark")
    yield
    choose("JupyterLab Light")


@pytest.fixture
def bare_list(ada: Person, client: Callable[[str], himalia.Client]) -> None:
    """Ada's list of jobs without those that ended in other tests."""
    me = client("ada")
    for job in list(me.jobs()):
        if job.user == "ada" and job.state in FINAL_STATES:
            me.delete(job.id)


@pytest.fixture
def complaints() -> list[str]:
    """What the pages of the test wrote to the console as errors; a test may take out what it brought about."""
    return []


@pytest.fixture
def open_page(browser: Browser, complaints: list[str]) -> Iterator[Callable[[], Page]]:
    """Opens a page of a browser that nobody has used before; none may complain on its console."""
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def make() -> Page:
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def open_lab(live: LivePlatform, open_page: Callable[[], Page]) -> OpenLab:
    """Logs somebody in and opens their JupyterLab, with no tabs of earlier visits and the Jobs sidebar in front."""

    def make(name: str, path: str = "", *, owner: str | None = None) -> Page:
        page = open_page()
        page.goto(f"{live.url}/hub/login")
        page.fill("#username_input", name)
        page.fill("#password_input", live.password)
        page.click("#login_submit")
        page.goto(f"{live.url}/user/{owner or name}/lab{path and f'/tree/{path}'}?reset")
        if owner:
            page.get_by_role("button", name="Authorize").click()
        tab = page.locator("li.lm-TabBar-tab[data-id='himalia-jobs']")
        tab.wait_for(timeout=LAB_SECONDS * 1000)
        if "lm-mod-current" not in (tab.get_attribute("class") or ""):
            tab.click()
        expect(page.locator(".jp-himalia-Submit")).to_be_visible(timeout=30_000)
        expect(page.locator(".jp-himalia-Target-path")).to_have_text(f"~/{path}")
        return page

    return make


@pytest.fixture
def sent() -> Callable[[Page, Callable[[], None]], str]:
    """Gives the id of the job that is submitted by what is pressed."""

    def press(page: Page, act: Callable[[], None]) -> str:
        with page.expect_response(lambda answer: "/himalia/api/submit" in answer.url) as answer:
            act()
        job = str(answer.value.json()["id"])
        expect(page.locator(f".jp-himalia-JobRow[data-job='{job}']")).to_be_visible()
        return job

    return press


@pytest.fixture
def submit(sent: Callable[[Page, Callable[[], None]], str]) -> Callable[[Page, str], str]:
    """Submits a command from the sidebar and gives the job's id."""

    def write_and_press(page: Page, command: str) -> str:
        page.locator(".jp-himalia-Command").fill(command)
        return sent(page, page.get_by_role("button", name="Submit", exact=True).click)

    return write_and_press


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keeps a picture of a page for the docs, when HIMALIA_SCREENSHOTS=1."""

    def take(page: Page, name: str) -> None:
        if os.environ.get("HIMALIA_SCREENSHOTS") == "1":
            IMAGES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")

    return take
