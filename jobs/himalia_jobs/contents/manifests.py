"""Checking a manifest as what it is: a stranger's input."""

from __future__ import annotations

import re
from collections.abc import Iterator

from himalia.errors import FieldError, TooLarge
from himalia.models import Entry, EntryType, Manifest
from himalia.snapshot import chunks
from himalia.units import format_size

DIGEST = re.compile(r"[0-9a-f]{64}")
QUOTED_DIGEST = re.compile(rb'"([0-9a-f]{64})"')  #: finds what a kept manifest names as contents, and perhaps more
DEEPEST = 256
LONGEST_PATH_BYTES = 3500  #: with the data directory before it, it must stay below the kernel's 4096
LONGEST_NAME_BYTES = 255
LONGEST_TARGET_BYTES = 4000


def check(manifest: Manifest, *, most_entries: int, most_bytes: int) -> None:
    """Raise FieldError that names the entry, or TooLarge."""
    if manifest.version != 1:
        raise FieldError(
            "manifest", f"Manifests of version {manifest.version} are not known here. Upgrade the service."
        )
    if len(manifest.entries) > most_entries:
        raise TooLarge(f"{len(manifest.entries)} entries are more than the {most_entries} that a workspace may have.")
    if not any(entry.type is not EntryType.DIR for entry in manifest.entries):
        raise FieldError("manifest", "The directory is empty: there is nothing to submit.")
    size = sum(max(0, entry.size_bytes) for entry in manifest.entries)
    if size > most_bytes:
        raise TooLarge(
            f"The workspace has {format_size(size)}, more than the {format_size(most_bytes)} allowed. Leave data out with "
            ".himaliaignore and keep it in /storage."
        )
    kinds: dict[str, EntryType] = {}
    lengths: dict[str, int] = {}
    for entry in manifest.entries:
        _check_path(entry)
        _check_content(entry)
        if entry.path in kinds:
            raise _bad(entry, "is there twice")
        kinds[entry.path] = entry.type
        if any(lengths.setdefault(chunk, length) != length for chunk, length in lengths_of(entry)):
            raise _bad(entry, "has a content that another entry has in another length")
    _check_folders(manifest, kinds, most_entries)


def lengths_of(entry: Entry) -> Iterator[tuple[str, int]]:
    """Yield the digest and the length of each content of an entry."""
    lengths = chunks.lengths_of(entry.size_bytes, len(entry.chunks)) or ()
    yield from zip(entry.chunks, lengths, strict=True)


def _check_folders(manifest: Manifest, kinds: dict[str, EntryType], most_entries: int) -> None:
    """Check what entries lie in: directories, each of which is made and so counts, whether it is an entry or not."""
    seen: set[int] = set()  #: hashes: the paths above a deep one are long, and many
    count = len(kinds)
    for entry in manifest.entries:
        parent = entry.path.rpartition("/")[0]
        while parent and hash(parent) not in seen:
            seen.add(hash(parent))
            if kinds.get(parent, EntryType.DIR) is not EntryType.DIR:
                raise _bad(entry, f"lies below {_shown(parent)}, which is no directory")
            count += parent not in kinds
            parent = parent.rpartition("/")[0]
        if count > most_entries:
            raise TooLarge(f"With the directories that they lie in the entries are more than {most_entries}.")


def _check_path(entry: Entry) -> None:
    parts = entry.path.split("/")
    if "\0" in entry.path:
        raise _bad(entry, "has a NUL character")
    if any(part in ("", ".", "..") for part in parts):
        raise _bad(entry, "is not a plain relative path")
    if len(parts) > DEEPEST:
        raise _bad(entry, f"lies more than {DEEPEST} directories deep")
    encoded = _encoded(entry, entry.path)
    if len(encoded) > LONGEST_PATH_BYTES or any(len(part.encode()) > LONGEST_NAME_BYTES for part in parts):
        raise _bad(entry, "is too long")


def _check_content(entry: Entry) -> None:
    if not 0 <= entry.mode <= 0o777:
        raise _bad(entry, "has mode bits that are not allowed")
    is_file, is_link = entry.type is EntryType.FILE, entry.type is EntryType.SYMLINK
    if entry.size_bytes < 0 or (not is_file and (entry.size_bytes or entry.chunks)):
        raise _bad(entry, "has a size that cannot be")
    fits = not is_file or chunks.lengths_of(entry.size_bytes, len(entry.chunks)) is not None
    if not fits or not all(map(DIGEST.fullmatch, entry.chunks)):
        raise _bad(entry, "has contents that do not fit its size")
    long = len(_encoded(entry, entry.target)) > LONGEST_TARGET_BYTES
    if long or is_link != bool(entry.target) or "\0" in entry.target:
        raise _bad(entry, "has a link target that cannot be")


def _encoded(entry: Entry, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _bad(entry, "is no UTF-8") from error


def _bad(entry: Entry, what: str) -> FieldError:
    return FieldError("manifest", f"The entry {_shown(entry.path)!r} {what}.")


def _shown(path: str) -> str:
    return path if len(path) <= 120 else f"{path[:120]}…"
