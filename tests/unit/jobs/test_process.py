"""What the service's process takes of the machine, seen in a process of its own."""

from __future__ import annotations

import subprocess
import sys

SEEN = """
import gc, resource, sys
from himalia_jobs import process
process.allow_many_files(); process.answer_soon(); process.keep_what_is_there()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), sys.getswitchinterval() < 0.005, gc.get_freeze_count() > 0)
"""


def seen(limits: str) -> list[str]:
    """Return what a process has that began with these limits."""
    command = ["prlimit", f"--nofile={limits}", sys.executable, "-c", SEEN]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_as_many_files_are_opened_as_the_machine_lets_the_process_open():
    assert seen("1024:4096") == ["4096", "4096", "True", "True"]
    assert seen("512:512")[:2] == ["512", "512"]
