"""What changed is read once, however many listen, and nobody misses any of it."""

from __future__ import annotations

import asyncio

import pytest

from himalia.models import EventKind
from himalia_jobs import news
from himalia_jobs.changes import Changes
from himalia_jobs.news import News
from himalia_jobs.store import Database
from himalia_jobs.store.moves import note_ledger

pytestmark = pytest.mark.asyncio


class CountedDatabase(Database):
    """A database that counts its queries."""

    reads = 0

    async def read(self, query):
        self.reads += 1
        return await super().read(query)


@pytest.fixture
def counted(db):
    counted = CountedDatabase(db.file)
    yield counted
    counted.close()


async def everything(told: News, seq: int, owner_ids: list[str] | None = None, limit: int = 7) -> list[int]:
    """Return the `seq` of all that somebody hears from an event on, in portions."""
    heard = []
    while True:
        found, seq = await told.after(seq, owner_ids, lambda change: True, limit)
        if not found:
            return heard
        heard += [change["seq"] for change in found]


async def test_a_change_is_read_once_with_its_job_for_all_who_listen(counted, add_job):
    changes = Changes()
    told = News(counted, changes)
    await told.after(0, None, lambda change: True, 10)
    job = add_job()
    changes.tell()
    before = counted.reads

    heard = await asyncio.gather(*(told.after(0, [job.owner_id], lambda change: True, 10) for _ in range(50)))
    records = await asyncio.gather(*(told.jobs([job.id]) for _ in range(50)))

    assert [[change["job_id"] for change in found] for found, _ in heard] == [[job.id]] * 50
    assert {record[job.id].id for record in records} == {job.id}
    assert counted.reads == before + 1


async def test_who_is_far_behind_misses_nothing_whatever_is_held(counted, add_job, monkeypatch):
    monkeypatch.setattr(news, "KEPT", 5)
    changes = Changes()
    told = News(counted, changes)
    assert await everything(told, 0) == []
    seqs = []
    for count in (3, 4, 20, 1, 2, 6):  # fewer than are held, more at once than are held, and across the edge
        seqs += [add_job().seq for _ in range(count)]
        changes.tell()
        assert await everything(told, 0, limit=3) == seqs
        assert await everything(told, seqs[-2], limit=3) == seqs[-1:]
        assert await everything(told, seqs[-1], limit=3) == []


async def test_everybody_hears_what_is_theirs_and_what_is_for_all(counted, add_job):
    changes = Changes()
    told = News(counted, changes)
    await told.after(0, None, lambda change: True, 10)
    own, other = add_job("ada"), add_job("eve")
    counted.write_now(note_ledger)
    changes.tell()

    mine, looked = await told.after(0, [own.owner_id], lambda change: True, 10)
    chosen, _ = await told.after(0, None, lambda change: change["kind"] == EventKind.LEDGER, 10)

    assert [change["job_id"] for change in mine] == [own.id, None]
    assert looked == mine[-1]["seq"] > other.seq
    assert [change["job_id"] for change in chosen] == [None]


async def test_a_change_that_nobody_told_of_is_heard_a_little_later(counted, add_job, monkeypatch):
    told = News(counted, Changes())
    await told.after(0, None, lambda change: True, 10)
    job = add_job()
    monkeypatch.setattr(news, "STALE_SECONDS", 0.0)

    assert await everything(told, job.seq - 1) == [job.seq]


async def test_a_job_is_told_as_it_is_after_the_last_change(counted, add_job):
    changes = Changes()
    told = News(counted, changes)
    job = add_job()
    await told.after(0, None, lambda change: True, 10)
    assert (await told.jobs([job.id]))[job.id].cancel_requested is False
    counted.write_now(lambda db: db.exec_driver_sql("UPDATE jobs SET cancel_requested = 1"))
    changes.tell()

    await told.after(job.seq, None, lambda change: True, 10)

    assert (await told.jobs([job.id, "nothing"])) | {"nothing": None} == await told.jobs([job.id, "nothing"])
    assert (await told.jobs([job.id]))[job.id].cancel_requested


async def test_a_job_that_makes_room_for_others_of_the_same_question_is_told_as_well(counted, add_job, monkeypatch):
    monkeypatch.setattr(news, "JOBS_KEPT", 2)
    told = News(counted, Changes())
    jobs = [add_job() for _ in range(4)]
    await told.jobs([jobs[0].id])

    found = await told.jobs([job.id for job in jobs])

    assert {job_id: record.id for job_id, record in found.items()} == {job.id: job.id for job in jobs}


async def test_what_several_are_told_alike_is_written_once_until_the_next_change(counted, add_job):
    changes = Changes()
    told = News(counted, changes)
    written = []

    def write() -> str:
        written.append(1)
        return f"text {len(written)}"

    assert [told.text(1, write), told.text(1, write), told.text(2, write)] == ["text 1", "text 1", "text 2"]
    job = add_job()
    changes.tell()
    await told.after(job.seq - 1, None, lambda change: True, 10)

    assert told.text(1, write) == "text 3"
