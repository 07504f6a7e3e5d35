"""The main road as a person walks it: log in, Lab, sidebar, submit, log, artifacts; close the browser and come back."""

from __future__ import annotations

import pytest
from live_platform import eventually
from playwright.sync_api import Locator, Page, expect

import himalia

TRAIN = "python3 train.py --fresh --epochs 20 --seconds-per-epoch 0.2"


def row_of(page: Page, job: str) -> Locator:
    return page.locator(f".jp-himalia-JobRow[data-job='{job}']")


def page_of(page: Page, job: str) -> Locator:
    return page.locator(f"#himalia-job-{job}")


def header_of(page: Page, job: str) -> Locator:
    return page.locator(f".jp-himalia-JobHeader[data-job='{job}']")


@pytest.mark.parametrize("theme", ["", "-dark"])
def test_a_directory_is_submitted_from_the_sidebar_and_its_picture_comes_back(
    ada, bare_list, open_lab, submit, picture, request, theme
):
    if theme:
        request.getfixturevalue("dark")
    page = open_lab("ada", "digits")
    expect(page.locator(".jp-himalia-Submit")).to_contain_text("4 files")
    picture(page, f"sidebar{theme}")

    job = submit(page, TRAIN)

    header, row = header_of(page, job), row_of(page, job)
    expect(header).to_have_attribute("data-state", "running")
    log = page_of(page, job).get_by_role("log")
    expect(log).to_contain_text("epoch")
    expect(log).to_contain_text("epoch   5")
    picture(page, f"job-log{theme}")
    expect(header).to_have_attribute("data-state", "succeeded", timeout=60_000)
    expect(row).to_have_attribute("data-state", "succeeded")
    expect(log).to_contain_text("of the digits are right")
    page.get_by_role("tab", name="Artifacts", exact=True).click()
    page.locator(".jp-himalia-Artifact[data-path='confusion.png'] .jp-himalia-Artifact-name").click()
    shown = page.locator(".jp-himalia-Artifacts-preview img")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") > 100
    picture(page, f"job-artifacts{theme}")


def test_an_artifact_is_downloaded_byte_by_byte(ada, open_lab, submit, tmp_path):
    page = open_lab("ada", "digits")
    job = submit(page, 'printf "a\\0b" > "/artifacts/odd %2e name.bin"')
    expect(header_of(page, job)).to_have_attribute("data-state", "succeeded", timeout=60_000)
    page.get_by_role("tab", name="Artifacts", exact=True).click()

    with page.expect_download() as download:
        page.get_by_role("button", name="Download odd %2e name.bin").click()

    target = tmp_path / "saved"
    download.value.save_as(target)
    assert download.value.suggested_filename == "odd %2e name.bin"
    assert target.read_bytes() == b"a\0b"


def test_what_a_job_could_import_is_saved_from_its_details(ada, open_lab, submit, tmp_path):
    page = open_lab("ada", "digits")
    job = submit(page, "true")
    expect(header_of(page, job)).to_have_attribute("data-state", "succeeded", timeout=60_000)
    eventually(lambda: ada.get(f"services/jobs/api/jobs/{job}/packages").is_success)
    page.get_by_role("tab", name="Details", exact=True).click()

    with page.expect_download() as download:
        page.get_by_role("button", name="Save the list of the packages of attempt 1").click()

    download.value.save_as(tmp_path / "saved")
    assert download.value.suggested_filename == f"{job}.1-packages.txt"
    assert "\nnumpy==" in (tmp_path / "saved").read_text()


@pytest.mark.fault(98)
def test_a_job_outlives_the_browser_and_a_new_login_sees_its_log_from_the_first_byte(ada, open_lab, submit, tmp_path):
    first = open_lab("ada", "digits")
    job = submit(first, "echo the first line; until [ -e /storage/gate/open ]; do sleep 0.1; done; echo the last line")
    first.context.close()

    again = open_lab("ada", "digits")

    expect(row_of(again, job)).to_have_attribute("data-state", "running")
    row_of(again, job).locator(".jp-himalia-JobRow-main").click()
    log = page_of(again, job).get_by_role("log").locator("pre")
    expect(log).to_have_text("the first line")
    (tmp_path / "open").write_text("")
    ada.upload(tmp_path, "storage/gate")
    expect(log).to_have_text("the first line\nthe last line", use_inner_text=True)
    expect(header_of(again, job)).to_have_attribute("data-state", "succeeded")


def test_a_notebook_is_run_from_its_own_toolbar_and_comes_back_with_what_it_showed(ada, open_lab, sent):
    page = open_lab("ada", "digits")
    page.goto(page.url.split("?")[0].removesuffix("/digits") + "/digits/train.ipynb")
    page.get_by_role("button", name="Run this notebook as a job").click()
    expect(page.get_by_role("radio", name="Notebook")).to_be_checked()
    expect(page.locator(".jp-himalia-Submit").get_by_label("Notebook").last).to_have_value("train.ipynb")

    job = sent(page, page.get_by_role("button", name="Submit", exact=True).click)

    expect(header_of(page, job)).to_have_attribute("data-state", "succeeded", timeout=90_000)
    job_page = page_of(page, job)
    job_page.get_by_role("tab", name="Artifacts", exact=True).click()
    job_page.locator(".jp-himalia-Artifact[data-path='train.ipynb'] .jp-himalia-Artifact-name").click()
    expect(job_page.locator(".jp-himalia-Notebook")).to_contain_text("epoch  30/30")
    expect(job_page.locator(".jp-himalia-Notebook img").first).to_be_visible()


def test_a_waiting_job_tells_its_place_and_reason_and_can_be_cancelled_and_run_again(ada, client, open_lab, submit):
    grace = client("grace")
    blocker = himalia.submit(None, command="sleep 600", gpus="4", project="tests", profile="tiny", client=grace)
    page = open_lab("ada", "digits")
    expect(page.locator(".jp-himalia-Gpus")).to_contain_text("0 of 4 GPUs free")
    page.get_by_label("Profile").select_option("gpu")

    job = submit(page, "echo it is my turn")

    row = row_of(page, job)
    expect(row).to_have_attribute("data-state", "queued")
    expect(row).to_contain_text("Waiting for 1 of: GPU 0 (in use, ends before")
    expect(header_of(page, job)).to_contain_text("1st in line")
    page_of(page, job).get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel job").click()
    expect(row).to_have_attribute("data-state", "cancelled")
    blocker.cancel().wait(60)
    expect(page.locator(".jp-himalia-Gpus")).to_contain_text("4 of 4 GPUs free")
    with page.expect_response(lambda answer: answer.url.endswith("/rerun")) as answer:
        page_of(page, job).get_by_role("button", name="Run again").click()
    again = answer.value.json()["id"]
    expect(header_of(page, again)).to_have_attribute("data-state", "succeeded", timeout=60_000)
    expect(page_of(page, again).get_by_role("log")).to_contain_text("it is my turn")


def test_a_running_job_is_cancelled_from_the_list(ada, open_lab, submit):
    page = open_lab("ada", "digits")
    job = submit(page, "echo begun; sleep 600")
    expect(page_of(page, job).get_by_role("log")).to_contain_text("begun")

    row_of(page, job).get_by_role("button", name="Cancel echo begun").click()
    page.get_by_role("button", name="Cancel job").click()

    expect(row_of(page, job)).to_have_attribute("data-state", "cancelled")
    expect(header_of(page, job)).to_contain_text("cancelled")


def test_what_a_visitor_submits_on_a_shared_server_is_the_visitors(ada, live, client, open_lab, submit):
    shared = {"user": "bob", "scopes": ["access:servers!server=ada/"]}
    assert live.person("root-admin").post("hub/api/shares/ada/", shared).is_success
    page = open_lab("bob", "digits", owner="ada")

    job = submit(page, "echo whose is it; echo $HIMALIA_USER")

    expect(page_of(page, job).get_by_role("log")).to_contain_text("bob")
    seen = client("bob").job(job)
    assert (seen.user, seen.owner) == ("bob", "user:bob")
    with pytest.raises(himalia.errors.NotFound):
        client("ada").job(job)


def test_colours_and_progress_bars_look_as_in_a_terminal(ada, open_lab, submit):
    page = open_lab("ada", "digits")

    job = submit(page, r"printf '\033[32mgreen\033[0m <b>plain</b>\n10%%\r100%%\n'")

    log = page_of(page, job).get_by_role("log")
    expect(log.locator(".ansi-green-fg")).to_have_text("green")
    expect(log).to_contain_text("<b>plain</b>")
    expect(log.locator(".jp-himalia-Log-line").nth(1)).to_have_text("100%")
