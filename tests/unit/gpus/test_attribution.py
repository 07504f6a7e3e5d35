"""From a process id to its container, its user and its command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from himalia_gpus.attribution import attributed, container_of
from himalia_gpus.readings import GPUProcess

A, B = "a" * 64, "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("cgroups", "container"),
    [
        (f"12:devices:/docker/{A}\n11:cpu:/docker/{A}\n", A),
        (f"0::/system.slice/docker-{A}.scope", A),
        (f"0::/system.slice/docker-{A}.scope/kernel.slice", A),
        (f"5:devices:/docker/{A}/docker/{B}\n1:name=systemd:/docker/{A}\n", B),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{B}.scope", B),
        (f"0::/user.slice/libpod-{B}.scope", B),
        ("0::/user.slice/user-1000.slice/session-1.scope", ""),
        ("12:devices:/\n0::/\n", ""),
        (f"0::/docker/{A}0", ""),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_the_innermost_container_is_found_in_every_form_of_cgroup(cgroups: str, container: str) -> None:
    assert container_of(cgroups) == container


def test_a_process_is_told_with_its_user_and_its_command(tmp_path: Path) -> None:
    own = tmp_path / "4242"
    own.mkdir()
    (own / "cgroup").write_text(f"0::/system.slice/docker-{A}.scope\n")
    (own / "cmdline").write_bytes(b"python3\0train.py\0" + b"x" * 200)
    (own / "comm").write_text("python3\n")

    told = attributed(GPUProcess(pid=4242, memory_bytes=7), tmp_path)

    assert (told.container, told.gone, told.memory_bytes) == (A, False, 7)
    assert told.command.startswith("python3 train.py xxx")
    assert len(told.command) == 80
    assert told.user


def test_a_kernel_thread_has_its_name_for_a_command(tmp_path: Path) -> None:
    own = tmp_path / "2"
    own.mkdir()
    for name, text in (("cgroup", "0::/\n"), ("cmdline", ""), ("comm", "kthreadd\n")):
        (own / name).write_text(text)

    assert attributed(GPUProcess(pid=2), tmp_path).command == "kthreadd"


def test_a_process_that_has_ended_is_gone(tmp_path: Path) -> None:
    assert attributed(GPUProcess(pid=1), tmp_path).gone


def test_the_sampler_tells_whose_the_real_processes_on_a_gpu_are(nvml: Any, start_sampler: Callable[..., Any]) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    nvml.set(nvml.gpu(0, processes=[{"pid": sleeper.pid, "used": 1}, {"pid": os.getpid(), "used": 2, "type": "G"}]))

    found = start_sampler().line().samples[0].processes
    sleeper.communicate()

    assert [(process.pid, process.graphics, process.gone) for process in found] == [
        (sleeper.pid, False, False),
        (os.getpid(), True, False),
    ]
    assert "sys.stdin.read()" in found[0].command
