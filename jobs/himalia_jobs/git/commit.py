"""The files of a commit, read through a pipe: names and sizes are looked at before a byte of them is taken."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from himalia.errors import FieldError, TooLarge
from himalia.git.address import FIELD
from himalia.models import EntryType
from himalia.site import Limits
from himalia.snapshot import Scan
from himalia.snapshot.found import Found
from himalia.units import format_size

from ..contents.manifests import DEEPEST, LONGEST_NAME_BYTES, LONGEST_PATH_BYTES, LONGEST_TARGET_BYTES
from .cage import Cage

LINE = re.compile(rb"(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t(.+)", re.DOTALL)
LONGEST_LINE = 64 * 1024
BLOCK_BYTES = 1024 * 1024
LFS = b"version https://git-lfs.github.com/spec/v1"
LARGEST_POINTER = 1024
EXECUTABLE, SUBMODULE, LINK = "100755", "160000", "120000"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A line of a commit's tree."""

    mode: str
    object_id: str
    size_bytes: int  #: 0 for a submodule
    path: str


def items_of(cage: Cage, commit: str, below: str, limits: Limits) -> list[Item]:
    """Return what is in a commit, its paths below a directory; raise FieldError or TooLarge."""
    items: list[Item] = []
    total = 0
    with cage.running("ls-tree", "-r", "-l", "-z", "--full-tree", commit) as process:
        assert process.stdout is not None
        for line in _records(process.stdout):
            item = _item(line, below)
            items.append(item)
            total += item.size_bytes
            if len(items) > limits.entries:
                raise TooLarge(f"The repository has more than the {limits.entries} files that a workspace may have.")
            if total > limits.workspace:
                raise TooLarge(
                    f"The repository's files have more than the {format_size(limits.workspace)} that a workspace may have. "
                    "Clone it, and submit the part that you need."
                )
    return items


def lay_out(cage: Cage, items: Sequence[Item], folder: Path) -> tuple[Scan, int]:
    """Write the files of a commit below a new directory; return what is there, and how many are only pointers of Git LFS.

    Links are not made there: their targets are read, and go into the snapshot as they are.
    """
    check_paths(items)
    folder.mkdir(mode=0o700)
    found: list[Found] = []
    pointers = 0
    with cage.running("cat-file", "--batch", asks=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for directory in _directories(items):
            (folder / directory).mkdir()
            found.append(Found(path=directory, type=EntryType.DIR, mode=0o755))
        for item in items:
            if item.mode == SUBMODULE:
                continue
            if item.mode == LINK and item.size_bytes > LONGEST_TARGET_BYTES:
                raise _bad(item.path, "a link that cannot be")
            blocks = _content(item, process.stdin, process.stdout)
            if item.mode == LINK:
                found.append(_link(item, b"".join(blocks)))
            else:
                pointers += _write(folder / item.path, item, blocks)
                mode = 0o755 if item.mode == EXECUTABLE else 0o644
                found.append(Found(path=item.path, type=EntryType.FILE, mode=mode, size_bytes=item.size_bytes))
    return Scan(root=folder, others=tuple(found)), pointers


def check_paths(items: Sequence[Item]) -> None:
    """Raise FieldError for paths that lead out, or that cannot be side by side."""
    kinds: dict[str, bool] = {}
    for item in items:
        steps = item.path.split("/")
        if any(step in ("", ".", "..") or step.lower() == ".git" for step in steps):
            raise _bad(item.path, "a path that leads elsewhere")
        encoded = item.path.encode()
        if len(steps) > DEEPEST or len(encoded) > LONGEST_PATH_BYTES:
            raise _bad(item.path, "too long a path")
        if any(len(step.encode()) > LONGEST_NAME_BYTES for step in steps):
            raise _bad(item.path, "too long a name")
        if item.path in kinds:
            raise _bad(item.path, "a path that is there twice")
        kinds[item.path] = item.mode == SUBMODULE
    for item in items:
        parent = item.path.rpartition("/")[0]
        while parent:
            if not kinds.get(parent, True):
                raise _bad(item.path, "a path below a file")
            parent = parent.rpartition("/")[0]


def _records(pipe: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while block := pipe.read(LONGEST_LINE):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
        if len(rest) > LONGEST_LINE:
            raise _bad(repr(rest[:100]), "too long a path")


def _item(line: bytes, below: str) -> Item:
    match = LINE.fullmatch(line)
    if match is None:
        raise FieldError(FIELD, "The repository has a tree that cannot be read.")
    mode, _, object_id, size, name = match.groups()
    try:
        path = name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(repr(name), "a name that is no UTF-8") from error
    return Item(
        mode=mode.decode(),
        object_id=object_id.decode(),
        size_bytes=0 if size == b"-" else int(size),
        path=f"{below}/{path}" if below else path,
    )


def _directories(items: Sequence[Item]) -> list[str]:
    """Return all directories, parents first."""
    found: set[str] = set()
    for item in items:
        parent = item.path if item.mode == SUBMODULE else item.path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return sorted(found)


def _content(item: Item, asked: IO[bytes], answered: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    asked.write(f"{item.object_id}\n".encode())
    asked.flush()
    head = answered.readline(200).split()
    if head[1:] != [b"blob", str(item.size_bytes).encode()]:
        raise _bad(item.path, "a content that is not there")
    left = item.size_bytes
    while left:
        block = answered.read(min(BLOCK_BYTES, left))
        if not block:
            raise _bad(item.path, "a content that is not there")
        left -= len(block)
        yield block
    answered.read(1)


def _link(item: Item, target: bytes) -> Found:
    try:
        text = target.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(item.path, "a link to a name that is no UTF-8") from error
    if not text or "\0" in text:
        raise _bad(item.path, "a link that cannot be")
    return Found(path=item.path, type=EntryType.SYMLINK, mode=0o777, target=text)


def _write(file: Path, item: Item, blocks: Iterator[bytes]) -> bool:
    """Write a file; tell whether it is only a pointer of Git LFS."""
    first = b""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        for block in blocks:
            first = first or block[: len(LFS)]
            out.write(block)
    return first == LFS and item.size_bytes <= LARGEST_POINTER


def _bad(path: str, what: str) -> FieldError:
    shown = "".join(letter for letter in path[:120] if letter.isprintable())
    return FieldError(FIELD, f"The repository has {what}: {shown!r}. It cannot be a workspace.")
