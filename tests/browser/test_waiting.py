"""Waiting for a GPU in a real browser: from the form to the line, without a GPU meanwhile, and to Lab when it is one's turn."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from live_platform import LivePlatform

    import himalia

LAB_MS = 90_000
WAITING = re.compile(r"/services/jobs/waiting/[a-z2-7]{12}$")


@pytest.fixture
def in_line(live: LivePlatform, open_page: Callable[[], Page], holders: list[himalia.Job]) -> Page:
    """The page that grace gets to when she asks the hub's form for a GPU."""
    page = open_page()
    page.goto(f"{live.url}/hub/login?next=/hub/spawn")
    page.fill("#username_input", "grace")
    page.fill("#password_input", live.password)
    page.click("#login_submit")
    page.check("input[value=gpu]")
    page.click("input[type=submit], button[type=submit]")
    page.wait_for_url(WAITING)
    return page


def test_who_waits_reads_why_and_the_server_comes_by_itself(live, in_line, holders, picture):
    page = in_line
    expect(page.get_by_role("status")).to_contain_text("1st in line. Waiting for 1 of: GPU ")
    expect(page.locator(".offered")).to_contain_text("0 GPUs free now.")
    expect(page.get_by_role("button", name="Start without a GPU now")).to_be_visible()
    expect(page.locator("main time").first).not_to_contain_text("UTC")  # the reader's own zone
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        picture(page, f"waiting-{scheme}")
    page.goto(f"{live.url}/hub/spawn")
    expect(page.locator(".alert")).to_contain_text("This server waits in line for gpu. 1st in line.")
    page.click(".alert a")
    page.wait_for_url(WAITING)

    holders[0].cancel()

    page.wait_for_url(re.compile(r"/user/grace/lab"), timeout=LAB_MS)
    page.locator("#jp-main-dock-panel").wait_for(timeout=LAB_MS)
    page.close()  # its server is stopped now


def test_who_leaves_the_line_is_told_so_and_can_start_anew(live, in_line):
    page = in_line

    page.get_by_role("button", name="Cancel").click()

    expect(page.get_by_role("status")).to_have_text("The wait was cancelled.")
    page.get_by_role("link", name="Start a server").click()
    expect(page.locator("form")).to_contain_text("What should your server have?")
    assert live.ask("GET", "waiting", live.person("grace").token).json() == {"waiting": []}


def test_a_server_without_a_gpu_is_offered_one_in_lab_when_it_is_its_turn(live, in_line, holders, picture, complaints):
    page, address = in_line, in_line.url
    page.get_by_role("button", name="Start without a GPU now").click()
    page.wait_for_url(re.compile(r"/user/grace/lab"), timeout=LAB_MS)
    page.locator("#jp-main-dock-panel").wait_for(timeout=LAB_MS)

    holders[0].cancel()
    toast = page.locator(".Toastify__toast", has_text="A GPU is free for your server")
    expect(toast).to_be_visible(timeout=LAB_MS)
    line = page.context.new_page()
    line.goto(address)
    expect(line.get_by_role("status")).to_contain_text("restart it to get it")
    picture(line, "waiting-kept-light")
    with page.expect_response(re.compile(r"/api/notices/.*/answer")):
        toast.get_by_role("button", name="Restart now").click()
    page.close()

    line.wait_for_url(re.compile(r"/user/grace/lab"), timeout=LAB_MS)
    (container,) = live.containers("server")
    assert container.attrs["Labels"]["himalia.slots"]
    complaints.clear()  # of the Lab whose server was stopped under it
