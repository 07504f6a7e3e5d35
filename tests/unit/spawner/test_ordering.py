"""Calls of the Engine run side by side for different servers, and one after the other for one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from himalia_spawner.ordering import EngineCalls


@pytest.fixture
def calls() -> Iterator[EngineCalls]:
    """Give a pool of four threads."""
    pool = EngineCalls(threads=4)
    yield pool
    pool.pool.shutdown()


@pytest.mark.asyncio
async def test_a_call_that_hangs_holds_up_its_own_server_only(calls):
    hang = threading.Event()
    slow = asyncio.ensure_future(calls.call(("alice", ""), hang.wait, 10))
    after = asyncio.ensure_future(calls.call(("alice", ""), str, "second"))

    assert await asyncio.wait_for(calls.call(("bob", ""), str, "bob's"), 2) == "bob's"
    assert await asyncio.wait_for(calls.call(("alice", "named"), str, "another server"), 2)
    assert not after.done()

    hang.set()
    assert await slow
    assert await after == "second"


@pytest.mark.asyncio
async def test_a_call_that_nobody_waits_for_any_more_still_comes_before_the_next(calls):
    begun, hang, seen = threading.Event(), threading.Event(), []

    def create() -> None:
        begun.set()
        hang.wait(10)
        seen.append("created")

    first = asyncio.ensure_future(calls.call(("alice", ""), create))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    first.cancel()
    removal = asyncio.ensure_future(calls.call(("alice", ""), seen.append, "removed"))
    await asyncio.sleep(0)
    hang.set()

    await removal
    assert seen == ["created", "removed"]


@pytest.mark.asyncio
async def test_a_call_that_fails_lets_the_next_one_go(calls):
    with pytest.raises(ZeroDivisionError):
        await calls.call(("alice", ""), lambda: 1 / 0)

    assert await calls.call(("alice", ""), str, "next") == "next"
