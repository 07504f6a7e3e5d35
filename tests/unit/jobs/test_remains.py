"""What is left of an attempt once its container is gone: it goes without anybody waiting for it, also after a fault."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from himalia_jobs.engines import remains
from himalia_jobs.engines.base import Exit, ExitReason
from himalia_jobs.engines.errors import EngineError
from himalia_jobs.engines.journal import Journal
from himalia_jobs.engines.remains import Remains

pytestmark = pytest.mark.asyncio

ATTEMPT, OTHER = "aaaaaaaaaaaa.1", "bbbbbbbbbbbb.1"


class Machine:
    """Volumes, which go where the Engine lets them."""

    def __init__(self) -> None:
        self.volumes = {ATTEMPT, OTHER}
        self.refuses = False
        self.hangs: asyncio.Event | None = None

    async def remove_volume(self, attempt: str) -> None:
        """Remove it."""
        if self.hangs is not None:
            await self.hangs.wait()
        if self.refuses:
            raise EngineError("it will not go")
        self.volumes.discard(attempt)


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(remains, "LATER_SECONDS", 0.0)
    return Machine()


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


async def opened(machine: Machine, journal: Journal) -> Remains:
    async def at_once(call: Any, *args: Any) -> Any:
        return call(*args)

    maker: Any = machine
    found = Remains(maker, journal, at_once)
    await found.open()
    return found


def ends(journal: Journal, attempt: str) -> None:
    journal.ended(attempt, Exit(code=0, reason=ExitReason.EXITED))


async def test_a_volume_goes_and_then_the_tombstone_is_all_that_is_left(machine, journal):
    ends(journal, ATTEMPT)
    left = await opened(machine, journal)

    left.remove(ATTEMPT)
    left.remove(ATTEMPT)
    assert machine.volumes == {ATTEMPT, OTHER}  # nobody waited
    await left.close()

    assert machine.volumes == {OTHER}
    assert journal.find(ATTEMPT).forgotten
    assert journal.unforgotten() == []


async def test_what_the_engine_refused_is_tried_again_later(machine, journal):
    ends(journal, ATTEMPT)
    left = await opened(machine, journal)
    machine.refuses = True
    left.remove(ATTEMPT)
    await left.close()
    assert not journal.find(ATTEMPT).forgotten
    machine.refuses = False

    async def forget(attempt: str) -> None:
        left.remove(attempt)

    await left.tend(forget)
    await left.close()

    assert machine.volumes == {OTHER}
    assert journal.unforgotten() == []


async def test_a_service_forgets_what_an_earlier_one_had_begun_to_and_nothing_that_runs(machine, journal):
    ends(journal, ATTEMPT)
    journal.started(OTHER)
    forgotten = []

    async def forget(attempt: str) -> None:
        forgotten.append(attempt)

    await (await opened(machine, journal)).tend(forget)

    assert forgotten == [ATTEMPT]


async def test_one_that_cannot_be_forgotten_holds_up_no_other(machine, journal):
    for attempt in (ATTEMPT, OTHER):
        ends(journal, attempt)
    asked = []

    async def forget(attempt: str) -> None:
        asked.append(attempt)
        raise EngineError("it will not go")

    await (await opened(machine, journal)).tend(forget)

    assert asked == [ATTEMPT, OTHER]


async def test_what_is_under_way_is_not_begun_again(machine, journal):
    ends(journal, ATTEMPT)
    left = await opened(machine, journal)
    machine.hangs = asyncio.Event()
    left.remove(ATTEMPT)

    async def forget(attempt: str) -> None:
        raise AssertionError("it is under way")

    await left.tend(forget)
    machine.hangs.set()
    await left.close()

    assert machine.volumes == {OTHER}


async def test_an_engine_that_hangs_does_not_hold_up_a_service_that_stops(machine, journal, monkeypatch):
    monkeypatch.setattr(remains, "CLOSING_SECONDS", 0.01)
    ends(journal, ATTEMPT)
    left = await opened(machine, journal)
    machine.hangs = asyncio.Event()
    left.remove(ATTEMPT)

    await left.close()

    assert journal.unforgotten() == [ATTEMPT]
