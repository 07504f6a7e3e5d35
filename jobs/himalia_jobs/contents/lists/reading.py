"""From a request's body to a list that was checked: plain functions, the same in the service and in its process for long lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from himalia.errors import HimaliaError, TooLarge
from himalia.models import Entry, Manifest, SnapshotRequest
from himalia.snapshot.pack import manifest_digest

from ...strict_json import Plain, read_as
from ..manifests import check, lengths_of
from ..recent import MOST_CONTENTS

VALUES_OF_A_LIST = 4  #: an entry has one list and is one object, and far more values; names may have brackets as well
ENTRIES_AT_ONCE = 200
ENTRIES = TypeAdapter(list[Entry])


@dataclass(frozen=True, kw_only=True)
class CheckedList:
    """A manifest that may be kept, and what is needed of it: a list that is long is not read again."""

    digest: str
    file_count: int
    size_bytes: int
    text: bytes  #: the manifest, as it is kept
    lengths: Mapping[str, int] | None  #: of each content; none where there are too many to be remembered


@dataclass(frozen=True, kw_only=True)
class ReadList:
    """A request's body. What is wrong with the list itself is said only to somebody who may send it for this owner."""

    owner: str
    digest: str | None  #: in the place of a list
    listed: CheckedList | HimaliaError | None

    def checked(self) -> CheckedList | None:
        """Return the list, if there is one; raise what is wrong with it."""
        if isinstance(self.listed, HimaliaError):
            raise self.listed
        return self.listed


def read_list(body: bytes | bytearray, *, most_values: int, most_entries: int, most_bytes: int) -> ReadList:
    """Return what a request says and whether its list may be kept; raise TooLarge, Unparsable or FieldError.

    Values take far more memory than bytes of the body, and are counted before it is read as JSON.
    """
    lists = max(body.count(b"["), body.count(b"{"))
    if max(body.count(b","), VALUES_OF_A_LIST * lists) > most_values:
        raise TooLarge("The list of files has more values than a list of so many files can have.")
    request = read_as(SnapshotRequest, body, _entries_ahead)
    listed: CheckedList | HimaliaError | None = None
    if request.manifest is not None:
        try:
            listed = checked_list(request.manifest, most_entries=most_entries, most_bytes=most_bytes)
        except HimaliaError as error:
            listed = error
    return ReadList(owner=request.owner, digest=request.digest, listed=listed)


def checked_list(manifest: Manifest, *, most_entries: int, most_bytes: int) -> CheckedList:
    """Check a manifest; raise FieldError or TooLarge."""
    lengths = check(manifest, most_entries=most_entries, most_bytes=most_bytes)
    files = [entry for entry in manifest.entries if entry.chunks or entry.type == "file"]
    return CheckedList(
        digest=manifest_digest(manifest),
        file_count=len(files),
        size_bytes=sum(entry.size_bytes for entry in files),
        text=manifest.model_dump_json().encode(),
        lengths=lengths if len(lengths) <= MOST_CONTENTS else None,
    )


def kept_lengths(file: Path) -> dict[str, int]:
    """Return the length of each content of a manifest that was kept; raise FileNotFoundError."""
    entries = Manifest.model_validate_json(file.read_bytes()).entries
    return {chunk: length for entry in entries for chunk, length in lengths_of(entry)}


def _entries_ahead(plain: Plain) -> Plain:
    """Read the entries of a manifest some at a time; the first that are wrong are left for the model to name."""
    manifest = plain.get("manifest")
    entries = manifest.get("entries") if isinstance(manifest, dict) else None
    if isinstance(entries, list):
        for at in range(0, len(entries), ENTRIES_AT_ONCE):
            try:
                entries[at : at + ENTRIES_AT_ONCE] = ENTRIES.validate_python(entries[at : at + ENTRIES_AT_ONCE])
            except ValidationError:
                del entries[at + ENTRIES_AT_ONCE :]
                break
    return plain
