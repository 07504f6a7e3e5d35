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


def forgets(journal: Journal, attempt: str) -> None:
    """Do what the engine does before."""
    journal.ended(attempt, Exit(code=0, reason=ExitReason.EXITED))
    journal.forgotten(attempt, wholly=False)


async def test_a_volume_goes_and_then_the_tombstone_is_all_that_is_left(machine, journal):
    left = await opened(machine, journal)
    forgets(journal, ATTEMPT)

    left.remove(ATTEMPT)
    left.remove(ATTEMPT)
    assert machine.volumes == {ATTEMPT, OTHER}  # nobody waited
    assert journal.find(ATTEMPT).forgotten
    await left.close()

    assert machine.volumes == {OTHER}
    assert journal.remains() == []


async def test_what_the_engine_refused_is_tried_again_later(machine, journal):
    left = await opened(machine, journal)
    forgets(journal, ATTEMPT)
    machine.refuses = True
    left.remove(ATTEMPT)
    await left.close()
    assert journal.remains() == [ATTEMPT]
    machine.refuses = False

    await left.tend()
    await left.close()

    assert machine.volumes == {OTHER}
    assert journal.remains() == []


async def test_a_service_removes_what_an_earlier_one_left_and_nothing_that_runs(machine, journal):
    forgets(journal, ATTEMPT)
    journal.started(OTHER)

    await (await opened(machine, journal)).close()

    assert machine.volumes == {OTHER}


async def test_what_is_gone_already_is_not_asked_for_again(machine, journal):
    journal.ended(ATTEMPT, Exit(code=0, reason=ExitReason.EXITED))
    journal.forgotten(ATTEMPT)

    left = await opened(machine, journal)
    await left.tend()
    await left.close()

    assert machine.volumes == {ATTEMPT, OTHER}


async def test_an_engine_that_hangs_does_not_hold_up_a_service_that_stops(machine, journal, monkeypatch):
    monkeypatch.setattr(remains, "CLOSING_SECONDS", 0.01)
    left = await opened(machine, journal)
    forgets(journal, ATTEMPT)
    machine.hangs = asyncio.Event()
    left.remove(ATTEMPT)

    await left.close()

    assert journal.remains() == [ATTEMPT]
