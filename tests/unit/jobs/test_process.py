"""What the service's process takes of the machine, seen in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from himalia_jobs import process

#: Blocks, freed but for what was made between them: left to itself the C library keeps nearly all of them.
FREED = """
import sys
from pathlib import Path
from himalia_jobs import process
size, returns, tuned = int(sys.argv[1]), "returns" in sys.argv, "tuned" in sys.argv
if tuned:
    process.give_memory_back()
bytearray(size)  # from the first that is freed on, glibc would keep blocks of this size
free, kept = process.FreeMemory(), []
free.look()
before = process.resident_bytes()
blocks = []
for _ in range(100):
    blocks.append(bytearray(b"x") * size)
    kept.append([bytes(300) for _ in range(100)])
del blocks
if returns:
    free.look()
print(process.resident_bytes() - before < 20_000_000)
"""

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


def test_what_is_gone_through_with_breaks_is_all_there_and_others_have_their_turns(monkeypatch):
    breaks: list[float] = []
    monkeypatch.setattr(process.time, "sleep", breaks.append)

    assert list(process.with_breaks(iter("abcdefg"), 3)) == list("abcdefg")
    assert breaks == [process.BREAK_SECONDS] * 2


def test_as_many_files_are_opened_as_the_machine_lets_the_process_open():
    assert seen("1024:4096") == ["4096", "4096", "True", "True"]
    assert seen("512:512")[:2] == ["512", "512"]


@pytest.mark.parametrize(
    ("size", "told", "goes"),
    [
        (3_000_000, ["tuned"], True),
        (3_000_000, [], False),
        (1_000_000, ["tuned", "returns"], True),
        (1_000_000, ["tuned"], False),
    ],
    ids=["very large", "very large, as glibc has it", "large", "large, and nobody looks"],
)
def test_large_blocks_go_back_to_the_machine_when_they_are_free(size, told, goes):
    command = [sys.executable, "-c", FREED, str(size), *told]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert done.stdout.split() == [str(goes)]
