"""Giving back on a real platform: kernels are asked without keeping a server active, and the hub stops what is given back."""

from __future__ import annotations

import json
import os

import pytest
from live_platform import LivePlatform, eventually, run

from himalia.states import JobState


@pytest.fixture
def bob(live: LivePlatform):
    """Somebody whose server holds a GPU that nobody uses."""
    person = live.person("bob")
    person.start_server("idle")
    return person


def idle_seconds(client) -> float:
    """Return how long the only server has been idle."""
    (server,) = client.servers()
    return server.idle_seconds


def test_an_idle_server_is_seen_a_kernel_at_work_is_use_and_asking_is_no_activity(live, client, bob):
    me = client("bob")
    eventually(lambda: me.servers() and idle_seconds(me) > 4)
    active = bob.get("hub/api/users/bob").json()["servers"][""]["last_activity"]
    before = idle_seconds(me)
    eventually(lambda: idle_seconds(me) > before + 4)
    assert bob.get("hub/api/users/bob").json()["servers"][""]["last_activity"] == active
    (server,) = me.servers()
    assert (server.profile, server.gpus, server.idle_limit_seconds) == ("idle", 1, 185)
    assert server.ends_at is not None

    assert bob.post("user/bob/api/kernels", {"name": "python3"}).status_code == 201

    eventually(lambda: idle_seconds(me) < before)


def test_a_gpu_at_work_is_use(live, client, bob):
    me = client("bob")
    (held,) = bob.gpus()
    file = live.place.site.data / "simulated_load.json"
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps({held.uuid: {"busy_percent": 80}}))
    os.replace(draft, file)
    try:
        eventually(lambda: idle_seconds(me) == 0.0)
        eventually(lambda: [slot.busy_percent for slot in me.gpus().slots if slot.uuid == held.uuid] == [80])
    finally:
        file.unlink()
    eventually(lambda: idle_seconds(me) > 0)


def test_who_waits_asks_the_holder_agrees_and_the_waiting_job_gets_the_gpu(live, client, bob):
    holder, asker = client("bob"), client("eve")
    (held,) = bob.gpus()
    running = run(asker, "sleep 600", wait=False, gpus="3")
    job = run(asker, "true", wait=False, gpus="1")
    eventually(lambda: any(one.uuid == held.uuid for one in job.refresh().view.waiting_for))

    asked = asker.ask_for_gpu(held.uuid)
    assert asked.sentence.startswith("Its holder is asked to give GPU")
    notice = next(one for one in holder.notices() if one.kind == "release_asked")
    assert notice.sentence.startswith("eve waits for a GPU like the one of your server")
    holder.answer(notice.id, "restart")

    assert job.wait(timeout=90).state is JobState.SUCCEEDED
    running.cancel()
    assert [one.sentence.split(" gives ")[0] for one in asker.notices()] == ["Its holder"]
    (server,) = eventually(lambda: [one for one in holder.servers() if one.gpus == 0])
    assert server.profile == "cpu"
    agreed = "was restarted without a GPU"
    (ended,) = eventually(lambda: [one for one in holder.notices() if one.kind == "ended" and agreed in one.sentence])
    assert "you gave its GPU back, which eve had asked for" in ended.sentence
    eventually(lambda: bob.get("user/bob/api/status").status_code == 200)


def test_the_hub_runs_the_culler(live):
    def cullers() -> list[int]:
        command = b"himalia_spawner.idle_culler"
        mine = f":{live.place.site.platform.service_port}/".encode()
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    with (
                        open(f"/proc/{entry.name}/cmdline", "rb") as words,
                        open(f"/proc/{entry.name}/environ", "rb") as env,
                    ):
                        if command in words.read() and mine in env.read():
                            found.append(int(entry.name))
                except OSError:
                    continue
        return found

    assert len(eventually(cullers)) == 1
