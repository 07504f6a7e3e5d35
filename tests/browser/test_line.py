"""The line as Lab shows it: places that move when others leave, one's own order, and jobs that give way."""

from __future__ import annotations

from live_platform import eventually, run
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


def test_ones_own_jobs_are_put_in_another_order_by_a_menu(ada, client, open_lab):
    blocker = run(client("grace"), "sleep 600", gpus="4", profile="tiny", wait=False)
    eventually(lambda: blocker.refresh().state == "running")
    for name in ("one", "two", "three"):
        run(client("ada"), "true", gpus="1", profile="tiny", name=name, wait=False)
    page = open_lab("ada", "digits")
    names = page.get_by_role("region", name="Queued").locator(".jp-himalia-JobRow-name")
    expect(names).to_have_text(["one", "two", "three"])

    for name, item, order in (
        ("three", "To the Front of My Jobs", ["three", "one", "two"]),
        ("one", "Move Down", ["three", "two", "one"]),
        ("one", "Move Up", ["three", "one", "two"]),
    ):
        page.get_by_role("button", name=f"Move {name} in line").click()
        page.get_by_role("menuitem", name=item).click()
        expect(names).to_have_text(order)

    page.get_by_role("button", name="Move three in line").click()
    expect(page.get_by_role("menuitem", name="Move Up")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)


def test_a_job_that_is_sent_to_give_way_does_so_and_its_submitter_reads_it(ada, client, open_lab, submit):
    page = open_lab("ada", "digits")
    page.get_by_label("GPU request").fill("4")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Gives way when others need the GPU (preemptible)").check()
    job = submit(page, "sleep 600")
    row = page.locator(f".jp-himalia-JobRow[data-job='{job}']")
    expect(row).to_have_attribute("data-state", "running", timeout=60_000)

    other = run(client("grace"), "true", gpus="1", profile="tiny", wait=False)
    warning = page.locator(".Toastify__toast", has_text=f"({job}) gives way: it stops at")
    expect(warning).to_contain_text("Save a checkpoint in /storage.")

    other.cancel()
    expect(warning).to_have_count(0)  # it is needed no more
