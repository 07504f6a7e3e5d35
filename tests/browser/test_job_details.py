"""A job's details in Lab: what became of it and when, where its files came from, what it may take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from live_platform import LivePlatform

WORK_TREE = """
mkdir -p ~/work && cd ~/work && git init -q -b main . && echo first > a && git add a &&
git -c user.name=Ada -c user.email=ada@example.org commit -q -m first &&
git remote add origin https://github.com/ada/work && echo changed > a && echo new > b && git rev-parse HEAD
"""


def details_of(page: Page, job: str) -> Locator:
    """Turn to a job's details and return them."""
    page.locator(f"#himalia-job-{job}").get_by_role("tab", name="Details", exact=True).click()
    return page.get_by_role("tabpanel", name="Details")


def fact(details: Locator, label: str) -> Locator:
    """Return what is said behind a label."""
    return details.locator(f"dt:text-is('{label}') + dd")


@pytest.mark.parametrize("theme", ["", "-dark"])
def test_a_job_that_fails_again_and_again_tells_its_attempts_and_when_it_goes_on(
    ada, bare_list, open_lab, submit, picture, request, theme
):
    if theme:
        request.getfixturevalue("dark")
    page = open_lab("ada", "digits")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Retries").fill("4")
    page.get_by_label("After", exact=True).fill("exit:75")

    job = submit(page, "echo no licence; exit 75")

    header, row = (page.locator(f".jp-himalia-{part}[data-job='{job}']") for part in ("JobHeader", "JobRow"))
    told = details_of(page, job).get_by_role("list", name="Timeline")
    expect(told).to_contain_text("attempt 3 runs", timeout=60_000)
    expect(told.get_by_role("listitem").last).to_contain_text(re.compile(r"in line again.*in \d s"))
    expect(told.get_by_role("listitem").last).to_contain_text("Attempt 3 failed. Exit code 75. It is tried again at")
    expect(row).to_contain_text("tries again in")
    expect(header).to_contain_text("tries again in")
    expect(told.get_by_role("listitem").first).to_contain_text("submitted by ada; in line")
    expect(told).to_contain_text("attempt 1 ended with exit code 75; until the next")
    picture(page, f"job-details{theme}")
    expect(header).to_have_attribute("data-state", "failed", timeout=90_000)
    expect(told.get_by_role("listitem").last).to_contain_text("failed")
    expect(told).to_contain_text("attempt 5 ended with exit code 75; what it left is collected")
    expect(row).not_to_contain_text("tries again")


def test_a_job_of_a_work_tree_tells_commit_branch_and_what_differs(ada, live: LivePlatform, open_lab, submit):
    (server,) = (one for one in live.containers("server") if one.attrs["Labels"]["himalia.owner"] == "user:ada")
    made = server.exec_run(["sh", "-c", WORK_TREE])
    assert made.exit_code == 0, made.output
    page = open_lab("ada", "work")

    details = details_of(page, submit(page, "cat a b"))

    expect(fact(details, "Commit")).to_have_text(made.output.decode().strip())
    expect(fact(details, "Branch or tag")).to_have_text("main")
    expect(fact(details, "Repository")).to_have_text("https://github.com/ada/work")
    expect(fact(details, "Over the commit")).to_have_text("1 file changed, 1 unknown to git")


def test_the_limits_of_a_job_are_asked_for_under_more_and_a_disk_that_is_too_large_is_said_at_its_field(
    ada, open_lab, submit, complaints
):
    page = open_lab("ada", "digits")
    page.get_by_label("Profile").select_option("cpu")
    page.get_by_text("More", exact=True).click()
    disk = page.get_by_label("Disk", exact=True)
    expect(disk).to_have_attribute("placeholder", "100 GB, as the profile says")
    expect(disk).to_have_accessible_description("What it may write, /storage aside: such as 50G; at most 100 GB.")
    page.locator(".jp-himalia-Command").fill("true")

    for asked, said in (
        ("1T", "The profile cpu allows 100 GB at most. Ask for less, or choose another profile."),
        ("much", "'much' is no size. Write it like 512M or 8G."),
    ):
        disk.fill(asked)
        page.get_by_role("button", name="Submit", exact=True).click()
        expect(disk).to_have_accessible_description(said)
    assert ["422" in complaint for complaint in complaints] == [True, True]
    complaints.clear()

    disk.fill("1536M")
    page.get_by_label("Memory", exact=True).fill("256M")
    page.get_by_label("CPUs", exact=True).fill("0.25")
    details = details_of(page, submit(page, "true"))

    for label, said in (("Disk", "1.5 GB"), ("Memory", "256 MB"), ("CPUs", "0.25")):
        expect(fact(details, label)).to_have_text(said)
    expect(details).to_contain_text("--cpus 0.25 --memory 256M")
    expect(details).to_contain_text("--disk 1536M")


def test_a_notebook_takes_parameters_variables_and_an_experiment_from_the_form(ada, open_lab, sent):
    page = open_lab("ada", "digits")
    form = page.locator(".jp-himalia-Submit")
    form.get_by_role("radio", name="Notebook").check()
    form.get_by_label("Parameters").fill("epochs=3\nfresh=true")
    form.get_by_text("More", exact=True).click()
    form.get_by_label("Experiment").fill("sweep")
    form.get_by_label("Variables").fill("MODE=offline")

    job = sent(page, form.get_by_role("button", name="Submit", exact=True).click)

    header = page.locator(f".jp-himalia-JobHeader[data-job='{job}']")
    expect(header).to_have_attribute("data-state", "succeeded", timeout=90_000)
    page.get_by_role("tab", name="Artifacts", exact=True).click()
    page.locator(".jp-himalia-Artifact[data-path='train.ipynb'] .jp-himalia-Artifact-name").click()
    expect(page.locator(".jp-himalia-Notebook")).to_contain_text("epoch   3/3")
    details = details_of(page, job)
    for label, said in (("Parameters", "epochs=3, fresh=true"), ("Variables", "MODE=offline"), ("Experiment", "sweep")):
        expect(fact(details, label)).to_have_text(said)
    expect(details).to_contain_text("--env MODE=offline --notebook train.ipynb --param epochs=3 --param fresh=true")
