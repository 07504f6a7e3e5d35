"""The contract of all engines (`himalia_jobs.engines.base`), first half: an attempt starts once, and stops for good.

A module that tests an engine has a fixture `bench` and classes of its own: `class TestLife(LifeContract)`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from engine_bench import (
    FAILS,
    GRACE_SECONDS,
    LASTS,
    PRINTS,
    STUBBORN,
    end_of,
    eventually,
    is_over,
    launch,
    launched,
    listed,
    printed,
    spec_of,
)

from himalia_jobs.engines.base import ExitReason, Phase
from himalia_jobs.engines.errors import (
    Conflict,
    Finished,
    NotSent,
    StaleEpoch,
    Unknown,
)

MISSING = "sha256:" + "0" * 64
WHY = "cancelled"


@pytest.mark.asyncio
class LifeContract:
    """Start and stop, whatever becomes of messages and services: I2 to I5."""

    async def test_a_command_runs_and_its_end_and_its_output_are_told(self, bench):
        spec = await launched(bench, PRINTS)

        end = await end_of(bench, spec)

        assert (end.code, end.signal, end.oom, end.reason) == (0, None, False, ExitReason.EXITED)
        assert end.finished_at is not None
        assert (await bench.engine.read_log(spec.attempt, 0, 100)).data == b"one\ntwo\n"

    # I2: at most one live start per attempt, for ever.

    async def test_a_launch_that_is_repeated_answers_with_what_is_there(self, bench):
        spec = await launched(bench, LASTS)
        await printed(bench, spec, b"ready")
        before = await bench.engine.status(spec.attempt)

        again = await launch(bench.engine, spec)

        assert (again.phase, again.handle) == (Phase.RUNNING, before.handle)
        assert bench.starts(spec.attempt) == 1

    async def test_launches_at_once_start_one_container(self, bench):
        spec = spec_of(bench, LASTS)
        await bench.engine.prepare(spec)

        found = await asyncio.gather(*(bench.engine.launch(spec, timeout_seconds=60) for _ in range(3)))

        await printed(bench, spec, b"ready")
        assert len({observed.handle for observed in found}) == 1
        assert bench.starts(spec.attempt) == 1

    async def test_another_specification_for_an_attempt_is_a_conflict(self, bench):
        spec = await launched(bench, LASTS)

        with pytest.raises(Conflict):
            await launch(bench.engine, replace(spec, cpus=0.25))

        assert await bench.alive(spec.attempt)

    @pytest.mark.parametrize("last_word", ["the end", "collect", "forget", "delete"])
    async def test_an_attempt_that_has_ended_is_never_started_again(self, bench, last_word):
        spec = await launched(bench, FAILS)
        await end_of(bench, spec)
        if last_word != "the end":
            await getattr(bench.engine, last_word)(spec.attempt)

        with pytest.raises(Finished) as told:
            await launch(bench.engine, spec)

        assert told.value.exit.code == 3
        assert bench.starts(spec.attempt) == 1

    @pytest.mark.fault(3)
    @pytest.mark.fault(4)
    @pytest.mark.parametrize(("step", "begun"), [("intent", 0), ("create", 0), ("start", 1)])
    async def test_a_launch_that_broke_off_is_finished_by_the_next(self, bench, step, begun):
        spec = spec_of(bench, LASTS)
        await bench.engine.prepare(spec)
        bench.break_off_after(step)
        with pytest.raises(Unknown):
            await bench.engine.launch(spec, timeout_seconds=60)
        assert await bench.alive(spec.attempt) is bool(begun)
        service = await bench.another_service(2)

        await service.launch(spec, timeout_seconds=60)

        await printed(bench, spec, b"ready")
        assert bench.starts(spec.attempt) == 1

    async def test_a_container_that_somebody_removed_is_never_made_again(self, bench):
        spec = spec_of(bench, LASTS)
        await bench.engine.prepare(spec)
        bench.break_off_after("start")
        with pytest.raises(Unknown):
            await bench.engine.launch(spec, timeout_seconds=60)
        await printed(bench, spec, b"ready")
        await bench.remove_by_hand(spec.attempt)

        observed = await bench.engine.launch(spec, timeout_seconds=60)

        assert (observed.phase, observed.exit.reason) == (Phase.EXITED, ExitReason.VANISHED)
        assert bench.starts(spec.attempt) == 1

    # I3: tombstones outlive messages.

    async def test_a_launch_that_comes_after_its_own_stop_starts_nothing(self, bench):
        spec = spec_of(bench, LASTS)
        await bench.engine.stop(spec.attempt, grace_seconds=0, why=WHY)

        with pytest.raises(Finished) as told:
            await launch(bench.engine, spec)

        assert told.value.exit.reason is ExitReason.STOPPED
        assert (await bench.engine.status(spec.attempt)).phase is Phase.EXITED
        assert bench.starts(spec.attempt) == 0

    async def test_a_container_that_was_made_and_never_started_is_stopped_for_good(self, bench):
        spec = spec_of(bench, LASTS)
        await bench.engine.prepare(spec)
        bench.break_off_after("create")
        with pytest.raises(Unknown):
            await bench.engine.launch(spec, timeout_seconds=60)

        await bench.engine.stop(spec.attempt, grace_seconds=0, why=WHY)

        with pytest.raises(Finished):
            await launch(bench.engine, spec)
        assert spec.lease_id not in await listed(bench.engine)
        assert bench.starts(spec.attempt) == 0

    async def test_a_launch_that_comes_after_forget_starts_nothing(self, bench):
        spec = spec_of(bench, LASTS)
        await bench.engine.forget(spec.attempt)

        with pytest.raises(Finished):
            await launch(bench.engine, spec)

        assert bench.starts(spec.attempt) == 0

    async def test_a_stop_ends_a_running_command_and_the_end_says_so(self, bench):
        spec = await launched(bench, LASTS)
        await printed(bench, spec, b"ready")

        await bench.engine.stop(spec.attempt, grace_seconds=GRACE_SECONDS, why=WHY)

        end = await end_of(bench, spec)
        assert (end.code, end.signal, end.reason) == (143, 15, ExitReason.STOPPED)
        assert not await bench.alive(spec.attempt)

    @pytest.mark.fault(29)
    async def test_a_command_that_ignores_the_stop_is_killed_after_its_grace(self, bench):
        spec = await launched(bench, STUBBORN)
        await printed(bench, spec, b"ready")

        await bench.engine.stop(spec.attempt, grace_seconds=GRACE_SECONDS, why=WHY)

        end = await end_of(bench, spec)
        assert (end.code, end.signal, end.reason) == (137, 9, ExitReason.STOPPED)

    async def test_whoever_stops_it_may_give_it_less_than_it_was_launched_with(self, bench):
        spec = await launched(bench, STUBBORN, grace_seconds=600.0)
        await printed(bench, spec, b"ready")

        await bench.engine.stop(spec.attempt, grace_seconds=GRACE_SECONDS, why=WHY)

        end = await end_of(bench, spec)
        assert (end.code, end.signal, end.reason) == (137, 9, ExitReason.STOPPED)

    async def test_a_stop_may_be_repeated(self, bench):
        spec = await launched(bench, STUBBORN)
        await printed(bench, spec, b"ready")
        for _ in range(2):
            await bench.engine.stop(spec.attempt, grace_seconds=GRACE_SECONDS, why=WHY)
        first = await end_of(bench, spec)

        await bench.engine.stop(spec.attempt, grace_seconds=GRACE_SECONDS, why="again")

        assert await end_of(bench, spec) == first

    async def test_an_attempt_that_ended_by_itself_keeps_its_own_end_whatever_comes_later(self, bench):
        spec = await launched(bench, FAILS)
        await eventually(bench, lambda: is_over(bench, spec))

        await bench.engine.stop(spec.attempt, grace_seconds=0, why=WHY)

        end = await end_of(bench, spec)
        assert (end.code, end.reason) == (3, ExitReason.EXITED)

    # I4: epochs fence services.

    async def test_a_service_that_was_replaced_changes_nothing_any_more(self, bench):
        spec, fresh = await launched(bench, LASTS), spec_of(bench, LASTS)
        old, new = bench.engine, await bench.another_service(2)

        for change in (
            old.prepare(fresh),
            old.launch(fresh, timeout_seconds=60),
            old.stop(spec.attempt, grace_seconds=0, why=WHY),
            old.collect(spec.attempt),
            old.forget(spec.attempt),
            old.delete(spec.attempt),
            old.set_node("local", "cordoned", ""),
        ):
            with pytest.raises(StaleEpoch):
                await change
        with pytest.raises(StaleEpoch):
            await bench.another_service(1)

        assert (await new.status(spec.attempt)).phase is Phase.RUNNING
        assert bench.starts(fresh.attempt) == 0

    async def test_the_next_service_finds_what_runs_and_its_log(self, bench):
        spec = await launched(bench, LASTS)
        await printed(bench, spec, b"ready")

        service = await bench.another_service(2)

        assert (await listed(service))[spec.lease_id].phase is Phase.RUNNING
        assert (await service.read_log(spec.attempt, 0, 100)).data == b"ready\n"

    # I5: a time-out is unknown, not failed; errors say what is safe.

    @pytest.mark.fault(22)
    async def test_the_next_service_is_told_since_when_it_runs_by_the_clock_that_nobody_sets(self, bench):
        before = (await bench.engine.gpu_use()).now
        spec = await launched(bench, LASTS)
        after = (await bench.engine.gpu_use()).now

        observed = await (await bench.another_service(2)).status(spec.attempt)

        assert observed.started_clock is not None
        assert before <= observed.started_clock <= after

    async def test_a_launch_whose_answer_was_lost_is_repeated_safely(self, bench):
        spec = spec_of(bench, LASTS)
        await bench.engine.prepare(spec)
        bench.lose_the_answer_to_a_launch()
        with pytest.raises(Unknown):
            await bench.engine.launch(spec, timeout_seconds=60)

        observed = await bench.engine.launch(spec, timeout_seconds=60)

        await printed(bench, spec, b"ready")
        assert observed.phase is Phase.RUNNING
        assert bench.starts(spec.attempt) == 1

    @pytest.mark.fault(21)
    async def test_nothing_is_done_and_nothing_is_lost_while_the_machine_cannot_be_reached(self, bench):
        spec, fresh = await launched(bench, LASTS), spec_of(bench, PRINTS)
        await bench.engine.prepare(fresh)

        async with bench.cut_off():
            for call in (
                bench.engine.launch(fresh, timeout_seconds=60),
                bench.engine.stop(spec.attempt, grace_seconds=0, why=WHY),
                bench.engine.stop(fresh.attempt, grace_seconds=0, why=WHY),
                bench.engine.status(spec.attempt),
                bench.engine.list(),
                bench.engine.nodes(),
            ):
                with pytest.raises((NotSent, Unknown)):
                    await call
            assert not (await bench.engine.health()).ok

        assert (await bench.engine.status(spec.attempt)).phase is Phase.RUNNING
        await launch(bench.engine, fresh)
        assert (await end_of(bench, fresh)).code == 0
