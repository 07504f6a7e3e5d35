"""The stand-in for NVML, seen by the unmodified pynvml."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pynvml
import pytest

from himalia.units import GiB

FIRST, SECOND = (f"GPU-0000000{number}-0000-0000-0000-000000000000" for number in (0, 1))
SLICE = {"uuid": "MIG-00000000-aaaa-bbbb-cccc-000000000000", "gi": 7, "ci": 0, "profile": "1g.18gb", "slices": 1}


def test_the_structures_are_those_of_pynvml() -> None:
    sizes = {
        "c_nvmlMemory_t": 24,
        "c_nvmlMemory_v2_t": 40,
        "nvmlPciInfo_t": 68,
        "c_nvmlUtilization_t": 8,
        "c_nvmlProcessInfo_v2_t": 24,
        "c_nvmlDeviceAttributes": 40,
        "c_nvmlTemperature_v1_t": 12,
    }

    assert {name: ctypes.sizeof(getattr(pynvml, name)) for name in sizes} == sizes
    assert pynvml.nvmlMemory_v2 == 40 | 2 << 24


def test_without_a_state_the_driver_is_not_loaded(nvml: Any) -> None:
    assert nvml.run("""
        try: nvmlInit()
        except NVMLError as error: answer = [error.value, str(error)]
    """) == [9, "Driver Not Loaded"]


def test_readings_are_those_of_the_state(nvml: Any) -> None:
    nvml.set(nvml.gpu(0, memory_used=5 * GiB, util_gpu=37, temperature=61, power_mw=412_345), nvml.gpu(1))

    answer = nvml.run("""
        nvmlInit()
        gpu = nvmlDeviceGetHandleByIndex(0)
        memory, both = nvmlDeviceGetMemoryInfo(gpu), nvmlDeviceGetMemoryInfo(gpu, version=nvmlMemory_v2)
        answer = [
            nvmlSystemGetDriverVersion(), nvmlDeviceGetCount(), nvmlDeviceGetUUID(gpu), nvmlDeviceGetName(gpu),
            memory.total, memory.used, memory.free, both.used, both.reserved, nvmlDeviceGetUtilizationRates(gpu).gpu,
            nvmlDeviceGetTemperature(gpu, NVML_TEMPERATURE_GPU), nvmlDeviceGetTemperatureV(gpu, 0),
            nvmlDeviceGetPowerUsage(gpu), nvmlDeviceGetPciInfo(gpu).busId,
            nvmlDeviceGetIndex(nvmlDeviceGetHandleByUUID("GPU-00000001-0000-0000-0000-000000000000")),
        ]
        nvmlShutdown()
    """)

    half = GiB // 2
    assert answer == [
        "580.159.03",
        2,
        FIRST,
        "NVIDIA H200",
        141 * GiB,
        5 * GiB + half,
        136 * GiB - half,
        5 * GiB,
        half,
        37,
        61,
        61,
        412_345,
        "00000000:10:00.0",
        1,
    ]


def test_a_value_that_is_missing_is_not_supported(nvml: Any) -> None:
    nvml.set({"uuid": FIRST})

    assert nvml.run("""
        nvmlInit()
        gpu, answer = nvmlDeviceGetHandleByIndex(0), []
        for question in (nvmlDeviceGetName, nvmlDeviceGetMemoryInfo, nvmlDeviceGetPowerUsage, nvmlDeviceGetMigMode):
            try: question(gpu)
            except NVMLError_NotSupported as error: answer.append(error.value)
    """) == [3, 3, 3, 3]


def test_processes_are_told_by_what_they_do(nvml: Any) -> None:
    processes = [{"pid": pid, "used": pid * GiB} for pid in range(1, 40)]
    nvml.set(
        nvml.gpu(
            0,
            processes=[
                *processes,
                {"pid": 50, "used": None},
                {"pid": 60, "used": 1, "type": "G"},
                {"pid": 70, "used": 1, "type": "M"},
            ],
        )
    )

    compute, graphics, served = nvml.run("""
        nvmlInit()
        gpu = nvmlDeviceGetHandleByIndex(0)
        answer = [
            [[process.pid, process.usedGpuMemory] for process in ask(gpu)]
            for ask in (
                nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses,
                nvmlDeviceGetMPSComputeRunningProcesses,
            )
        ]
    """)

    assert compute == [[process["pid"], process["used"]] for process in processes] + [[50, None]]
    assert (graphics, served) == ([[60, 1]], [[70, 1]])


def test_slices_are_devices_of_their_own(nvml: Any) -> None:
    nvml.set(
        nvml.gpu(
            0,
            mig_enabled=True,
            mig_devices=[{**SLICE, "memory_total": 18 * GiB}],
            processes=[{"pid": 77, "used": GiB, "gi": 7, "ci": 0}, {"pid": 78, "used": GiB, "gi": 8, "ci": 0}],
        ),
        nvml.gpu(1, mig_enabled=False),
    )

    assert nvml.run("""
        nvmlInit()
        gpu = nvmlDeviceGetHandleByIndex(0)
        part = nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
        answer = [
            nvmlDeviceGetMigMode(gpu)[0], nvmlDeviceGetMigMode(nvmlDeviceGetHandleByIndex(1))[0],
            nvmlDeviceGetMaxMigDeviceCount(gpu), nvmlDeviceGetUUID(part), nvmlDeviceGetName(part),
            nvmlDeviceGetGpuInstanceId(part), nvmlDeviceGetAttributes(part).memorySizeMB,
            nvmlDeviceGetMemoryInfo(part).total, nvmlDeviceGetIndex(nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)),
            [process.pid for process in nvmlDeviceGetComputeRunningProcesses(part)],
        ]
        for ask in (lambda: nvmlDeviceGetUtilizationRates(gpu), lambda: nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1)):
            try: ask()
            except NVMLError as error: answer.append(error.value)
    """) == [1, 0, 7, SLICE["uuid"], "NVIDIA H200 MIG 1g.18gb", 7, 18 * 1024, 18 * GiB, 0, [77], 3, 6]


LOOK = """
import sys, json
from pynvml import *
nvmlInit()
second = nvmlDeviceGetHandleByIndex(1)
def told(ask):
    try: return ask()
    except NVMLError as error: return error.value
for line in sys.stdin:
    listed = lambda: [nvmlDeviceGetUUID(nvmlDeviceGetHandleByIndex(index)) for index in range(nvmlDeviceGetCount())]
    print(json.dumps([told(lambda: nvmlDeviceGetUtilizationRates(second).gpu), told(listed)]), flush=True)
"""


def test_the_hardware_changes_under_a_running_process(nvml: Any) -> None:
    nvml.set(nvml.gpu(0), nvml.gpu(1))
    command = [sys.executable, "-c", LOOK]
    with subprocess.Popen(
        command, env=nvml.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        asks, answers = process.stdin, process.stdout
        assert asks is not None and answers is not None

        def seen(second: dict[str, Any]) -> str:
            nvml.set(nvml.gpu(0), second, nvml.gpu(2))
            asks.write("\n")
            return answers.readline().strip()

        assert seen(nvml.gpu(1, util_gpu=88)).startswith("[88, ")
        assert seen(nvml.gpu(1, errors={"nvmlDeviceGetUtilizationRates": 3})).startswith("[3, ")
        assert seen(nvml.gpu(1, lost=True)) == "[15, 15]"
        # What was index 2 is index 1 now: an index is no identity.
        assert seen(nvml.gpu(1, gone=True)) == f'[15, ["{FIRST}", "{FIRST.replace("00000000", "00000002", 1)}"]]'
        asks.close()


@pytest.mark.parametrize("code", [9, 18, 999])
def test_the_start_can_fail(nvml: Any, code: int) -> None:
    nvml.set(nvml.gpu(0), init_error=code)

    assert (
        nvml.run("""
        try: nvmlInit()
        except NVMLError as error: answer = error.value
    """)
        == code
    )


def test_a_call_can_be_slow_and_calls_are_counted(nvml: Any) -> None:
    nvml.set(nvml.gpu(0, delay_ms={"nvmlDeviceGetPowerUsage": 300}))

    started = time.monotonic()
    nvml.run("nvmlInit(); answer = nvmlDeviceGetPowerUsage(nvmlDeviceGetHandleByIndex(0)); nvmlShutdown()")

    assert time.monotonic() - started > 0.3
    assert nvml.calls() == [
        "nvmlInitWithFlags",
        "nvmlDeviceGetHandleByIndex_v2",
        "nvmlDeviceGetPowerUsage",
        "nvmlShutdown",
    ]


def test_whoever_holds_the_device_node_open_is_a_process_on_the_gpu(nvml: Any) -> None:
    nvml.set(nvml.gpu(0, scan_node="/dev/full"))
    ask = """
        nvmlInit()
        gpu = nvmlDeviceGetHandleByIndex(0)
        answer = [[process.pid, process.usedGpuMemory] for process in nvmlDeviceGetComputeRunningProcesses(gpu)]
    """
    hold = "held = open('/dev/full', 'rb'); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold],
        env={**os.environ, "FAKE_GPU_MEMORY_MB": "2048"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        assert [process.pid, 2 * GiB] in nvml.run(ask)
        process.communicate("\n", timeout=30)
    assert process.pid not in [pid for pid, _ in nvml.run(ask)]


def test_a_gpu_whose_device_node_may_not_be_opened_is_not_seen(nvml: Any, tmp_path: Path) -> None:
    nvml.set(nvml.gpu(0, node=str(tmp_path / "missing")), nvml.gpu(1, node="/dev/null"))

    assert nvml.run("""
        nvmlInit()
        answer = [nvmlDeviceGetUUID(nvmlDeviceGetHandleByIndex(index)) for index in range(nvmlDeviceGetCount())]
    """) == [SECOND]
