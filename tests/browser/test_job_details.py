"""A job's details in Lab: what it may take."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

def details_of(page: Page, job: str) -> Locator:
    """Turn to a job's details and return them."""
    page.locator(f"#himalia-job-{job}").get_by_role("tab", name="Details", exact=True).click()
    return page.get_by_role("tabpanel", name="Details")


def fact(details: Locator, label: str) -> Locator:
    """Return what is said behind a label."""
    return details.locator(f"dt:text-is('{label}') + dd")


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
