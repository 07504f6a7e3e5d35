"""A repository submitted from Lab's form, from a real host over https, as the operator allows it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from git_host import GitHost, git_host
from live_platform import LivePlatform
from playwright.sync_api import Locator, Page, expect

SETTINGS = """
[auth]

[limits]
stop_grace = "2s"
disk_reserve = "64M"

[git]
hosts = ["github.com", "{site}"]
networks = ["127.0.0.0/8", "::1/128"]
certificates = "{certificate}"

[[profiles]]
name = "cpu"
title = "CPU"
cpus = 0.5
memory = "1G"
disk = "2G"
max_disk = "4G"
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    """A host of repositories on this machine."""
    with git_host(tmp_path_factory.mktemp("host")) as found:
        yield found


@pytest.fixture(scope="module")
def live(host: GitHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """A platform whose operator allows that host."""
    settings = SETTINGS.format(site=host.site, certificate=host.certificate)
    platform = LivePlatform(tmp_path_factory.mktemp("git"), settings)
    try:
        platform.start()
        yield platform
    finally:
        platform.end()


def choose_git(page: Page, address: str, command: str) -> Locator:
    """Fill in the form for a repository, and return it."""
    form = page.locator(".jp-himalia-Submit")
    form.get_by_role("radio", name="Git repository").check()
    form.get_by_label("Address").fill(address)
    form.locator(".jp-himalia-Command").fill(command)
    return form


@pytest.mark.parametrize("theme", ["", "-dark"])
def test_a_repository_is_fetched_and_run_and_its_job_says_where_it_came_from(
    ada, bare_list, open_lab, host, picture, request, theme
):
    if theme:
        request.getfixturevalue("dark")
    name = f"ada/digits{theme}"
    commit = host.make(name).commit(train="echo trained; cat pkg/a", pkg__a="deep\n")
    page = open_lab("ada", "digits")
    host.silent.set()
    form = choose_git(page, "https://github.com/ada/digits", "python3 train.py")
    expect(form.get_by_label("Project")).to_have_value("digits")
    picture(page, f"submit-git{theme}")
    choose_git(page, f"{host.url(name)}@main", "sh train")
    expect(form.get_by_label("Project")).to_have_value(f"digits{theme}")

    form.get_by_role("button", name="Submit", exact=True).click()

    expect(form.get_by_role("status")).to_have_text(f"Fetching main of {host.site}/{name}…")
    host.silent.clear()
    header = page.locator(".jp-himalia-JobHeader")
    expect(header).to_have_attribute("data-state", "succeeded", timeout=60_000)
    expect(page.get_by_role("log")).to_contain_text("trained")
    expect(page.get_by_role("log")).to_contain_text("deep")
    page.get_by_role("tab", name="Details", exact=True).click()
    details = page.get_by_role("tabpanel", name="Details")
    for label, said in (("Repository", host.url(name)), ("Branch or tag", "main"), ("Commit", commit)):
        expect(details.locator(f"dt:text-is('{label}') + dd")).to_have_text(said)
    expect(details).to_contain_text(f"--git {host.url(name)}@{commit}")


def test_a_private_repository_is_fetched_with_a_token_that_the_form_forgets(ada, open_lab, host):
    host.make("ada/secret").commit(run="echo read")
    host.tokens["ada/secret"] = "s3cret-t0ken"
    page = open_lab("ada", "digits")
    form = choose_git(page, host.url("ada/secret"), "sh run")
    form.get_by_label("Token").fill("s3cret-t0ken")

    form.get_by_role("button", name="Submit", exact=True).click()

    expect(page.locator(".jp-himalia-JobHeader")).to_have_attribute("data-state", "succeeded", timeout=60_000)
    expect(form.get_by_label("Token")).to_have_value("")
    expect(page.get_by_role("log")).to_contain_text("read")


def test_what_may_not_or_cannot_be_fetched_is_said_at_the_address_or_the_token(ada, open_lab, host, complaints):
    host.make("ada/locked").commit(run="true")
    host.tokens["ada/locked"] = "s3cret-t0ken"
    page = open_lab("ada", "digits")
    page.get_by_role("radio", name="Directory").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Address")).to_be_focused()

    for address, words in (
        ("", "Write the address, such as https://github.com/OWNER/NAME."),
        ("https://git.example.org/ada/digits", "git.example.org"),
        (host.url("ada/nothing"), "nothing"),
        (f"{host.url('ada/digits')}@no-such-branch", "no-such-branch"),
    ):
        form = choose_git(page, address, "true")
        form.get_by_role("button", name="Submit", exact=True).click()
        alert = form.get_by_role("alert")
        expect(alert).to_contain_text(words)
        expect(form.get_by_label("Address")).to_have_accessible_description(alert.inner_text())
    expect(page.locator(".jp-himalia-JobHeader")).to_have_count(0)
    assert all("422" in complaint for complaint in complaints)
    complaints.clear()
