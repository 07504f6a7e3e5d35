"""Whoever follows a log hears of new bytes at once, and nobody looks again and again for them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from himalia_jobs.engines import attempt_files
from himalia_jobs.engines.attempt_files import AttemptFiles
from himalia_jobs.engines.journal import Journal
from himalia_jobs.layout import DataLayout

pytestmark = pytest.mark.asyncio
ATTEMPT = "aaaaaaaaaaaa.1"
LONG_SECONDS = 20.0


class Files(AttemptFiles):
    """The files of one attempt, as a job writes them."""

    def __init__(self, data: Path) -> None:
        super().__init__(DataLayout(data=data), Journal(data / "journal.sqlite"))
        self.own = self.layout.attempt(ATTEMPT)
        self.log = self.own / "run" / "log"
        self.reads = 0

    async def _read_log(self, attempt, offset, limit):
        self.reads += 1
        return await super()._read_log(attempt, offset, limit)

    async def next(self, offset: int = 0, wait_seconds: float = LONG_SECONDS) -> bytes:
        return (await self.read_log(ATTEMPT, offset, 1000, wait_seconds)).data

    async def waiting(self, count: int = 1, offset: int = 0) -> list[asyncio.Task[bytes]]:
        """Return so many who wait for what is behind an offset."""
        tasks = [asyncio.create_task(self.next(offset)) for _ in range(count)]
        async with asyncio.timeout(LONG_SECONDS):
            while self.own not in self._logs._watched or self._logs._watched[self.own].waiters != count:
                await asyncio.sleep(0)
        return tasks


@pytest_asyncio.fixture
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    found = Files(tmp_path)
    (found.own / "run").mkdir(parents=True)
    yield found
    found._logs.close()
    found._files.shutdown()
    found._journal.close()


async def added(files: Files, more: bytes) -> None:
    with files.log.open("ab") as log:
        log.write(more)


async def within(seconds: float, work):
    async with asyncio.timeout(seconds):
        return await work


async def test_bytes_that_are_added_wake_who_waits(files):
    await added(files, b"one\n")
    (reader,) = await files.waiting(offset=4)

    await added(files, b"two\n")

    assert await within(5, reader) == b"two\n"


async def test_what_is_there_is_given_at_once(files):
    await added(files, b"one\n")

    assert await within(5, files.next()) == b"one\n"


async def test_a_log_that_is_made_later_is_heard_of(files):
    (reader,) = await files.waiting()

    await added(files, b"first\n")

    assert await within(5, reader) == b"first\n" or await within(5, files.next()) == b"first\n"


async def test_an_attempt_without_directories_is_asked_until_it_has_some(files):
    shutil.rmtree(files.own)

    assert await files.next(wait_seconds=0.1) == b""
    (files.own / "run").mkdir(parents=True)
    await added(files, b"late\n")
    assert await within(5, files.next()) == b"late\n"


async def test_nothing_new_is_told_when_the_time_is_over(files):
    await added(files, b"one\n")
    begun = time.monotonic()

    assert await files.next(offset=4, wait_seconds=0.2) == b""
    assert time.monotonic() - begun < LONG_SECONDS / 2


async def test_what_comes_between_a_look_and_the_wait_is_not_missed(files, monkeypatch):
    await added(files, b"one\n")
    await files.next(offset=4, wait_seconds=0.01)
    read = attempt_files.read_log

    def read_and_print(own, offset, limit):
        chunk = read(own, offset, limit)
        monkeypatch.setattr(attempt_files, "read_log", read)
        with files.log.open("ab") as log:
            log.write(b"two\n")
        return chunk

    monkeypatch.setattr(attempt_files, "read_log", read_and_print)

    assert await within(5, files.next(offset=4)) == b"two\n"


async def test_of_many_who_wait_for_the_same_one_reads(files):
    await added(files, b"one\n")
    readers = await files.waiting(50, offset=4)
    files.reads = 0

    await added(files, b"two\n")

    assert await within(5, asyncio.gather(*readers)) == [b"two\n"] * 50
    assert files.reads < 10


async def test_a_log_that_goes_away_wakes_who_waits(files):
    await added(files, b"one\n")
    (reader,) = await files.waiting(offset=4)

    shutil.rmtree(files.own / "run")

    with pytest.raises(Exception, match="there is no log yet"):
        await within(5, reader)


async def test_a_link_in_place_of_the_log_is_not_followed(files, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"of the host\n")
    files.log.symlink_to(secret)

    assert await files.next(wait_seconds=0.1) == b""
    assert not files._logs._watched[files.own].is_log


async def test_a_job_that_prints_without_end_wakes_nobody_more_often_than_is_seen(files, monkeypatch):
    heard = []
    hear = files._logs._hear
    monkeypatch.setattr(files._logs, "_hear", lambda: heard.append(hear()))
    await added(files, b"one\n")
    begun = time.monotonic()

    with files.log.open("ab", buffering=0) as log:
        while time.monotonic() - begun < 0.3:
            log.write(b"more\n")
            await files.next(offset=10**6, wait_seconds=0.001)

    assert 1 <= len(heard) <= (time.monotonic() - begun) / 0.01 + 1
