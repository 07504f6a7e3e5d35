"""Submitted files go when no job needs them any more, by what the database says; people lose nothing that they may ask for."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import pytest
from mortal_service import Killed
from service_at_work import AtWork

from himalia.ids import new_id
from himalia.snapshot import pack, scan
from himalia.states import JobState
from himalia_jobs.contents import ContentStore, Freed
from himalia_jobs.contents.pins import Pins
from himalia_jobs.store import leases, snapshots
from himalia_jobs.store.clock import now_text

pytestmark = pytest.mark.asyncio

WEEK = timedelta(days=7)


@pytest.fixture
def code(tmp_path):
    """A directory to send."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text("print(1)")
    (folder / "data").write_bytes(os.urandom(100_000))
    return folder


def let_pass(work: AtWork, days: float) -> None:
    """Let days pass for what was kept so far: nothing is pinned any more, and rows and files are so much older."""
    work.service.contents.pins = Pins()
    past = timedelta(days=days)
    with work.service.db.engine.begin() as db:
        for column in ("created_at", "asked_at"):
            db.exec_driver_sql(
                f"UPDATE snapshots SET {column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, ?)", (f"-{days} days",)
            )
    for path in work.service.contents.snapshots.glob("*/*/*"):
        then = path.parent.stat().st_mtime - past.total_seconds()
        for aged in (path, path.parent):
            os.utime(aged, (then, then))


def kept(work: AtWork) -> tuple[int, int]:
    """Return how many snapshots and contents there are."""
    store = work.service.contents
    found = [path for path in store.blobs.glob("*/??/*") if path.is_file()]
    return len(list(store.snapshots.glob("*/*/manifest.json"))), len(found)


async def ended(work: AtWork, job_id: str) -> None:
    """Let a job have ended."""
    await work.attempt(job_id, JobState.SUCCEEDED)


async def test_a_deleted_job_frees_what_only_it_used_and_it_is_told(work: AtWork, code, caplog):
    caplog.set_level("INFO")
    first = await work.submit(snapshot=await work.send(code))
    (code / "train.py").write_text("print(2)")
    second = await work.submit(snapshot=await work.send(code))
    await ended(work, first["id"])
    await ended(work, second["id"])
    let_pass(work, 8)

    with_both = await work.service.clearing.run()
    assert (await work.ask("DELETE", f"jobs/{first['id']}")).status_code == 204
    freed = await work.service.clearing.run()

    assert with_both == Freed()
    assert (freed.snapshots, freed.contents, freed.size_bytes) == (1, 1, len("print(1)"))
    assert kept(work) == (1, 2)
    assert (await work.ask("GET", f"jobs/{second['id']}/files/train.py")).text == "print(2)"
    assert "1 snapshot and 1 content that no job needs, and 0 laid-out trees in which none runs" in caplog.text
    assert work.service.meters.freed_bytes._value.get() == 8


async def test_a_job_that_was_just_deleted_leaves_its_files_for_the_grace(work: AtWork, code):
    job = await work.submit(snapshot=await work.send(code))
    await ended(work, job["id"])
    await work.ask("DELETE", f"jobs/{job['id']}")
    let_pass(work, 6.9)

    assert await work.service.clearing.run() == Freed()
    let_pass(work, 0.2)
    assert (await work.service.clearing.run()).snapshots == 1
    assert kept(work) == (0, 0)


async def test_what_was_never_finished_goes_after_the_grace(work: AtWork, code):
    packed = pack(scan(code))
    wish = {"owner": "user:ada", "manifest": packed.manifest.model_dump(mode="json")}
    opened = (await work.ask("POST", "snapshots", json=wish)).json()
    whole = b"".join(packed.stream(opened["missing"]))
    await work.ask("PUT", f"snapshots/{opened['id']}/contents", content=whole[:-50])
    assert kept(work) == (1, 1)
    let_pass(work, 8)

    await work.service.clearing.run()

    assert kept(work) == (0, 0)
    late = await work.ask("POST", f"snapshots/{opened['id']}/commit")
    assert (late.status_code, late.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.fault(80)
async def test_contents_that_a_submit_was_told_to_be_there_stay_until_its_job_has_them(work: AtWork, code):
    snapshot = await work.send(code)
    let_pass(work, 30)
    packed = pack(scan(code))
    wish = {"owner": "user:ada", "manifest": packed.manifest.model_dump(mode="json")}

    said = (await work.ask("POST", "snapshots", json=wish)).json()
    between = await work.service.clearing.run()
    committed = await work.ask("POST", f"snapshots/{said['id']}/commit")
    work.service.contents.pins = Pins()  # the service was restarted
    after = await work.service.clearing.run()
    job = await work.submit(snapshot=said["id"])

    assert (said["id"], said["missing"], between, after) == (snapshot, [], Freed(), Freed())
    assert committed.json()["committed"]
    assert (await work.ask("GET", f"jobs/{job['id']}/files/train.py")).text == "print(1)"


@pytest.mark.fault(80)
async def test_submits_and_clearing_away_at_once_lose_no_files(work: AtWork, code):
    for number in range(12):
        (code / "train.py").write_text(f"print({number})")
        await work.send(code)
    let_pass(work, 30)

    async def submit(number: int) -> str:
        folder = code.parent / f"code{number}"
        folder.mkdir()
        (folder / "data").write_bytes((code / "data").read_bytes())
        (folder / "train.py").write_text(f"print({number})")
        snapshot = await work.send(folder)
        return str((await work.submit(snapshot=snapshot))["id"])

    *jobs, _ = await asyncio.gather(*[submit(number) for number in range(0, 12, 2)], work.service.clearing.run())
    await work.service.clearing.run()

    for number, job in zip(range(0, 12, 2), jobs, strict=True):
        assert (await work.ask("GET", f"jobs/{job}/files/train.py")).text == f"print({number})"
    assert kept(work) == (6, 7)


@pytest.mark.fault(10)
async def test_killed_between_rows_and_files_the_files_go_with_the_next_grace(work: AtWork, code, monkeypatch):
    await work.send(code)
    let_pass(work, 8)

    def killed(*_: object, **options: object) -> Freed:
        raise Killed

    monkeypatch.setattr(work.service.clearing.sweeper, "sweep", killed)
    with pytest.raises(Killed):
        await work.service.clearing.run()
    monkeypatch.undo()
    assert await work.service.db.read(lambda db: snapshots.unneeded(db, now_text(), 10)) == []

    assert await work.service.clearing.run() == Freed()
    assert kept(work) == (1, 2)
    let_pass(work, 8)
    assert (await work.service.clearing.run()).snapshots == 1
    assert kept(work) == (0, 0)


async def test_nothing_goes_while_jobs_run_that_the_database_does_not_know(work: AtWork, code):
    await work.send(code)
    let_pass(work, 30)
    values = {
        "id": new_id(),
        "kind": "job",
        "node_id": "local",
        "user_id": "",
        "user": "",
        "holder": "x.1",
        "container": "c",
    }
    shape = {"profile": "", "cpus": 1.0, "memory_bytes": 1, "gpus": "0", "teams": {}}
    adopted = await work.service.db.write(lambda db: leases.add(db, values | shape))

    held = await work.service.clearing.run()
    await work.service.db.write(lambda db: leases.release(db, adopted.id))
    freed = await work.service.clearing.run()

    assert (held, freed.snapshots) == (Freed(), 1)


async def test_a_rerun_keeps_the_files_of_a_job_that_is_deleted(work: AtWork, code):
    job = await work.submit(snapshot=await work.send(code))
    await ended(work, job["id"])
    again = (await work.ask("POST", f"jobs/{job['id']}/rerun")).json()
    await work.ask("DELETE", f"jobs/{job['id']}")
    let_pass(work, 100)

    assert await work.service.clearing.run() == Freed()
    assert (await work.ask("GET", f"jobs/{again['id']}/files/train.py")).text == "print(1)"


async def test_in_need_of_room_trees_go_at_once_in_which_no_job_runs(work: AtWork, code):
    over = await work.submit(snapshot=await work.send(code))
    (code / "train.py").write_text("print(2)")
    live = await work.submit(snapshot=await work.send(code))
    await ended(work, over["id"])
    for job in (over, live):
        assert (await work.ask("GET", f"jobs/{job['id']}/files/train.py")).status_code == 200  # it is laid out for that
    work.service.contents.pins = Pins()  # an hour has passed

    without, in_need = await work.service.clearing.run(), await work.service.clearing.run(in_need=True)

    assert (without, in_need.trees, in_need.contents) == (Freed(), 1, 0)
    assert (await work.ask("GET", f"jobs/{over['id']}/files/train.py")).text == "print(1)"


async def test_in_need_of_room_a_deleted_job_frees_its_files_within_the_hour(work: AtWork, code):
    job = await work.submit(snapshot=await work.send(code))
    await ended(work, job["id"])
    await work.ask("DELETE", f"jobs/{job['id']}")

    let_pass(work, 0.03)
    before_the_hour = await work.service.clearing.run(in_need=True)
    let_pass(work, 0.02)

    assert (before_the_hour, await work.service.clearing.run()) == (Freed(), Freed())
    assert (await work.service.clearing.run(in_need=True)).snapshots == 1


async def test_it_is_looked_for_every_hour_and_in_need_of_room_every_ten_minutes(work: AtWork, monkeypatch):
    service, runs, now = work.service, [], 1_000.0

    async def run(*, in_need: bool) -> Freed:
        runs.append((now, in_need))
        return Freed()

    monkeypatch.setattr(service.clearing, "run", run)
    monkeypatch.setattr(service.clock, "now", lambda: now)
    for minute in range(130):
        now = 1_000.0 + 60 * minute
        lack = "There is no room." if minute > 65 else ""
        monkeypatch.setattr(service, "_lack_of_room", lambda lack=lack: lack)
        await service._clear()

    minutes = [(round(at - 1_000) // 60, in_need) for at, in_need in runs]
    assert minutes == [(0, False), (60, False), *((minute, True) for minute in range(70, 130, 10))]


async def test_others_are_answered_while_much_is_cleared_away(work: AtWork, code):
    for number in range(2_000):
        (code / f"f{number}").write_text(str(number))
    await work.send(code)
    let_pass(work, 8)
    answers, running = 0, asyncio.create_task(work.service.clearing.run())

    while not running.done():
        answers += (await work.ask("GET", "me")).status_code == 200

    assert (await running).contents == 2_002
    assert answers > 3


async def test_a_service_that_is_told_to_stop_does_not_wait_for_all_of_it(work: AtWork, code, monkeypatch):
    await work.send(code)
    let_pass(work, 8)
    begun, sweeper = asyncio.Event(), work.service.clearing.sweeper
    loop, real = asyncio.get_running_loop(), sweeper._remove_contents

    def remove(*args: Any) -> Freed:
        loop.call_soon_threadsafe(begun.set)
        assert sweeper.stopped.wait(10)
        return real(*args)

    monkeypatch.setattr(sweeper, "_remove_contents", remove)
    running = asyncio.create_task(work.service.clearing.run())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(work.service.clearing.wait)

    assert kept(work) == (1, 2)


async def test_a_new_start_is_not_held_up_by_what_an_earlier_one_left_half_written(tmp_path):
    store = ContentStore(tmp_path)
    half = tmp_path / "snapshots" / ".drafts" / "tree-x" / "deep"
    half.mkdir(parents=True)
    (half / "file").write_text("x")

    store.tidy()

    assert not (tmp_path / "snapshots" / ".drafts").exists()
    assert len(list((tmp_path / "snapshots" / ".gone").rglob("file"))) == 1
