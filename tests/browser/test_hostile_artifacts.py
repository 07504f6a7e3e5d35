"""What a hostile job prints and leaves, looked at in a real browser: it is text, and runs nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_platform import run
from playwright.sync_api import Page, expect

from himalia.states import JobState

SCRIPT = "<script>document.title = 'it ran'; top.document.title = 'it ran ' + document.cookie</script><p>harmless</p>"
LEAVES = f"""
import os
os.chdir("/artifacts")
for name in ("evil.html", "evil.svg", "<img src=x onerror=top.document.title=1>.txt"):
    with open(name, "w") as file:
        file.write({SCRIPT!r})
print("\\x1b]52;c;cm0gLXJmIC8=\\x07\\x1b]8;;https://evil.example\\x1b\\\\link\\x1b]8;;\\x1b\\\\ data: {{}}")
print({SCRIPT!r})
for line in range(100_000):
    print("line", line)
print("[himalia] job failed\\nthe end")
"""


@pytest.mark.fault(37)
@pytest.mark.fault(39)
@pytest.mark.fault(48)
@pytest.mark.fault(49)
def test_what_a_hostile_job_prints_and_leaves_runs_in_no_page(ada, live, client, open_lab, complaints, tmp_path: Path):
    job = run(client("ada"), ["python3", "-c", LEAVES])
    page = open_lab("ada", "digits")
    page.locator(f".jp-himalia-JobRow[data-job='{job.id}'] .jp-himalia-JobRow-main").click()
    shown = page.locator(f"#himalia-job-{job.id}")

    expect(shown.get_by_role("log")).to_contain_text("the end")
    expect(page.locator(f".jp-himalia-JobHeader[data-job='{job.id}']")).to_have_attribute("data-state", "succeeded")
    shown.get_by_role("tab", name="Artifacts", exact=True).click()
    names = shown.locator(".jp-himalia-Artifact-name span:first-child")
    expect(names).to_have_text(["<img src=x onerror=top.document.title=1>.txt", "evil.html", "evil.svg"])
    shown.locator(".jp-himalia-Artifact[data-path='evil.html'] .jp-himalia-Artifact-name").click()
    frame = shown.frame_locator(".jp-himalia-Html")
    expect(frame.get_by_text("harmless")).to_be_visible()
    assert ["sandboxed" in complaint for complaint in complaints] == [True]
    complaints.clear()

    page.goto(f"{live.url}/services/jobs/")
    saved = downloaded(page, f"/services/jobs/api/jobs/{job.id}/artifacts/evil.html", tmp_path)
    assert saved == SCRIPT
    assert "it ran" not in page.title()
    assert job.refresh().state is JobState.SUCCEEDED


def downloaded(page: Page, address: str, folder: Path) -> str:
    """Go to an address that must not be shown, and return what was saved instead."""
    with page.expect_download() as download:
        page.evaluate("address => { location.href = address }", address)
    download.value.save_as(folder / "saved")
    return (folder / "saved").read_text()
