"""Two notebooks and two jobs on two GPUs: who waits reads why, asks the holder, and gets the GPU when the holder agrees."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from live_platform import LivePlatform, eventually, run
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    import himalia

LAB_MS = 90_000
#: In how many lines a button's words stand.
LINES = """button => {
  const words = document.createRange();
  words.selectNodeContents(button);
  return new Set([...words.getClientRects()].map(line => line.top)).size;
}"""
DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture
def two_gpus(live: LivePlatform, client: Callable[[str], himalia.Client]) -> Iterator[None]:
    """Two of the four GPUs are somebody's job's."""
    job = run(client("eve"), ["sleep", "600"], profile="tiny", gpus="2", wait=False)
    eventually(lambda: job.refresh().state == "running")
    yield
    for name in ("ada", "bob", "carol"):
        live.person(name).stop_server()


def start_by_form(live: LivePlatform, page: Page, name: str, profile: str) -> None:
    """Log in, and take a profile on the hub's form."""
    page.goto(f"{live.url}/hub/login?next=/hub/spawn")
    page.fill("#username_input", name)
    page.fill("#password_input", live.password)
    page.click("#login_submit")
    page.check(f"input[value={profile}]")
    page.click("input[type=submit], button[type=submit]")
    page.wait_for_url(re.compile(rf"/user/{name}/lab"), timeout=LAB_MS)
    page.locator("#jp-main-dock-panel").wait_for(timeout=LAB_MS)


def toast(page: Page, text: str):
    """Return a notification."""
    return page.locator(".Toastify__toast").filter(has_text=text)


def test_who_waits_asks_and_gets_the_gpu_when_the_holder_agrees(
    live, two_gpus, open_page, open_lab, submit, client, picture, complaints
):
    holders = {name: open_page() for name in ("ada", "bob")}
    for name, page in holders.items():
        start_by_form(live, page, name, "gpu")
    held = {slot.holder_user: slot.index for slot in client("root-admin").gpus().slots if slot.holder_kind == "server"}
    carol = live.person("carol")
    carol.start_server("cpu")
    carol.upload(DIGITS, "digits")
    page = open_lab("carol", "digits")
    page.get_by_label("Profile").select_option("gpu")

    third = submit(page, "echo my turn; sleep 5")
    row = page.locator(f".jp-himalia-JobRow[data-job='{third}']")
    expect(row).to_contain_text("1st in line. Waiting for 1 of: GPU ")
    fourth = submit(page, "echo and mine")
    expect(page.locator(f".jp-himalia-JobRow[data-job='{fourth}']")).to_contain_text("2nd in line")
    row.locator(".jp-himalia-JobRow-main").click()
    picture(page, "two-gpus-waits")
    page.get_by_role("button", name=f"Ask for GPU {held['bob']}", exact=True).click()
    expect(toast(page, "is asked to give GPU")).to_be_visible()
    question = toast(holders["bob"], "carol waits for a GPU like the one of your server")
    expect(question).to_be_visible()
    picture(holders["bob"], "two-gpus-asked")
    labels = question.locator(".jp-toast-button")
    assert [label.evaluate(LINES) for label in labels.all()] == [1, 1, 1], labels.all_inner_texts()
    question.get_by_role("button", name="Stop server").click()

    expect(row).to_have_attribute("data-state", "running", timeout=60_000)
    expect(row).to_have_attribute("data-state", "succeeded", timeout=60_000)
    expect(page.locator(f".jp-himalia-JobRow[data-job='{fourth}']")).to_have_attribute(
        "data-state", "succeeded", timeout=60_000
    )
    assert {slot.holder_user for slot in client("root-admin").gpus().slots if slot.holder_kind == "server"} == {"ada"}
    complaints.clear()  # of the Lab whose server was stopped under it
