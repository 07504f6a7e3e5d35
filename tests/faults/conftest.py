"""Fixtures of the faults.

`own`            a job service of the test's own, which runs: its process can be killed
`small_disk`     a disk of 64 MB, mounted for the test
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from own_service import OwnService


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnService]:
    """A service of the test's own."""
    from own_service import OwnService

    service = OwnService(tmp_path)
    try:
        service.start()
        yield service
    finally:
        service.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
