"""Pretended NVIDIA hardware: a libnvidia-ml.so.1 made from tests/fakes/nvml, and its state, which a test sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from himalia.units import GiB

FAKE = Path(__file__).parents[1] / "fakes" / "nvml"


class Hardware:
    """Pretended hardware: what it is, and how programs are run on it."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.state = folder / "state.json"
        self.log = folder / "calls.log"
        self.environment = {
            **os.environ,
            "LD_LIBRARY_PATH": str(library),
            "FAKE_NVML_STATE": str(self.state),
            "FAKE_NVML_LOG": str(self.log),
        }

    @staticmethod
    def gpu(number: int, **more: Any) -> dict[str, Any]:
        """Return the state of a GPU as tests want it most: an idle H200."""
        return {
            "uuid": f"GPU-{number:08x}-0000-0000-0000-000000000000",
            "name": "NVIDIA H200",
            "pci": f"00000000:{number + 0x10:02X}:00.0",
            "memory_total": 141 * GiB,
            "memory_reserved": GiB // 2,
            "util_gpu": 0,
            "util_mem": 0,
            "temperature": 30,
            "power_mw": 75_500,
            **more,
        }

    def set(self, *gpus: dict[str, Any], **more: Any) -> None:
        """Change the hardware at once, under whoever looks at it."""
        draft = self.state.with_suffix(".draft")
        draft.write_text(json.dumps({"driver_version": "580.159.03", "gpus": list(gpus), **more}))
        draft.replace(self.state)

    def run(self, code: str, **environment: str) -> Any:
        """Run Python with the unmodified pynvml; return what its `answer` is."""
        lines = ("import json, sys", "from pynvml import *", textwrap.dedent(code), "print(json.dumps(answer))")
        ended = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def calls(self) -> list[str]:
        """Return the functions that were called, in order."""
        return [line.split()[1] for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the library once."""
    folder = tmp_path_factory.mktemp("nvml")
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden"]
    name = ["-Wl,-soname,libnvidia-ml.so.1", "-o", str(folder / "libnvidia-ml.so.1")]
    subprocess.run(["gcc", *flags, *name, *map(str, sorted(FAKE.glob("*.c"))), "-lpthread"], check=True)
    return folder


@pytest.fixture
def nvml(nvml_library: Path, tmp_path: Path) -> Hardware:
    """Give the test hardware of its own: none until it is set."""
    return Hardware(nvml_library, tmp_path)
