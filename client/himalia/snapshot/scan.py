"""Walking a directory: files, directories and links; what is left out, and why. Nothing is read, no link is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import LocalError, TooLarge
from ..models import EntryType
from ..settings import home_directories
from ..units import format_size
from .ignore import ALWAYS, Ignore
from .private import suspects

MOST_COUNTED = 20_000  #: entries of a directory that is left out, looked at for its size
DEEPEST = 200
MOST_NAMED = 3


class Found(NamedTuple):
    """One entry that will be sent."""

    path: str
    type: EntryType
    mode: int
    size_bytes: int = 0
    target: str = ""
    state: os.stat_result | None = None  #: of a file, as it was found


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
    entries: tuple[Found, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def file_count(self) -> int:
        """Number of files."""
        return sum(1 for entry in self.entries if entry.type is EntryType.FILE)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size_bytes for entry in self.entries)

    def suspects(self) -> list[str]:
        """Return the files whose names are those of keys and passwords."""
        return suspects(entry.path for entry in self.entries if entry.type is EntryType.FILE)

    def largest(self, count: int = 5) -> list[Found]:
        """Return the largest files."""
        files = (entry for entry in self.entries if entry.type is EntryType.FILE)
        return sorted(files, key=lambda entry: -entry.size_bytes)[:count]


def scan(directory: Path | str, *, most_entries: int | None = None, homes: Iterable[Path] | None = None) -> Scan:
    """Walk a directory; raise LocalError that names what cannot be read, TooLarge when there are more entries than allowed.

    What is private in a home (the person's own, unless others are given) is left out.
    """
    root = Path(directory).expanduser()
    try:
        root = root.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise LocalError(f"{directory} is not there. Write the directory that you want to submit.") from error
    if not root.is_dir():
        raise LocalError(f"{directory} is no directory. Submit the directory that it is in.")
    if root == Path("/"):
        raise LocalError("The root directory cannot be submitted. Go to the directory of your code first.")
    left_out: list[LeftOut] = []
    entries: list[Found] = []
    _Walk(str(root), Ignore(str(root), _resolved(homes)), entries, left_out, most_entries).enter("", 0)
    entries.sort()  # by path: each is there once
    return Scan(root=root, entries=tuple(entries), left_out=tuple(sorted(left_out, key=lambda entry: entry.path)))


def _resolved(homes: Iterable[Path] | None) -> list[str]:
    return [os.path.realpath(home) for home in (home_directories() if homes is None else homes)]


def refuse_too_large(scanned: Scan, most_bytes: int) -> None:
    """Raise TooLarge, which names what is large, when there are more bytes than allowed."""
    if scanned.size_bytes <= most_bytes:
        return
    large: dict[str, int] = {}
    for entry in scanned.entries:
        top, slash, _ = entry.path.partition("/")
        large[top + slash] = large.get(top + slash, 0) + entry.size_bytes
    named = sorted(large.items(), key=lambda pair: -pair[1])[:MOST_NAMED]
    raise TooLarge(
        f"{scanned.root} has {format_size(scanned.size_bytes)}, more than the {format_size(most_bytes)} that can be submitted "
        f"(most of it: {', '.join(f'{name} {format_size(size)}' for name, size in named)}). "
        "Leave data out in .himaliaignore, and keep it in /storage."
    )


@dataclass(frozen=True)
class _Walk:
    """A walk from the root down; what is found is added to the lists."""

    root: str
    ignore: Ignore
    entries: list[Found]
    left_out: list[LeftOut]
    most_entries: int | None

    def enter(self, directory: str, depth: int) -> None:
        """Walk a directory."""
        if depth > DEEPEST:
            raise LocalError(
                f"{directory[:80]}… lies more than {DEEPEST} directories deep. Leave it out in .himaliaignore."
            )
        listed = _listed(self.root, directory)
        self.ignore.enter(directory, {entry.name for entry in listed})
        is_plain = self.ignore.is_plain(directory)
        prefix = f"{directory}/" if directory else ""
        for entry in listed:
            name = entry.name
            path = prefix + name
            state = _look(entry, path)
            if state is None:
                continue
            kind = stat.S_IFMT(state.st_mode)
            if is_plain and kind == stat.S_IFREG and name not in ALWAYS and path.isascii():  # nearly all are so
                self.entries.append(Found(path, EntryType.FILE, state.st_mode & 0o777, state.st_size, "", state))
                continue
            self._take(entry, directory, path, state, depth)
        if self.most_entries is not None and len(self.entries) > self.most_entries:
            raise TooLarge(
                f"{self.root} has more than the {self.most_entries} files and directories that can be submitted. "
                "Leave some out in .himaliaignore, and keep data in /storage."
            )

    def _take(self, entry: os.DirEntry[str], directory: str, path: str, state: os.stat_result, depth: int) -> None:
        is_dir = stat.S_ISDIR(state.st_mode)
        rule = self.ignore.rule_for(directory, entry.name, is_dir=is_dir) or _odd(state.st_mode)
        if rule is not None:
            size, more = _size_of(entry.path) if is_dir else (state.st_size, False)
            self.left_out.append(LeftOut(path=path, size_bytes=size, rule=rule, is_dir=is_dir, at_least=more))
            return
        _must_be_text(path)
        found = _found(entry.path, path, state)
        if found is not None:
            self.entries.append(found)
        if is_dir:
            self.enter(path, depth + 1)


def _listed(root: str, directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, directory)) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []  # it went away between the two looks
    except OSError as error:
        raise _unreadable(directory or ".", error) from error


def _look(entry: os.DirEntry[str], path: str) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _found(full: str, path: str, state: os.stat_result) -> Found | None:
    """Return an entry; None when it is a link that has just gone away."""
    mode = state.st_mode & 0o777
    if stat.S_ISREG(state.st_mode):
        return Found(path, EntryType.FILE, mode, state.st_size, "", state)
    if stat.S_ISDIR(state.st_mode):
        return Found(path=path, type=EntryType.DIR, mode=mode)
    if stat.S_ISLNK(state.st_mode):
        try:
            target = os.readlink(full)
        except OSError:
            return None
        _must_be_text(target, f"{path} leads to a name that is no UTF-8")
        return Found(path=path, type=EntryType.SYMLINK, mode=0o777, target=target)
    return None  # what is no file was left out


def _odd(mode: int) -> str | None:
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
        return None
    names = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    return next((f"it is {name}" for test, name in names if test(mode)), "it is no file")


def _size_of(directory: str) -> tuple[int, bool]:
    """Return the bytes below a directory that is left out, and whether there are more: of a very large one the first are counted."""
    total, seen, waiting = 0, 0, [directory]
    while waiting and seen < MOST_COUNTED:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total, bool(waiting)


def _must_be_text(name: str, what: str = "") -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        what = what or f"The name {name!r} is no UTF-8"
        raise LocalError(f"{what}. Rename it, or leave it out in .himaliaignore.") from error


def _unreadable(path: str, error: OSError) -> LocalError:
    return LocalError(
        f"{path} cannot be read ({error.strerror}). Change its permissions, or leave it out in .himaliaignore."
    )
