"""Walking a directory: files, directories and links; what is left out, and why. Nothing is read, no link is followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ..errors import LocalError, TooLarge
from ..models import EntryType
from ..settings import home_directories
from ..units import format_size
from .found import FIELDS, Files, Found, LeftOut, Scan, numbers
from .ignore import ALWAYS, Ignore

MOST_COUNTED = 20_000  #: entries of a directory that is left out, looked at for its size
DEEPEST = 200
MOST_NAMED = 3
KIND, FILE = 0o170000, 0o100000  #: of a mode, as numbers: asked for each file
NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP})


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
    walk = _Walk(str(root), Ignore(str(root), _resolved(homes)), most_entries)
    walk.enter("", 0)
    left_out = sorted(walk.left_out, key=lambda entry: entry.path)
    return Scan(root=root, files=tuple(walk.files), others=tuple(walk.others), left_out=tuple(left_out))


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


class _Walk:
    """A walk from the root down; what is found is added to the lists."""

    def __init__(self, root: str, ignore: Ignore, most_entries: int | None) -> None:
        self.files: list[Files] = []
        self.others: list[Found] = []
        self.left_out: list[LeftOut] = []
        self._root = root
        self._ignore = ignore
        self._most_entries = most_entries
        self._count = 0

    def enter(self, directory: str, depth: int) -> None:
        """Walk a directory."""
        if depth > DEEPEST:
            raise LocalError(
                f"{directory[:80]}… lies more than {DEEPEST} directories deep. Leave it out in .himaliaignore."
            )
        full = f"{self._root}/{directory}" if directory else self._root
        descriptor = _opened(full, directory)
        if descriptor is None:
            return
        try:
            inner = self._look_over(descriptor, directory, full)
        finally:
            os.close(descriptor)
        for name in inner:
            self.enter(name, depth + 1)

    def _look_over(self, descriptor: int, directory: str, full: str) -> list[str]:
        """Take what lies in an open directory; return the directories in it that are sent."""
        with os.scandir(descriptor) as found:  # each is looked at by its name alone: the way to it is not gone again
            listed = list(found)
        there = {entry.name for entry in listed}
        self._ignore.enter(directory, there)
        # Nearly all directories are so: of a file in them its kind decides.
        is_plain = self._ignore.is_plain(directory) and ALWAYS.isdisjoint(there) and "".join(there).isascii()
        prefix = f"{directory}/" if directory else ""
        names: list[str] = []
        states: list[int] = []
        inner: list[str] = []
        for entry in listed:
            try:
                state = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unreadable(prefix + entry.name, error) from error
            kind = state.st_mode & KIND
            if not (is_plain and kind == FILE) and not self._takes(entry.name, directory, full, state):
                continue
            if kind == FILE:
                names.append(entry.name)
                states += FIELDS(state)
            elif kind == stat.S_IFDIR:
                inner.append(prefix + entry.name)
        if names:
            self.files.append(Files(directory, names, numbers(states)))
        self._count += len(names)
        if self._most_entries is not None and self._count + len(self.others) > self._most_entries:
            raise TooLarge(
                f"{self._root} has more than the {self._most_entries} files and directories that can be submitted. "
                "Leave some out in .himaliaignore, and keep data in /storage."
            )
        return inner

    def _takes(self, name: str, directory: str, full: str, state: os.stat_result) -> bool:
        """Tell whether an entry is sent, by its name and kind; what is no file is noted."""
        is_dir = stat.S_ISDIR(state.st_mode)
        path = f"{directory}/{name}" if directory else name
        rule = self._ignore.rule_for(directory, name, is_dir=is_dir) or _odd(state.st_mode)
        if rule is not None:
            size, more = _size_of(f"{full}/{name}") if is_dir else (state.st_size, False)
            self.left_out.append(LeftOut(path=path, size_bytes=size, rule=rule, is_dir=is_dir, at_least=more))
            return False
        _must_be_text(path)
        if is_dir:
            self.others.append(Found(path, EntryType.DIR, state.st_mode & 0o777))
        elif stat.S_ISLNK(state.st_mode):
            self._note_link(path, f"{full}/{name}")
        return True

    def _note_link(self, path: str, full: str) -> None:
        try:
            target = os.readlink(full)
        except OSError:
            return  # it has just gone away
        _must_be_text(target, f"{path} leads to a name that is no UTF-8")
        self.others.append(Found(path, EntryType.SYMLINK, 0o777, target=target))


def _opened(full: str, directory: str) -> int | None:
    """Open a directory, and nothing that a link leads to; None when it went away between the two looks."""
    try:
        return os.open(full, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in NO_DIRECTORY:
            raise LocalError(f"{directory} became something else while it was read. Submit again.") from error
        raise _unreadable(directory or ".", error) from error


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
