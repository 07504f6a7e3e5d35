"""A process with memory on a real GPU: when it is seen, whose it is, and how long its memory takes to come back.

On a machine whose processes are this one's own (no container between): the driver names them by the machine's numbers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from himalia.units import GiB
from himalia_gpus.nvml import NVMLInventory
from himalia_gpus.readings import GPUProcess, Reading

pytestmark = pytest.mark.gpu

IDLE_BYTES = GiB  #: what the ledger lets a driver keep on a GPU that nobody uses
DEADLINE_SECONDS = 60.0
HOLDS_MEMORY = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
for code in (
    cuda.cuInit(0), cuda.cuDeviceGet(ctypes.byref(device), 0),
    cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device), cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(2 << 30)),
):
    assert code == 0, f"CUDA answers {code}"
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_is_seen_told_and_its_memory_comes_back() -> None:
    inventory = NVMLInventory()
    before = {sample.uuid: sample.memory_used_bytes or 0 for sample in inventory.read().samples}
    process = subprocess.Popen([sys.executable, "-c", HOLDS_MEMORY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    seen = _until(inventory, lambda reading: bool(_of(reading, process.pid)))
    ((uuid, own),) = _of(seen, process.pid).items()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    killed = time.monotonic()
    _until(
        inventory, lambda reading: not _of(reading, process.pid) and _used(reading, uuid) < before[uuid] + IDLE_BYTES
    )

    print(f"\nthe memory of a killed process came back within {time.monotonic() - killed:.2f} s")
    assert (own.container, own.gone, own.graphics) == ("", False, False)
    assert "libcuda" in own.command or "python" in own.command
    assert own.memory_bytes is None or own.memory_bytes >= 2 * GiB


def _until(inventory: NVMLInventory, holds: Callable[[Reading], bool]) -> Reading:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        reading = inventory.read()
        if holds(reading):
            return reading
    raise AssertionError("the driver never told it")


def _of(reading: Reading, pid: int) -> dict[str, GPUProcess]:
    return {
        sample.uuid: process for sample in reading.samples for process in sample.processes or () if process.pid == pid
    }


def _used(reading: Reading, uuid: str) -> int:
    return next(sample.memory_used_bytes or 0 for sample in reading.samples if sample.uuid == uuid)
