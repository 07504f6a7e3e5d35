"""What the service's process may take, and how Python shares it among those who ask."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")

MOST_FILES = 65_536
#: Python's own 5 ms: while a thread reads a long list, each step of a short answer waits so long for it
SWITCH_SECONDS = 0.001
YOUNG, MIDDLE, OLD = 10_000, 20, 20  #: objects made before they are looked through; a long list makes a million

#: glibc's mallopt(3): from this size on memory is the kernel's own, and goes back to it whole. Left to itself glibc raises it
#: with the first block that is freed, and keeps the large blocks of long lists between small things for ever.
MMAP_THRESHOLD, OWN_BYTES = -3, 2 * 1024 * 1024
#: So much may lie free at the end of a place. The bodies of requests come and go there: to have a megabyte from the kernel anew
#: takes a third of a millisecond, ten times as long as to fill it, and all wait meanwhile.
TRIM_THRESHOLD, FREE_BYTES = -1, 4 * 1024 * 1024
RETURN_SECONDS = 1.0  #: between two looks whether the process has grown;
GROWN_BYTES = 8 * 1024 * 1024  #: by less, what lies free is not looked through: others wait for that
BREAK_SECONDS = 0.0001  #: the least that lets others go on
ARENA_MAX, ARENAS = -8, 2  #: places from which threads take memory; each keeps what it had at its most


def allow_many_files() -> None:
    """Have as many connections and files open as this process may: each tab that listens is one, and the usual is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def give_memory_back() -> None:
    """Let very large blocks of memory go back to the machine when they are free, where the C library can."""
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, OWN_BYTES)
        mallopt(TRIM_THRESHOLD, FREE_BYTES)
        mallopt(ARENA_MAX, ARENAS)


def return_free_memory() -> None:
    """Return what lies free between what is used: after a crowd of long bodies that is most of what they took."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(FREE_BYTES)


class FreeMemory:
    """Returns what lies free between what is used, whenever the process has grown."""

    def __init__(self) -> None:
        self._least = 0  #: of memory that the process had since it was last looked through
        self._grew = False

    def look(self) -> None:
        """Return it, where the process has grown; else this takes a hundredth of a millisecond."""
        resident = resident_bytes()
        grew, self._grew = self._grew, resident > self._least + GROWN_BYTES
        if grew or self._grew:  # once more a moment later: some of it was still used
            return_free_memory()
            self._least = resident_bytes()
        self._least = min(self._least, resident)


def resident_bytes() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def answer_soon() -> None:
    """Let threads take short turns, and look for garbage less often: both keep a short answer waiting."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def keep_what_is_there() -> None:
    """Look no more through what was loaded at the start: it stays."""
    gc.collect()
    gc.freeze()


def with_breaks(items: Iterable[Item], every: int) -> Iterator[Item]:
    """Yield what a thread goes through, with a break after each so many, in which others can have Python's lock.

    The event loop gives that lock away with everything it reads or sends, several times for each short answer. A thread that
    is always at work keeps it for a millisecond each time; one that has breaks, no longer than to its next break.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            time.sleep(BREAK_SECONDS)
