"""Keeping one sampler running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from himalia.gpus import SlotHealth
from himalia.site import Gpus
from himalia_gpus import supervisor
from himalia_gpus.readings import Reading
from himalia_gpus.supervisor import Sampler, StandingWatch, watch_for

DEADLINE_SECONDS = 60


@contextlib.asynccontextmanager
async def running(nvml: Any, **more: Any) -> AsyncIterator[Sampler]:
    """Run a sampler that is quick to notice; end it with the test."""
    options = {"period_seconds": 0.05, "silence_seconds": 1.0, "rest_seconds": 0.05, **more}
    sampler = Sampler(environment=nvml.environment, **options)
    async with asyncio.timeout(DEADLINE_SECONDS):
        task = asyncio.create_task(sampler.run())
        try:
            yield sampler
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def seen(sampler: Sampler, wanted: Callable[[Reading], bool]) -> Reading:
    """Wait for a reading that is as wanted."""
    reading = await sampler.after(None)
    while not wanted(reading):
        reading = await sampler.after(reading)
    return reading


def all_are(health: SlotHealth) -> Callable[[Reading], bool]:
    return lambda reading: bool(reading.gpus) and {gpu.health for gpu in reading.gpus} == {health}


@pytest.mark.asyncio
async def test_the_latest_reading_is_at_hand(nvml: Any) -> None:
    nvml.set(nvml.gpu(0))
    async with running(nvml) as sampler:
        assert sampler.latest is None
        first = await sampler.after(None)

        nvml.set(nvml.gpu(0), nvml.gpu(1))
        second = await seen(sampler, lambda reading: len(reading.gpus) == 2)

        assert second.at > first.at
        assert sampler.latest is not None


@pytest.mark.asyncio
async def test_a_driver_that_falls_silent_is_told_and_a_new_sampler_finds_it_well_again(nvml: Any) -> None:
    nvml.set(nvml.gpu(0))
    async with running(nvml) as sampler:
        await seen(sampler, all_are(SlotHealth.OK))

        nvml.set(nvml.gpu(0, delay_ms={"nvmlDeviceGetPowerUsage": 3_600_000}))
        silent = await seen(sampler, all_are(SlotHealth.SUSPECT))
        assert "has not answered for 1 s" in silent.note
        assert silent.samples == ()

        nvml.set(nvml.gpu(0))
        assert (await seen(sampler, all_are(SlotHealth.OK))).note == ""
        assert nvml.calls().count("nvmlInitWithFlags") >= 2


@pytest.mark.asyncio
async def test_a_sampler_that_ends_is_started_again(nvml: Any) -> None:
    nvml.set(nvml.gpu(0))
    async with running(nvml) as sampler:
        await seen(sampler, all_are(SlotHealth.OK))

        nvml.set(nvml.gpu(0), errors={"nvmlDeviceGetCount_v2": 18})
        await seen(sampler, all_are(SlotHealth.SUSPECT))

        nvml.set(nvml.gpu(0))
        await seen(sampler, all_are(SlotHealth.OK))


@pytest.mark.asyncio
async def test_a_question_is_answered_before_the_period_is_over(nvml: Any) -> None:
    nvml.set(nvml.gpu(0))
    async with running(nvml, period_seconds=3600) as sampler:
        first = await sampler.after(None)

        nvml.set(nvml.gpu(0, processes=[{"pid": 1, "used": 1}]))
        sampler.ask()

        assert (await sampler.after(first)).samples[0].processes


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/missing/python"], "could not be started"),
        ([sys.executable, "-c", "print('hello')"], "cannot be read"),
        ([sys.executable, "-c", "print('{}')"], "cannot be read"),
        ([sys.executable, "-c", ""], "The GPU sampler ended."),
    ],
)
async def test_what_is_wrong_with_a_sampler_is_told_and_it_is_tried_again(
    nvml: Any, command: list[str], words: str
) -> None:
    async with running(nvml, command=command) as sampler:
        first = await sampler.after(None)
        second = await sampler.after(first)

    assert words in first.note
    assert words in second.note
    assert first.gpus == ()


@pytest.mark.asyncio
async def test_a_sampler_that_never_says_anything_is_given_its_time_to_start(nvml: Any) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    async with running(nvml, command=command, start_seconds=0.2) as sampler:
        reading = await sampler.after(None)

    assert "has not answered for 0.2 s" in reading.note


@pytest.mark.asyncio
async def test_no_second_sampler_hangs_beside_one_that_cannot_be_killed(
    nvml: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml.set(nvml.gpu(0))
    stuck: list[Process] = []
    monkeypatch.setattr(supervisor, "_kill", stuck.append)
    async with running(nvml, silence_seconds=0.2) as sampler:
        await seen(sampler, all_are(SlotHealth.OK))

        nvml.set(nvml.gpu(0, delay_ms={"nvmlDeviceGetPowerUsage": 3_600_000}))
        reading = await seen(sampler, lambda reading: reading.note == supervisor.STUCK)
        assert all_are(SlotHealth.SUSPECT)(reading)
        assert nvml.calls().count("nvmlInitWithFlags") == 1

        monkeypatch.undo()
        nvml.set(nvml.gpu(0))
        stuck[0].kill()
        await seen(sampler, all_are(SlotHealth.OK))


@pytest.mark.asyncio
async def test_asking_when_no_sampler_runs_does_nothing(nvml: Any) -> None:
    Sampler(environment=nvml.environment).ask()


@pytest.mark.asyncio
async def test_the_end_is_never_lost_however_busy_the_sampler_is(nvml: Any) -> None:
    nvml.set(nvml.gpu(0))
    for _ in range(5):
        async with running(nvml, period_seconds=0.0001) as sampler:
            first = await sampler.after(None)
            await sampler.after(first)


@pytest.mark.asyncio
async def test_a_sampler_that_is_killed_is_replaced_and_what_was_known_is_suspect_meanwhile(nvml: Any) -> None:
    nvml.set(nvml.gpu(0), nvml.gpu(1))
    async with running(nvml, rest_seconds=0.5) as sampler:
        await seen(sampler, all_are(SlotHealth.OK))
        (first,) = {int(line.split()[0]) for line in nvml.log.read_text().splitlines()}

        os.kill(first, signal.SIGKILL)

        assert len((await seen(sampler, all_are(SlotHealth.SUSPECT))).gpus) == 2
        assert len((await seen(sampler, all_are(SlotHealth.OK))).gpus) == 2


@pytest.mark.asyncio
async def test_a_sampler_that_is_stopped_in_its_tracks_is_replaced(nvml: Any) -> None:
    nvml.set(nvml.gpu(0))
    async with running(nvml) as sampler:
        await seen(sampler, all_are(SlotHealth.OK))
        (first,) = {int(line.split()[0]) for line in nvml.log.read_text().splitlines()}

        os.kill(first, signal.SIGSTOP)

        assert "has not answered" in (await seen(sampler, all_are(SlotHealth.SUSPECT))).note
        await seen(sampler, all_are(SlotHealth.OK))


@pytest.mark.asyncio
async def test_a_gpu_that_a_fresh_sampler_does_not_see_is_told_all_the_same(nvml: Any) -> None:
    nvml.set(nvml.gpu(0), nvml.gpu(1))
    async with running(nvml) as sampler:
        await seen(sampler, all_are(SlotHealth.OK))

        nvml.set(nvml.gpu(0), nvml.gpu(1, gone=True), errors={"nvmlDeviceGetCount_v2": 18})
        await seen(sampler, all_are(SlotHealth.SUSPECT))
        nvml.set(nvml.gpu(0), nvml.gpu(1, gone=True))

        reading = await seen(sampler, lambda reading: reading.gpus[0].health is SlotHealth.OK)
        assert [gpu.health for gpu in reading.gpus] == [SlotHealth.OK, SlotHealth.GONE]


@pytest.mark.asyncio
async def test_a_driver_that_is_replaced_under_the_sampler_is_noticed(
    nvml: Any, nvml_library: Any, tmp_path: Any
) -> None:
    own = tmp_path / "driver"
    own.mkdir()
    library = own / "libnvidia-ml.so.1"
    shutil.copy(nvml_library / library.name, library)
    nvml.environment["LD_LIBRARY_PATH"] = str(own)
    nvml.set(nvml.gpu(0))
    async with running(nvml) as sampler:
        await seen(sampler, all_are(SlotHealth.OK))

        nvml.set(nvml.gpu(0), init_error=18)  # what the new library says while the old module is loaded
        shutil.copy(library, own / "new")
        (own / "new").replace(library)

        told = await seen(sampler, lambda reading: "was upgraded" in reading.gpus[0].health_detail)
        assert all_are(SlotHealth.SUSPECT)(told)
        # The words stay while samplers come and go: nothing new is known.
        assert "was upgraded" in (await sampler.after(await sampler.after(told))).note

        nvml.set(nvml.gpu(0))
        await seen(sampler, all_are(SlotHealth.OK))


@pytest.mark.asyncio
async def test_simulated_gpus_are_watched_without_a_process() -> None:
    watch = watch_for(Gpus(simulate=2), "abc")

    assert isinstance(watch, StandingWatch)
    assert len((await watch.after(None)).gpus) == 2
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await watch.after(watch.latest)
    assert isinstance(watch_for(Gpus(), "abc"), Sampler)
