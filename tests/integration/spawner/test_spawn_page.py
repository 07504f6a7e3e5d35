"""The page before a start and the page while one waits, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from himalia.states import LeaseState
from himalia_spawner.passwords import load_passwords

ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]
SECONDS = 60_000  #: milliseconds that a page may take on a machine that runs all tests


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, platform) -> Iterator[Page]:
    """Give a page of somebody who has just logged in, before their first start."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    expect.set_options(timeout=SECONDS)
    page.goto(f"{platform.place.proxy_url}/hub/login?next=/hub/spawn")
    page.fill("#username_input", "ada")
    page.fill("#password_input", load_passwords(platform.place.site.data).user)
    page.click("#login_submit")
    yield page
    context.close()


def chosen(page: Page, profile: str) -> None:
    """Choose a profile, and send the form."""
    page.check(f"input[value={profile}]")
    page.click("input[type=submit], button[type=submit]")


def test_the_form_says_what_is_free_and_a_start_in_line_leads_to_where_the_line_is_shown(platform, page, person):
    bob = person("bob")
    platform.service.gpus = 1
    bob.start_server("gpu")
    page.reload()
    expect(page.locator("form")).to_contain_text("All GPUs are taken.")
    expect(page.locator("form")).to_contain_text("Free now.")

    chosen(page, "gpu")

    page.wait_for_url(re.compile(r"/services/jobs/waiting/"))
    (lease,) = platform.service.in_state(LeaseState.WAITING)
    assert page.url.endswith(f"/services/jobs/waiting/{lease.id}")
    page.goto(f"{platform.place.proxy_url}/user/ada/lab", wait_until="commit")
    page.wait_for_url(re.compile(r"/services/jobs/waiting/"))  # the hub's page of a start that did not come leads there
    for address in ("/hub/spawn", "/hub/spawn/ada"):
        page.goto(f"{platform.place.proxy_url}{address}")
        expect(page.locator(".alert")).to_contain_text("This server waits in line for gpu. 1st in line.")
        expect(page.locator("input[value=gpu]")).to_be_checked()
        assert page.locator(".alert a").get_attribute("href") == f"/services/jobs/waiting/{lease.id}"

    bob.stop_server()
    person("ada").start_server("gpu")
    assert [lease.request.user for lease in platform.service.in_state(LeaseState.HELD)] == ["ada"]
    person("ada").stop_server()
    assert platform.service.live() == []


def test_who_left_the_line_is_asked_anew_and_not_put_in_it_again(platform, page, person):
    platform.service.gpus = 0
    page.goto(f"{platform.place.proxy_url}/hub/spawn")
    chosen(page, "gpu")
    page.wait_for_url(re.compile(r"/services/jobs/waiting/"))
    (lease,) = platform.service.live()

    platform.thread.call(lambda: platform.service.release(lease.id))
    page.goto(f"{platform.place.proxy_url}/hub/spawn")

    expect(page.locator("input[value=cpu]")).to_be_checked()
    assert platform.service.live() == []


def test_a_choice_that_is_not_open_is_refused_above_the_form(page):
    page.locator("input[value=cpu]").evaluate("field => { field.value = 'team'; field.checked = true }")
    page.click("input[type=submit], button[type=submit]")

    expect(page.locator("body")).to_contain_text("The profile team is not for you.")
    expect(page.locator("form")).to_contain_text("What should your server have?")
