"""What simulated GPUs pretend to do comes from a file, as a driver would tell it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from himalia_gpus import simulated
from himalia_gpus.inventory import SimulatedInventory
from himalia_gpus.simulated import SimulatedWatch

INVENTORY = SimulatedInventory(count=2, model="Simulated", memory_bytes=2**34, installation="abc")


def busy(watch: SimulatedWatch) -> dict[int, int | None]:
    """Return how busy each GPU is that has a sample."""
    assert watch.latest is not None
    number = {gpu.uuid: gpu.index for gpu in watch.latest.gpus}
    return {number[sample.uuid]: sample.busy_percent for sample in watch.latest.samples}


def test_without_a_file_nobody_knows_what_they_do(tmp_path: Path):
    assert busy(SimulatedWatch(INVENTORY, tmp_path / "load.json")) == {}


def test_a_gpu_is_named_by_its_number_or_its_uuid(tmp_path: Path):
    file = tmp_path / "load.json"
    uuid = INVENTORY.read().gpus[1].uuid
    file.write_text(json.dumps({"0": {"busy_percent": 0, "memory_used_bytes": 2**30}, uuid: {"busy_percent": 70}}))

    assert busy(SimulatedWatch(INVENTORY, file)) == {0: 0, 1: 70}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"0": 5}', '{"0": {"busy_percent": "much"}}', '{"7": {}}'])
def test_a_file_that_cannot_be_understood_says_nothing(tmp_path: Path, text):
    file = tmp_path / "load.json"
    file.write_text(text)

    assert busy(SimulatedWatch(INVENTORY, file)) == {}


@pytest.mark.asyncio
async def test_a_change_is_seen_while_it_runs(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(simulated, "PERIOD_SECONDS", 0.01)
    file = tmp_path / "load.json"
    watch = SimulatedWatch(INVENTORY, file)
    running = asyncio.create_task(watch.run())
    seen = []
    async with asyncio.timeout(10):
        for text in ('{"0": {"busy_percent": 5}}', None):
            last = watch.latest
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
            await watch.after(last)
            seen.append(busy(watch))
    running.cancel()

    assert seen == [{0: 5}, {}]
    assert await watch.after(None) is watch.latest
