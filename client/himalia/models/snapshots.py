"""Snapshots: a manifest lists entries; each file is a list of chunks named by their BLAKE3 digest."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .base import Answer, Request


class EntryType(StrEnum):
    """What an entry is; nothing else is sent."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"


class Entry(Request):
    """One file, directory or symbolic link, by its path relative to the workspace ('/' between parts)."""

    path: str
    type: EntryType
    mode: int = 0o644  #: permission bits, 0o777 at most
    size_bytes: int = 0  #: of a file
    chunks: tuple[str, ...] = ()  #: of a file: 64 hex digits each, in order; none for an empty file
    target: str = ""  #: of a symlink: kept as data, never followed


class Manifest(Request):
    """All entries of a workspace, sorted by path; its digest names the snapshot."""

    version: int = 1
    entries: tuple[Entry, ...]


class SnapshotRequest(Request):
    """`POST api/snapshots`: which of these contents does the service lack from this owner?

    With a digest alone: does it have all of the snapshot of that name? If so it is committed; else there is no such snapshot.
    """

    owner: str = Field(max_length=300)
    manifest: Manifest | None = None
    digest: str | None = Field(None, max_length=64)  #: in the place of a manifest


class SnapshotView(Answer):
    """A snapshot: open until its contents are there and it is committed."""

    id: str
    owner: str
    digest: str
    committed: bool
    missing: tuple[str, ...] = ()
    file_count: int
    size_bytes: int
    squeeze: bool = False  #: whether a pack had better be squeezed: its way here is slow
    upload_url: str | None = None  #: where packs are sent, in the place of this API's address: past the proxy
