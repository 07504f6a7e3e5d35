"""What the platform tells a person in JupyterLab: an idle GPU, *Keep*, and somebody who asks for it."""

from __future__ import annotations

import json

import pytest
from live_platform import LivePlatform, eventually, run
from playwright.sync_api import Page, expect

from himalia_spawner.platform.person import Person

IDLE = "The GPU of your server has been idle for"
THEMES = "lab/api/settings/@jupyterlab/apputils-extension:themes"


@pytest.fixture(scope="module")
def bob(live: LivePlatform) -> Person:
    """Somebody whose server holds a GPU that nobody uses."""
    person = live.person("bob")
    person.start_server("idle")
    return person


def toast(page: Page, text: str):
    """Return a notification."""
    return page.locator(".Toastify__toast").filter(has_text=text)


def theme(person: Person, name: str) -> None:
    """Choose somebody's theme."""
    body = {"raw": json.dumps({"theme": name})}
    assert person.put(f"user/{person.name}/{THEMES}", body).is_success


def test_who_does_not_use_a_gpu_reads_it_in_lab_and_keeps_it(live, bob, open_lab, picture):
    me = live.client("bob")
    page = open_lab("bob")
    expect(toast(page, IDLE)).to_be_visible(timeout=60_000)
    expect(toast(page, IDLE)).to_contain_text("unless used. Files stay; memory is lost.")
    expect(page.locator(".jp-Launcher")).to_be_visible()
    picture(page, "idle-notice")
    before = me.servers()[0].idle_limit_seconds

    theme(bob, "JupyterLab Dark")
    dark = open_lab("bob")
    expect(toast(dark, IDLE)).to_be_visible()
    expect(dark.locator(".jp-Launcher")).to_be_visible()
    picture(dark, "idle-notice-dark")
    theme(bob, "JupyterLab Light")

    toast(dark, IDLE).get_by_role("button", name="Keep").click()

    expect(toast(dark, IDLE)).to_have_count(0)
    expect(toast(page, IDLE)).to_have_count(0)  # what was answered in one tab goes away in the other
    assert eventually(lambda: me.servers()[0].idle_limit_seconds) > before
    assert [one for one in me.notices() if one.kind == "idle"] == []
    me.close()


def test_who_waits_asks_in_lab_and_the_holder_answers_in_lab(live, bob, open_lab, client):
    asker, (held,) = client("ada"), bob.gpus()
    live.person("ada").start_server("cpu")
    others = run(client("eve"), "sleep 600", wait=False, gpus="3")
    eventually(lambda: others.refresh().state == "running")
    job = run(asker, "sleep 600", wait=False, gpus="1", name="hungry")
    eventually(lambda: any(one.uuid == held.uuid for one in job.refresh().view.waiting_for))
    holders = open_lab("bob")
    page = open_lab("ada")

    page.locator(f".jp-himalia-JobRow[data-job='{job.id}'] .jp-himalia-JobRow-main").click()
    page.get_by_role("button", name=f"Ask for GPU {held.index}", exact=True).click()
    expect(toast(page, "is asked to give GPU")).to_be_visible()

    question = toast(holders, "ada waits for a GPU like the one of your server")
    expect(question).to_be_visible()
    question.get_by_role("button", name="Keep it").click()
    expect(toast(page, f"keeps GPU {held.index} for now.")).to_be_visible()
    expect(question).to_have_count(0)
