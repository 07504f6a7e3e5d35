"""What the interface says when something is missing, wrong or away; that it is read by all, and by keyboard alone."""

from __future__ import annotations

import json
import re

import pytest
from faint import TOO_FAINT
from playwright.sync_api import Locator, Page, Route, expect


def with_image(page: Page, image: str) -> None:
    """Let what the page submits ask for an image."""

    def ask(route: Route) -> None:
        body = route.request.post_data_json
        route.continue_(post_data=json.dumps(body | {"job": body["job"] | {"image": image}}))

    page.route(re.compile(r"/himalia/api/submit\b"), ask)


def press_submit(page: Page) -> None:
    page.get_by_role("button", name="Submit", exact=True).click()


def said(page: Page) -> Locator:
    """Return what the form says; what else Lab tells stands elsewhere."""
    return page.locator(".jp-himalia-Submit").get_by_role("alert")


def test_what_is_missing_or_wrong_is_said_at_its_field(ada, open_lab, complaints):
    page = open_lab("ada", "digits")

    page.locator(".jp-himalia-Command").fill("")
    press_submit(page)
    expect(said(page)).to_have_text("Write the command to run, such as python train.py.")

    page.locator(".jp-himalia-Command").fill("true")
    page.get_by_label("GPU request").fill("A100:many")
    press_submit(page)
    expect(said(page)).to_contain_text("many")
    expect(page.get_by_label("GPU request")).to_have_accessible_description(said(page).inner_text())
    page.get_by_label("GPU request").fill("")

    page.get_by_text("More", exact=True).click()
    page.get_by_label("Time limit").fill("soon")
    press_submit(page)
    expect(said(page)).to_contain_text("soon")
    expect(page.get_by_label("Time limit")).to_have_accessible_description(said(page).inner_text())
    page.get_by_label("Time limit").fill("")

    page.get_by_label("Retries").fill("2")
    page.get_by_label("After", exact=True).fill("oom,exot:75")
    press_submit(page)
    expect(said(page)).to_contain_text("'exot:75' at position 5 is no cause of a retry")
    assert ["422" in complaint for complaint in complaints] == [True, True, True]
    complaints.clear()


@pytest.mark.parametrize("image", ["evil/image", "spare"])
def test_an_image_that_is_not_offered_or_not_there_is_said_above_the_button(ada, live, open_lab, complaints, image):
    page = open_lab("ada", "digits")
    # The form has no field for it: a profile's image, or an administrator's file, may still be wrong.
    with live.without_spare():
        with_image(page, image)
        page.locator(".jp-himalia-Command").fill("true")
        press_submit(page)
        alert = said(page)
        expect(alert).to_contain_text("not offered here" if image == "evil/image" else "not on this machine")

    assert len(complaints) == 1
    assert "422" in complaints.pop()


def test_a_place_that_cannot_be_submitted_says_so_before_anything_is_sent(ada, open_lab, complaints):
    page = open_lab("ada", "team")

    expect(said(page)).to_contain_text("where all teams are")
    assert complaints
    complaints.clear()


def test_what_is_private_in_a_home_is_said_to_stay_there(ada, live, open_lab):
    (server,) = (one for one in live.containers("server") if one.attrs["Labels"]["himalia.owner"] == "user:ada")
    assert server.exec_run(["sh", "-c", "mkdir -p ~/.ssh && printf key > ~/.ssh/id"]).exit_code == 0

    page = open_lab("ada")
    page.locator(".jp-himalia-LeftOut summary").click()

    expect(page.locator(".jp-himalia-LeftOut")).to_contain_text(".ssh 3 bytes (secrets)")


def test_no_jobs_yet_is_said_to_who_has_none(live, open_lab):
    live.person("newcomer").start_server("cpu")
    page = open_lab("newcomer")

    expect(page.locator(".jp-himalia-NoJobs")).to_contain_text("No jobs yet")


def test_a_service_that_is_away_is_told_and_comes_back_by_itself(ada, live, open_lab, submit, complaints):
    page = open_lab("ada", "digits")
    job = submit(page, "echo still here")
    row = page.locator(f".jp-himalia-JobRow[data-job='{job}']")
    expect(row).to_have_attribute("data-state", "succeeded")

    with live.stopped("service"):
        page.locator(".jp-himalia-Command").fill("true")
        press_submit(page)
        expect(said(page)).to_contain_text("Nothing answers")
        expect(page.locator(".jp-himalia-Trouble")).to_contain_text("Jobs go on", timeout=60_000)
        expect(row).to_be_visible()

    expect(page.locator(".jp-himalia-Trouble")).to_have_count(0, timeout=60_000)
    press_submit(page)
    expect(page.locator(".jp-himalia-JobRow")).not_to_have_count(0)
    assert all("Failed to load resource" in complaint for complaint in complaints)
    complaints.clear()


def test_a_log_goes_on_where_it_was_after_the_service_was_killed(ada, live, open_lab, submit, complaints, tmp_path):
    page = open_lab("ada", "digits")
    job = submit(page, "echo before; until [ -e /storage/killed/open ]; do sleep 0.1; done; echo after")
    log = page.locator(f"#himalia-job-{job}").get_by_role("log").locator("pre")
    expect(log).to_have_text("before")

    live.kill("service")
    (tmp_path / "open").write_text("")
    ada.upload(tmp_path, "storage/killed")

    expect(log).to_have_text("before\nafter", use_inner_text=True, timeout=60_000)
    expect(page.locator(f".jp-himalia-JobRow[data-job='{job}']")).to_have_attribute("data-state", "succeeded")
    assert all("Failed to load resource" in complaint for complaint in complaints)
    complaints.clear()


def test_all_is_reached_by_keyboard_alone(ada, open_lab, sent):
    page = open_lab("ada", "digits")
    page.get_by_role("radio", name="Command").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Notebook")).to_be_checked()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    page.keyboard.type("echo typed")

    job = sent(page, lambda: page.keyboard.press("Control+Enter"))

    page.locator(f"#himalia-job-{job}").get_by_role("tab", name="Log", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Artifacts", exact=True)).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Artifacts")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_role("tabpanel", name="Details")).to_contain_text("The same from a terminal")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(ada, open_lab, submit, request, theme):
    if theme == "dark":
        request.getfixturevalue("dark")
    page = open_lab("ada", "digits")
    job = submit(page, "echo out; exit 3")
    expect(page.locator(f".jp-himalia-JobHeader[data-job='{job}']")).to_have_attribute("data-state", "failed")
    page.get_by_text("More", exact=True).click()
    page.locator(".jp-himalia-Command").fill("")
    press_submit(page)
    expect(said(page)).to_be_visible()

    for tab in ("Log", "Artifacts", "Details"):
        page.get_by_role("tab", name=tab, exact=True).click()
        expect(page.get_by_role("tabpanel", name=tab)).to_be_visible()
        assert page.evaluate(TOO_FAINT, "#himalia-jobs, .jp-himalia-Job") == []
