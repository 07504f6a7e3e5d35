"""What a walk found. Of most files nothing is ever asked but whether they are as they were: they are kept as numbers, by directory."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import NamedTuple

from ..models import EntryType
from .private import suspects

FIELDS = attrgetter("st_mode", "st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
FIELD_COUNT = 6
SIZE = 3  #: the place of a file's size among them


class State(NamedTuple):
    """A file's state, as signed numbers of 64 bits: nobody writes to a file without changing one of them."""

    mode: int
    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, state: os.stat_result) -> State:
        """Return the state that the system tells."""
        return cls(*numbers(FIELDS(state)))


def numbers(values: Iterable[int]) -> array[int]:
    """Return numbers in as little room as they need; those of 64 bits without a sign get one."""
    values = tuple(values)
    try:
        return array("q", values)
    except OverflowError:  # inodes of some file systems
        return array("q", [(value + 2**63) % 2**64 - 2**63 for value in values])


class Found(NamedTuple):
    """One entry that will be sent."""

    path: str
    type: EntryType
    mode: int
    size_bytes: int = 0
    target: str = ""
    state: State | None = None  #: of a file, as it was found


class Files(NamedTuple):
    """The files of one directory that will be sent."""

    directory: str  #: relative; empty for the root
    names: list[str]
    states: array[int]  #: FIELD_COUNT numbers for each name

    def paths(self) -> list[str]:
        """Return their paths."""
        return [f"{self.directory}/{name}" for name in self.names] if self.directory else self.names

    def entries(self) -> Iterator[Found]:
        """Yield each as an entry."""
        states = map(State._make, zip(*[iter(self.states)] * FIELD_COUNT, strict=True))
        for path, state in zip(self.paths(), states, strict=True):
            yield Found(path, EntryType.FILE, state.mode & 0o777, state.size_bytes, "", state)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Something that will not be sent, and the rule that says so."""

    path: str
    size_bytes: int
    rule: str
    is_dir: bool = False
    at_least: bool = False  #: too many entries to count: it has more bytes than are told


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What is in a directory."""

    root: Path
    files: tuple[Files, ...] = ()
    others: tuple[Found, ...] = ()  #: directories and links; files too where nobody looked at their state
    left_out: tuple[LeftOut, ...] = ()

    @cached_property
    def entries(self) -> tuple[Found, ...]:
        """All that will be sent, by path; put together when it is asked for."""
        found = [*self.others, *(entry for files in self.files for entry in files.entries())]
        return tuple(sorted(found, key=itemgetter(0)))

    @property
    def entry_count(self) -> int:
        """Number of entries."""
        return sum(len(files.names) for files in self.files) + len(self.others)

    @property
    def file_count(self) -> int:
        """Number of files."""
        return sum(len(files.names) for files in self.files) + len(self._other_files())

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(sum(files.states[SIZE::FIELD_COUNT]) for files in self.files) + sum(
            entry.size_bytes for entry in self.others
        )

    @property
    def has_only_directories(self) -> bool:
        """Whether nothing but directories would be sent."""
        return not self.file_count and all(entry.type is EntryType.DIR for entry in self.others)

    def suspects(self) -> list[str]:
        """Return the files whose names are those of keys and passwords."""
        return sorted(
            suspects(
                [
                    *(path for files in self.files for path in files.paths()),
                    *(entry.path for entry in self._other_files()),
                ]
            )
        )

    def largest(self, count: int = 5) -> list[Found]:
        """Return the largest files."""
        files = (entry for entry in self.entries if entry.type is EntryType.FILE)
        return sorted(files, key=lambda entry: -entry.size_bytes)[:count]

    def _other_files(self) -> list[Found]:
        return [entry for entry in self.others if entry.type is EntryType.FILE]
