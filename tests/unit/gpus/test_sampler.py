"""The sampler's process on pretended hardware."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from himalia.gpus import SlotHealth, SlotKind
from himalia.units import GiB
from himalia_gpus import nvml as nvml_module
from himalia_gpus.inventory import SAMPLER, ProbedInventory
from himalia_gpus.readings import GPU, GPUProcess, Reading, Sample, slots_of
from himalia_gpus.sampler import NEW_PROCESS

FIRST, SECOND, THIRD = (f"GPU-0000000{number}-0000-0000-0000-000000000000" for number in range(3))
NOBODY = 2**22 + 100  #: more than any process id of Linux
PROCESSES = "nvmlDeviceGetComputeRunningProcesses_v3"
Start = Callable[..., Any]
#: Starts a sampler, and says which process that is once it reads.
PARENT = """
import subprocess, sys, time
sampler = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
sampler.stdout.readline()
print(sampler.pid, flush=True)
time.sleep(600)
"""


def healths(reading: Reading) -> dict[str, SlotHealth]:
    return {gpu.uuid: gpu.health for gpu in reading.gpus}


def test_a_reading_tells_what_a_gpu_is_and_what_it_does(nvml: Any, start_sampler: Start) -> None:
    nvml.set(
        nvml.gpu(0, memory_used=5 * GiB, util_gpu=37, processes=[{"pid": NOBODY, "used": 3 * GiB}, {"pid": NOBODY + 1}])
    )

    reading = start_sampler().line()

    assert reading.gpus == (
        GPU(uuid=FIRST, index=0, model="NVIDIA H200", memory_bytes=141 * GiB, pci_bus_id="00000000:10:00.0", minor=0),
    )
    assert reading.samples == (
        Sample(
            uuid=FIRST,
            busy_percent=37,
            memory_used_bytes=5 * GiB,
            power_watts=75.5,
            temperature_celsius=30,
            processes=(
                GPUProcess(pid=NOBODY, memory_bytes=3 * GiB, gone=True),
                GPUProcess(pid=NOBODY + 1, memory_bytes=None, gone=True),
            ),
        ),
    )
    assert (reading.driver_version, reading.note) == ("580.159.03", "")
    assert reading.processes_at == reading.at


def test_what_a_gpu_does_not_know_is_none_and_no_trouble(nvml: Any, start_sampler: Start) -> None:
    nvml.set({"uuid": FIRST, "name": "Tesla T4"})

    reading = start_sampler().line()

    assert reading.gpus == (GPU(uuid=FIRST, index=0, model="Tesla T4", memory_bytes=0, minor=0),)
    assert reading.samples == (Sample(uuid=FIRST, processes=()),)
    assert reading.note == ""


def test_a_gpu_that_falls_off_the_bus_is_suspect_and_the_others_are_not(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0), nvml.gpu(1), nvml.gpu(2))
    sampler = start_sampler()
    assert set(healths(sampler.line()).values()) == {SlotHealth.OK}

    nvml.set(nvml.gpu(0), nvml.gpu(1, lost=True), nvml.gpu(2))
    reading = sampler.ask()

    assert healths(reading) == {FIRST: SlotHealth.OK, SECOND: SlotHealth.SUSPECT, THIRD: SlotHealth.OK}
    assert "fallen off the bus" in reading.gpus[1].health_detail
    assert "fallen off the bus" in reading.note
    assert [sample.uuid for sample in reading.samples] == [FIRST, THIRD]
    assert slots_of(reading.gpus)[1].health is SlotHealth.SUSPECT

    nvml.set(nvml.gpu(0), nvml.gpu(1), nvml.gpu(2))
    assert set(healths(sampler.ask()).values()) == {SlotHealth.OK}


def test_a_gpu_that_is_not_listed_any_more_is_gone_and_no_other_takes_its_name(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0), nvml.gpu(1), nvml.gpu(2))
    sampler = start_sampler()
    sampler.line()

    nvml.set(nvml.gpu(0), nvml.gpu(1, gone=True), nvml.gpu(2, util_gpu=50))
    reading = sampler.ask()

    assert healths(reading) == {FIRST: SlotHealth.OK, SECOND: SlotHealth.GONE, THIRD: SlotHealth.OK}
    assert {sample.uuid: sample.busy_percent for sample in reading.samples} == {FIRST: 0, THIRD: 50}


def test_a_gpu_that_answers_with_errors_is_suspect_with_the_words(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0, errors={"nvmlDeviceGetPowerUsage": 16}), nvml.gpu(1, errors={"*": 999}))

    reading = start_sampler().line()

    assert healths(reading) == {FIRST: SlotHealth.SUSPECT}
    assert "must be reset" in reading.gpus[0].health_detail
    assert reading.samples == ()
    assert reading.note


def test_a_gpu_in_mig_mode_without_devices_is_told_and_given_to_nobody(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0, mig_enabled=True, mig_devices=[]), nvml.gpu(1, mig_enabled=False))

    reading = start_sampler().line()

    assert [gpu.mig_enabled for gpu in reading.gpus] == [True, False]
    assert reading.note.startswith("GPU 0: The GPU is in MIG mode and has no MIG devices.")
    assert [(slot.index, slot.health) for slot in slots_of(reading.gpus)] == [(0, SlotHealth.OFF), (1, SlotHealth.OK)]


def test_each_mig_device_is_a_slot_with_memory_and_processes_of_its_own(nvml: Any, start_sampler: Start) -> None:
    devices = [
        {"uuid": f"MIG-{n:08x}-0000-0000-0000-000000000000", "profile": profile, "gi": n, "ci": 0, "memory_total": size}
        for n, (profile, size) in enumerate([("3g.71gb", 71 * GiB), ("1g.18gb", 18 * GiB)])
    ]
    busy = [{"pid": 77, "used": GiB, "gi": 1, "ci": 0}]
    nvml.set(nvml.gpu(0, mig_enabled=True, mig_devices=devices, processes=busy))

    reading = start_sampler().line()

    assert [
        (slot.uuid, slot.kind, slot.mig_profile, slot.memory_bytes, slot.gpu) for slot in slots_of(reading.gpus)
    ] == [
        (devices[0]["uuid"], SlotKind.MIG, "3g.71gb", 71 * GiB, FIRST),
        (devices[1]["uuid"], SlotKind.MIG, "1g.18gb", 18 * GiB, FIRST),
    ]
    processes = {sample.uuid: [process.pid for process in sample.processes or ()] for sample in reading.samples}
    assert processes == {FIRST: [77], devices[0]["uuid"]: [], devices[1]["uuid"]: [77]}
    assert reading.note == ""


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(
    ("links", "joined"),
    [
        ({0: [1], 1: [0], 2: [], 3: []}, ["01"]),
        ({0: [1, None], 1: [0], 2: [3], 3: [2]}, ["01", "23"]),
        ({0: ["00000000:A0:00.0"], 1: ["00000000:A0:00.0"], 2: ["00000000:A0:00.0"], 3: []}, ["012"]),  # a switch
    ],
)
def test_gpus_that_nvlink_joins_know_each_other(
    nvml: Any, start_sampler: Start, links: dict[int, list[Any]], joined: list[str], older: bool
) -> None:
    def place(end: Any) -> Any:
        return nvml.gpu(end)["pci"] if isinstance(end, int) else end

    nvml.set(*(nvml.gpu(n, nvlinks=[place(end) for end in links[n]]) for n in range(4)), no_p2p=older)

    reading = start_sampler().line()

    names = {gpu.uuid: str(gpu.index) for gpu in reading.gpus}
    found = {"".join(sorted([names[gpu.uuid], *(names[peer] for peer in gpu.peers)])) for gpu in reading.gpus}
    assert {group for group in found if len(group) > 1} == set(joined)
    assert [slot.peers for slot in slots_of(reading.gpus)] == [gpu.peers for gpu in reading.gpus]


def test_the_numa_node_is_the_kernels_word(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, said in (("0000:10:00.0", "1"), ("0000:11:00.0", "-1")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "numa_node").write_text(f"{said}\n")
    monkeypatch.setattr(nvml_module, "BUS", tmp_path)

    assert [nvml_module._numa_node(f"00000000:{place}:00.0") for place in ("10", "11", "12")] == [1, None, None]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "installed but not loaded"),
        ({"init_error": 999}, "unknown error"),
        ({"init_error": 77}, "error 77"),
        ({}, "sees no GPU"),
    ],
)
def test_without_gpus_the_note_says_why(nvml: Any, start_sampler: Start, state: Any, words: str) -> None:
    if state is not None:
        nvml.set(**state)

    reading = start_sampler().line()

    assert reading.gpus == ()
    assert words in reading.note


def test_a_driver_that_comes_later_is_found(nvml: Any, start_sampler: Start) -> None:
    sampler = start_sampler()
    assert sampler.line().gpus == ()

    nvml.set(nvml.gpu(0))

    assert healths(sampler.ask()) == {FIRST: SlotHealth.OK}


def test_after_an_upgrade_of_the_driver_the_sampler_makes_room_for_a_new_one(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0), init_error=18)
    at_the_start = start_sampler()
    assert "was upgraded" in at_the_start.line().note
    assert at_the_start.process.wait(timeout=30) == NEW_PROCESS

    nvml.set(nvml.gpu(0))
    under_way = start_sampler()
    under_way.line()
    nvml.set(nvml.gpu(0), errors={"nvmlDeviceGetCount_v2": 18})
    reading = under_way.ask()
    assert healths(reading) == {FIRST: SlotHealth.SUSPECT}
    assert under_way.process.wait(timeout=30) == NEW_PROCESS


def test_processes_are_looked_at_less_often_and_whenever_somebody_asks(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0, processes=[{"pid": 100, "used": GiB}]))
    sampler = start_sampler(period_seconds=0.01)
    first, *others = [sampler.line() for _ in range(3)]
    assert nvml.calls().count(PROCESSES) == 2  # pynvml asks how many there are, then for them
    assert [reading.processes_at for reading in others] == [first.at, first.at]
    assert all(reading.samples[0].processes for reading in others)

    reading = sampler.ask()
    while reading.processes_at == first.at:
        reading = sampler.line()

    assert nvml.calls().count(PROCESSES) == 4


def test_more_processes_than_expected_between_two_questions_are_no_trouble(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0, errors={PROCESSES: 7}))

    reading = start_sampler().line()

    assert healths(reading) == {FIRST: SlotHealth.OK}
    assert reading.samples[0].processes is None


def test_the_sampler_ends_with_its_parent(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0))
    sampler = start_sampler()
    sampler.line()

    assert sampler.end() == 0


def test_a_sampler_that_hangs_ends_with_its_parent_as_well(nvml: Any) -> None:
    nvml.set(nvml.gpu(0))
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *SAMPLER], env=nvml.environment, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        sampler = os.pidfd_open(int(parent.stdout.readline()))
        signal.pidfd_send_signal(sampler, signal.SIGSTOP)
        parent.kill()

        ended, _, _ = select.select([sampler], [], [], 30)

    os.close(sampler)
    assert ended


def test_the_sampler_ends_when_nobody_reads(nvml: Any, start_sampler: Start) -> None:
    nvml.set(nvml.gpu(0))
    sampler = start_sampler(period_seconds=0.01)
    sampler.line()
    sampler.process.stdout.close()

    assert sampler.process.wait(timeout=30) == 0


def test_a_probe_reads_once(nvml: Any) -> None:
    nvml.set(nvml.gpu(0), nvml.gpu(1))
    variables = (f"{name}={value}" for name, value in nvml.environment.items() if "NVML" in name or "LD_" in name)

    reading = ProbedInventory(command=["env", *variables, *SAMPLER, "--once"]).read()

    assert healths(reading) == {FIRST: SlotHealth.OK, SECOND: SlotHealth.OK}
    assert nvml.calls().count("nvmlInitWithFlags") == 1
