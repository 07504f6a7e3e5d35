"""What containers of ours see of GPUs, by each way that a Docker Engine gives them; the kernel's device cgroup says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from isolation import (
    CDI_V1,
    CDI_V2,
    GPUS,
    HOOK,
    LOOK,
    PATHS,
    PLAIN_ROWS,
    QUICK_PATHS,
    ROWS,
    bench_of,
    hook_engine,
    verdict,
)
from live_platform import eventually, output, run
from nvml_hardware import Hardware
from nvml_hardware import nvml as nvml
from nvml_hardware import nvml_library as nvml_library
from own_engine import BUSYBOX_IMAGE
from own_service import OwnService

from himalia.states import JobState
from himalia_gpus.devices import Way

CAMPAIGN = bool(os.environ.get("HIMALIA_CAMPAIGN"))
SETTINGS = f"""
[limits]
disk_reserve = "8M"
[[profiles]]
name = "tiny"
cpus = 0.1
memory = "64M"
[[images]]
name = "{BUSYBOX_IMAGE}"
"""


@pytest.fixture(scope="module", params=PATHS if CAMPAIGN else QUICK_PATHS)
def bench(request, tmp_path_factory):
    """An Engine that gives GPUs in one of the ways."""
    with bench_of(request.param, tmp_path_factory.mktemp("bench")) as bench:
        bench.path = request.param
        yield bench


def test_the_way_is_found_out(bench):
    assert bench.way is (Way.CDI if bench.path in (CDI_V1, CDI_V2) else Way.NVIDIA)


@pytest.mark.parametrize("row", [*ROWS, *PLAIN_ROWS], ids=lambda row: row.words)
def test_a_container_sees_the_gpus_of_its_lease_and_no_other(bench, row):
    assert bench.sees(row) == row.expected(bench.path)


def test_two_jobs_of_a_service_have_a_gpu_each(tmp_path: Path, nvml: Hardware):
    nvml.set(*(nvml.gpu(minor, uuid=uuid, minor=minor) for uuid, minor in GPUS.items()))
    machine = hook_engine(tmp_path, HOOK)
    own = OwnService(tmp_path, settings=SETTINGS, machine=machine)
    own.environment = {
        **{name: nvml.environment[name] for name in ("LD_LIBRARY_PATH", "FAKE_NVML_STATE")},
        "PATH": f"{machine.path}:{os.environ['PATH']}",
    }
    try:
        machine.start()
        machine.add_busybox()
        own.start()
        ada = own.client()
        first = run(ada, LOOK + "while [ ! -e /artifacts/go ]; do sleep 0.1; done", gpus="1", wait=False)
        eventually(lambda: b"seen" in b"".join(first.log()))

        second = run(ada, LOOK, gpus="1")

        (own.data / "jobs" / first.id / "1" / "artifacts" / "go").touch()
        assert [job.wait(60).state for job in (first, second)] == [JobState.SUCCEEDED] * 2
        seen = {verdict(output(job).decode()) for job in (first, second)}
        assert seen == {"GPU 0", "GPU 1"}
    finally:
        own.end()
        machine.end()
