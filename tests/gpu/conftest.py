"""Fixtures for tests on a real NVIDIA GPU. They read, and change no setting.

They need pytest, pydantic and nvidia-ml-py alone, so that they run on a machine with nothing else:
`PYTHONPATH=client:gpus python -m pytest -c tests/gpu/bare.ini tests/gpu`
"""

from __future__ import annotations

import re
import subprocess

import pytest

from himalia_gpus.inventory import ProbedInventory
from himalia_gpus.readings import Reading


@pytest.fixture(scope="session")
def reading() -> Reading:
    """Return what the probe reads here; a machine without a GPU fails, for these tests mean nothing there."""
    found = ProbedInventory(timeout_seconds=120).read()
    assert found.gpus, found.note
    return found


@pytest.fixture(scope="session")
def listed() -> dict[str, str]:
    """Return UUID and name of each GPU as nvidia-smi lists them."""
    lines = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=120).stdout
    return {uuid: name for name, uuid in re.findall(r"^GPU \d+: (.+) \(UUID: (GPU-[0-9a-f-]+)\)", lines, re.MULTILINE)}
