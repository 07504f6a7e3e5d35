"""Keys are worked on one at a time each, duplicates merge, failures are tried again, and nobody misses a change."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from himalia_jobs import work as work_module
from himalia_jobs.changes import AT_ONCE, PAUSE_SECONDS, Changes
from himalia_jobs.work import Work, repeat

pytestmark = pytest.mark.asyncio


async def while_working(work: Work, test: Callable[[], Awaitable[None]]) -> None:
    """Run a test while the keys are worked on."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await test()
        raise EndOfTest

    with pytest.raises(BaseExceptionGroup) as ended:
        async with asyncio.TaskGroup() as group:
            work.start(group)
            group.create_task(bounded())
    assert ended.group_contains(EndOfTest)
    assert len(ended.value.exceptions) == 1


class EndOfTest(Exception):
    """The test is over; what still works is cancelled."""


async def test_a_key_is_never_worked_on_twice_at_once_and_duplicates_merge():
    begun, go_on, calls, now = asyncio.Event(), asyncio.Event(), 0, 0

    async def step(key: str) -> None:
        nonlocal calls, now
        calls, now = calls + 1, now + 1
        assert now == 1
        begun.set()
        await go_on.wait()
        now -= 1

    async def test() -> None:
        work.add("a")
        await begun.wait()
        for _ in range(5):
            work.add("a")
        go_on.set()
        while work.keys():
            await asyncio.sleep(0)
        assert calls == 2

    work = Work(step, at_once=4)
    await while_working(work, test)


async def test_so_many_keys_are_worked_on_at_once_and_no_more():
    now = most = 0

    async def step(key: str) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1

    async def test() -> None:
        for number in range(20):
            work.add(str(number))
        while work.keys():
            await asyncio.sleep(0.001)
        assert most == 3

    work = Work(step, at_once=3)
    await while_working(work, test)


async def test_a_step_that_fails_is_tried_again_and_harms_no_other(monkeypatch):
    monkeypatch.setattr(work_module, "FIRST_DELAY_SECONDS", 0.001)
    calls: Counter[str] = Counter()

    async def step(key: str) -> None:
        calls[key] += 1
        if key == "bad" and calls[key] < 4:
            raise KeyError("not yet")

    async def test() -> None:
        work.add("bad")
        work.add("good")
        while work.keys():
            await asyncio.sleep(0.001)
        assert calls == {"bad": 4, "good": 1}

    work = Work(step, at_once=1)
    await while_working(work, test)


async def test_who_waits_long_is_woken_by_a_hint():
    calls = 0

    async def step(key: str) -> float | None:
        nonlocal calls
        calls += 1
        return 1000.0 if calls == 1 else None

    async def test() -> None:
        work.add("a")
        while not calls:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.add("a")
        while work.keys():
            await asyncio.sleep(0)
        assert calls == 2

    work = Work(step, at_once=1)
    await while_working(work, test)


async def test_a_loop_goes_on_after_a_failure():
    calls = 0

    async def step() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise asyncio.CancelledError
        raise KeyError("a failure")

    with pytest.raises(asyncio.CancelledError):
        await repeat(step, every_seconds=0)

    assert calls == 3


async def test_a_change_that_comes_after_the_look_is_not_missed():
    changes = Changes()
    seen = changes.number
    changes.tell()

    assert await changes.wait(0.001, seen)
    assert not await changes.wait(0.001, changes.number)
    assert not await changes.wait(0.001)


async def test_everybody_who_waits_is_woken():
    changes = Changes()
    waiting = [asyncio.create_task(changes.wait(10)) for _ in range(5)]
    await asyncio.sleep(0)

    changes.tell()

    assert await asyncio.gather(*waiting) == [True] * 5


async def test_a_crowd_is_woken_one_after_the_other_and_nobody_is_left():
    changes = Changes()
    woken, between = [], []

    async def wait(number):
        assert await changes.wait(10, seen=changes.number, in_crowd=True)
        woken.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in range(4 * AT_ONCE + 1)]
    await asyncio.sleep(0)
    changes.tell()
    while len(woken) < len(waiting):
        before = len(woken)
        await asyncio.sleep(0)
        between.append(len(woken) - before)

    assert max(between) == AT_ONCE
    assert sorted(between)[-2] == 1
    assert woken == list(range(len(waiting)))


async def test_who_looks_again_at_once_waits_for_a_turn_behind_the_crowd():
    changes = Changes()
    crowd = [asyncio.create_task(changes.wait(10, in_crowd=True)) for _ in range(2 * AT_ONCE)]
    await asyncio.sleep(0)
    seen = changes.number
    changes.tell()

    assert await changes.wait(10, seen, in_crowd=True)

    assert all(one.done() for one in crowd)


async def test_who_gives_up_takes_nobodys_turn():
    changes = Changes()
    gone = [asyncio.create_task(changes.wait(10, in_crowd=True)) for _ in range(AT_ONCE)]
    await asyncio.sleep(0)
    for one in gone:
        one.cancel()
    stays = asyncio.create_task(changes.wait(10, in_crowd=True))
    await asyncio.sleep(0)

    changes.tell()
    await asyncio.sleep(0)

    assert await stays


async def test_of_a_thousand_the_last_hears_within_three_seconds():
    class Counted(Changes):
        steps = 0

        def _go_on(self, most: int) -> None:
            self.steps += 1
            super()._go_on(most)

    changes = Counted()
    waiting = [asyncio.create_task(changes.wait(60, in_crowd=True)) for _ in range(1_000)]
    await asyncio.sleep(0)

    changes.tell()
    await asyncio.gather(*waiting)

    assert changes.steps * PAUSE_SECONDS < 3


async def test_who_waits_alone_hears_before_the_crowd_has_heard():
    changes = Changes()
    crowd = [asyncio.create_task(changes.wait(10, in_crowd=True)) for _ in range(4 * AT_ONCE)]
    alone = asyncio.create_task(changes.wait(10))
    await asyncio.sleep(0)

    changes.tell()

    assert await alone
    assert not all(one.done() for one in crowd)
    assert await asyncio.gather(*crowd) == [True] * len(crowd)


async def test_a_change_whose_turn_does_not_come_in_time_is_a_change_all_the_same():
    changes = Changes()
    seen = changes.number
    crowd = [asyncio.create_task(changes.wait(10, in_crowd=True)) for _ in range(4 * AT_ONCE)]
    await asyncio.sleep(0)
    changes.tell()

    assert await changes.wait(0.0, seen, in_crowd=True)
    assert await asyncio.gather(*crowd) == [True] * len(crowd)
