"""The sampler on a real GPU: it reads, it answers when asked, and it costs little."""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import time

import pytest

from himalia.gpus import SlotHealth
from himalia_gpus.nvml import NVMLInventory
from himalia_gpus.readings import Reading
from himalia_gpus.supervisor import Sampler

pytestmark = pytest.mark.gpu


async def _readings(count: int) -> list[Reading]:
    sampler = Sampler(period_seconds=0.2, start_seconds=120)
    async with asyncio.timeout(180):
        task = asyncio.create_task(sampler.run())
        readings = [await sampler.after(None)]
        while len(readings) < count:
            sampler.ask()
            readings.append(await sampler.after(readings[-1]))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return readings


def test_the_sampler_reads_all_gpus_again_and_again(listed: dict[str, str]) -> None:
    readings = asyncio.run(_readings(5))

    for reading in readings:
        assert {gpu.uuid: gpu.health for gpu in reading.gpus} == dict.fromkeys(listed, SlotHealth.OK)
        assert {sample.uuid for sample in reading.samples} == set(listed)
        assert reading.note == ""
    assert [reading.at for reading in readings] == sorted(reading.at for reading in readings)


def test_a_reading_is_quick(reading: Reading) -> None:
    inventory = NVMLInventory()
    inventory.read()
    costs = {"without processes": _cost(inventory, False), "with processes": _cost(inventory, True)}

    for name, seconds in costs.items():
        middle, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
        print(f"\nreading {len(reading.gpus)} GPUs {name}: median {middle:.2f} ms, worst {worst:.2f} ms")
    # A period is two seconds: a reading takes less than a twentieth of it, for a full machine of sixteen GPUs too.
    assert statistics.median(costs["with processes"]) < 0.1


def _cost(inventory: NVMLInventory, with_processes: bool) -> list[float]:
    seconds = []
    for _ in range(200):
        started = time.perf_counter()
        inventory.read(with_processes=with_processes)
        seconds.append(time.perf_counter() - started)
    return seconds


def test_the_sampler_takes_little_of_the_cpu_and_ends_with_its_parent() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = [sys.executable, "-m", "himalia_gpus.sampler", "--period", "0.1", "--processes-every", "0.5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        lines = [process.stdout.readline() for _ in range(50)]
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert all(Reading.model_validate_json(line).gpus for line in lines)
    # Twenty times as often as it is in force: start and fifty readings.
    print(f"\nsampler: 50 readings in {time.monotonic() - started:.1f} s, {cpu_seconds:.2f} s of CPU")
    assert cpu_seconds < 10
