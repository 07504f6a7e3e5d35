"""A place in line moves on the screen when others leave the line, in the list and on the job's page."""

from __future__ import annotations

from live_platform import run
from playwright.sync_api import expect


def test_a_place_in_line_follows_what_other_people_do(ada, client, open_lab, submit):
    blocker = run(client("grace"), "sleep 600", gpus="4", profile="tiny", wait=False)
    before = run(client("bob"), "true", gpus="1", profile="tiny", wait=False)
    page = open_lab("ada", "digits")
    page.get_by_label("Profile").select_option("gpu")
    job = submit(page, "echo my turn")
    row, header = (page.locator(f".jp-himalia-{part}[data-job='{job}']") for part in ("JobRow", "JobHeader"))
    expect(row).to_contain_text("2nd in line")
    expect(header).to_contain_text("2nd in line")

    before.cancel()

    expect(row).to_contain_text("1st in line")
    expect(header).to_contain_text("1st in line")
    blocker.cancel()
    expect(row).to_have_attribute("data-state", "succeeded", timeout=60_000)
