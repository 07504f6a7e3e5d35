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


#: Nearly all paths are so: plain ASCII, relative, no name or number of names too long.
PLAIN_PATH = re.compile(
    rf"(?:(?!\.\.?/)[\x01-.0-\x7f]{{1,{LONGEST_NAME_BYTES}}}/){{0,{DEEPEST - 1}}}(?!\.\.?\Z)[\x01-.0-\x7f]{{1,{LONGEST_NAME_BYTES}}}"
)


def check(manifest: Manifest, *, most_entries: int, most_bytes: int) -> dict[str, int]:
    """Return the length of each content; raise FieldError that names the entry, or TooLarge."""
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
        path = entry.path
        if not (len(path) <= LONGEST_PATH_BYTES and PLAIN_PATH.fullmatch(path)):
            _check_path(entry)
        own = _check_content(entry)
        if path in kinds:
            raise _bad(entry, "is there twice")
        kinds[path] = entry.type
        for chunk, length in zip(entry.chunks, own, strict=True):
            if lengths.setdefault(chunk, length) != length:
                raise _bad(entry, "has a content that another entry has in another length")
    _check_folders(manifest, kinds, most_entries)
    return lengths


def lengths_of(entry: Entry) -> Iterator[tuple[str, int]]:
    """Yield the digest and the length of each content of an entry."""
    lengths = chunks.lengths_of(entry.size_bytes, len(entry.chunks)) or ()
    yield from zip(entry.chunks, lengths, strict=True)


def _check_folders(manifest: Manifest, kinds: dict[str, EntryType], most_entries: int) -> None:
    """Check what entries lie in: directories, each of which is made and so counts, whether it is an entry or not."""
    seen: set[int] = set()  #: hashes: the paths above a deep one are long, and many
    count = len(kinds)
    above = ""
    for entry in manifest.entries:
        parent = entry.path.rpartition("/")[0]
        if parent == above:
            continue  # as in most entries: what they lie in was looked at for the one before
        above = parent
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


def _check_content(entry: Entry) -> tuple[int, ...]:
    """Check what an entry has in it; return the length of each content."""
    kind, size, digests, target = entry.type, entry.size_bytes, entry.chunks, entry.target
    if not 0 <= entry.mode <= 0o777:
        raise _bad(entry, "has mode bits that are not allowed")
    is_file = kind is EntryType.FILE
    if size < 0 or (not is_file and (size or digests)):
        raise _bad(entry, "has a size that cannot be")
    own = chunks.lengths_of(size, len(digests)) if is_file else ()
    if own is None or not all(map(DIGEST.fullmatch, digests)):
        raise _bad(entry, "has contents that do not fit its size")
    if (kind is EntryType.SYMLINK) != bool(target) or (target and _is_no_target(entry)):
        raise _bad(entry, "has a link target that cannot be")
    return own


def _is_no_target(entry: Entry) -> bool:
    return len(_encoded(entry, entry.target)) > LONGEST_TARGET_BYTES or "\0" in entry.target


def _encoded(entry: Entry, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _bad(entry, "is no UTF-8") from error


def _bad(entry: Entry, what: str) -> FieldError:
    return FieldError("manifest", f"The entry {_shown(entry.path)!r} {what}.")


def _shown(path: str) -> str:
    return path if len(path) <= 120 else f"{path[:120]}…"
