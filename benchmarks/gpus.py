"""How quickly the GPUs are told with 64 in line, and how much CPU time their sampler takes: 8 GPUs each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

import httpx
from measuring import Report, main, own_platform

import himalia
from himalia.units import GiB

if TYPE_CHECKING:
    from live_platform import LivePlatform

GPUS, WAITING, ASKED, SECONDS = 8, 64, 200, 20.0
NVML = Path(__file__).resolve().parents[1] / "tests" / "fakes" / "nvml"
BUILD = ("gcc", "-std=c11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-soname,libnvidia-ml.so.1")
SETTINGS = f"""
[gpus]
simulate = {GPUS}
[limits]
stop_grace = "1s"
[[profiles]]
name = "gpu"
cpus = 0.05
memory = "64M"
gpus = "1"
"""


def measure(rounds: int) -> Report:
    """Measure `GET api/gpus` on a live platform, and the sampler beside pretended hardware with a process on each GPU."""
    report = Report(title=f"{GPUS} GPUs, {WAITING} in line")
    median, worst, cpu = [], [], []
    with own_platform(SETTINGS) as platform, platform.client("ada") as client, connection(platform) as ask:
        fill(client)
        service = platform.pid("service")
        for _ in range(rounds):
            before = cpu_seconds(service)
            taken = [ask() for _ in range(ASKED)]
            cpu.append((cpu_seconds(service) - before) * 1000 / ASKED)
            median.append(quantiles(taken, n=20)[9])
            worst.append(quantiles(taken, n=20)[18])
    report.add("GET api/gpus, median", "ms", median)
    report.add("GET api/gpus, p95", "ms", worst)
    report.add("the service's CPU meanwhile, each", "ms", cpu)
    with tempfile.TemporaryDirectory() as folder, sampler(Path(folder)) as process:
        report.add("sampler, CPU per second", "ms", [cpu_of(process) for _ in range(rounds)])
    report.notes.append(
        f"{ASKED} requests each, one after the other, over one connection; the sampler over {SECONDS:.0f} s each"
    )
    return report


def fill(client: himalia.Client) -> None:
    """Let a job hold each GPU, and the others wait."""
    jobs = [
        himalia.submit(None, command=["sleep", "3600"], profile="gpu", project="bench", client=client)
        for _ in range(GPUS + WAITING)
    ]
    while len(client.gpus().queue) != WAITING or any(slot.holder is None for slot in client.gpus().slots):
        time.sleep(0.2)
    assert len(jobs) == GPUS + WAITING


@contextmanager
def connection(platform: LivePlatform) -> Iterator[Callable[[], float]]:
    """Give a function that asks once, and returns how many milliseconds it took."""
    token, url = platform.person("ada").token, f"{platform.service_url}/gpus"
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:

        def ask() -> float:
            begun = time.perf_counter()
            answer = http.get(url)
            taken = time.perf_counter() - begun
            assert len(answer.json()["queue"]) == WAITING
            return taken * 1000

        yield ask


@contextmanager
def sampler(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the sampler as the service does, on pretended hardware; give it once it has said something."""
    subprocess.run([*BUILD, "-o", folder / "libnvidia-ml.so.1", *sorted(NVML.glob("*.c")), "-lpthread"], check=True)
    state = folder / "state.json"
    state.write_text(json.dumps({"driver_version": "580.159.03", "gpus": [gpu(number) for number in range(GPUS)]}))
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML_STATE": str(state)}
    command = [sys.executable, "-m", "himalia_gpus.sampler", "--period", "2", "--processes-every", "10"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None and process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert len(first["gpus"]) == len(first["samples"]) == GPUS
        yield process
        process.stdin.close()


def gpu(number: int) -> dict[str, object]:
    """Return a GPU at work, with a process of this machine on it."""
    return {
        "uuid": f"GPU-{number:08x}-0000-0000-0000-000000000000",
        "name": "NVIDIA H200",
        "pci": f"00000000:{number + 0x10:02X}:00.0",
        "memory_total": 141 * GiB,
        "memory_reserved": GiB // 2,
        "memory_used": 70 * GiB,
        "util_gpu": 97,
        "util_mem": 40,
        "temperature": 61,
        "power_mw": 612_500,
        "processes": [{"pid": os.getpid(), "used": 70 * GiB}],
    }


def cpu_of(process: subprocess.Popen[bytes]) -> float:
    """Return how many milliseconds of CPU a process takes in a second, while what it says is read."""
    assert process.stdout is not None
    begun, before = time.monotonic(), cpu_seconds(process.pid)
    while time.monotonic() - begun < SECONDS:
        process.stdout.readline()
    return (cpu_seconds(process.pid) - before) * 1000 / (time.monotonic() - begun)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process with all its threads (`clock_getcpuclockid(3)`), to the nanosecond."""
    return time.clock_gettime(~pid << 3 | 2)


if __name__ == "__main__":
    main(measure, rounds=5)
