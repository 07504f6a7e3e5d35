"""The waiting page: what it says and offers at each step, and that only its person does something there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from service_at_work import AtWork, at_work
from waiting_at_work import HubSide, both_taken, freed, lease_of, waits

from himalia.states import LeaseState

pytestmark = pytest.mark.asyncio


async def press(work: AtWork, wait_id: str, button: str, who: str = "ada") -> tuple[int, str, str]:
    """Press a button of the page; return status, where it leads, and what is shown."""
    browser = await work.browser(who)
    sent = await work.http.post(
        f"/services/jobs/waiting/{wait_id}/{button}",
        headers={"Cookie": browser["Cookie"]},
        data={"_xsrf": browser["X-XSRFToken"]},
    )
    return sent.status_code, sent.headers.get("Location", ""), sent.text


async def test_who_waits_reads_why_and_what_is_free_and_can_leave_or_start_without(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wait_id = await waits(hub_side)

    page = (await work.open(f"waiting/{wait_id}")).text

    assert "In line: gpu" in page
    assert "1st in line. Waiting for 1 of: GPU 0 (in use), GPU 1 (in use)." in page
    assert "You may close this page" in page
    assert "0 GPUs free now." in page
    for words in ("Start without a GPU now", "Choose something else", "Cancel"):
        assert words in page
    assert f'href="/services/jobs/waiting/{wait_id}"' in (await work.open("waiting")).text
    assert "None of your servers waits" in (await work.open("waiting", "eve")).text


async def test_who_waits_reads_of_maintenance_what_the_page_of_the_gpus_says(tmp_path):
    begin = datetime.now(UTC) + timedelta(days=3)
    plan = [{"start": begin.isoformat(), "end": (begin + timedelta(hours=2)).isoformat(), "text": "New driver"}]
    async with at_work(tmp_path / "data", maintenance=plan) as work:
        await both_taken(work)
        wait_id = await waits(HubSide(work))
        pages = [(await work.open(path)).text for path in ("", "waiting", f"waiting/{wait_id}")]
        offered = (await work.ask("GET", "profiles?for=servers&user=ada", "spawner")).json()
        known = (await work.ask("GET", "gpus")).json()["notices"]

    notices = [re.findall(r'<p class="notice" data-kind="maintenance">(.*)</p>', page) for page in pages]
    assert len(notices[0]) == 1
    assert notices[0][0].startswith("New driver from ")
    assert notices[1:] == [notices[0], notices[0]]
    assert offered["notices"] == known


async def test_leaving_is_said_and_leads_back_to_a_start(work: AtWork, hub_side: HubSide):
    await both_taken(work)
    wait_id = await waits(hub_side, server="lab")

    status, to, _ = await press(work, wait_id, "leave")
    page = (await work.open(f"waiting/{wait_id}")).text

    assert (status, to) == (303, f"/services/jobs/waiting/{wait_id}")
    assert "The wait was cancelled." in page
    assert 'href="/hub/spawn/ada/lab"' in page
    assert "Cancel" not in page


async def test_starting_without_leads_to_the_hub_and_its_page_says_how_it_goes_on(work: AtWork, hub_side: HubSide):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)

    status, to, _ = await press(work, wait_id, "start")
    running = (await work.open(f"waiting/{wait_id}")).text
    await freed(work, first)
    kept = (await work.open(f"waiting/{wait_id}")).text

    assert (status, to) == (303, "/hub/spawn-pending/ada")
    assert "Your server runs without a GPU meanwhile" in running
    assert "Start without a GPU now" not in running
    assert "Restart now" in kept
    assert "No longer needed" in kept
    assert (await press(work, wait_id, "restart"))[:2] == (303, f"/services/jobs/waiting/{wait_id}")
    await work.service.starter.step(wait_id)
    assert (await lease_of(work, wait_id)).state is LeaseState.HELD
    assert 'data-go="/user/ada/"' in (await work.open(f"waiting/{wait_id}")).text


async def test_what_cannot_be_done_any_more_is_said_on_the_page(work: AtWork, hub_side: HubSide):
    first, _ = await both_taken(work)
    wait_id = await waits(hub_side)
    await freed(work, first)
    await work.service.starter.step(wait_id)

    answers = [await press(work, wait_id, button) for button in ("leave", "start", "restart")]

    assert [status for status, _, _ in answers] == [200, 200, 200]
    assert "has started already" in answers[0][2]


@pytest.mark.parametrize("button", ["leave", "start", "restart"])
async def test_nobody_else_presses_a_button_and_no_other_page_does(work: AtWork, hub_side: HubSide, button):
    await both_taken(work)
    wait_id = await waits(hub_side)

    assert (await press(work, wait_id, button, "eve"))[0] == 404
    forged = await work.http.post(
        f"/services/jobs/waiting/{wait_id}/{button}",
        headers={"Cookie": (await work.browser())["Cookie"], "Origin": "https://evil.example"},
        data={"_xsrf": "guessed"},
    )

    assert forged.status_code == 403
    assert (await lease_of(work, wait_id)).state is LeaseState.WAITING
    assert not work.hub.servers
