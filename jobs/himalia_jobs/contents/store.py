"""Contents, manifests and trees of all owners, as plain files. An owner never learns of another's contents."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from himalia.errors import NotFound
from himalia.ids import is_id
from himalia.models import Manifest
from himalia.site import Limits
from himalia.snapshot.pack import manifest_digest

from ..engines.hostile import open_regular
from .files import for_people, write_whole
from .manifests import DIGEST, check, lengths_of
from .receiver import PackReceiver
from .trees import make_tree

LOCKS = 16
DRAFTS = ".drafts"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A manifest that was checked and kept."""

    digest: str
    file_count: int
    size_bytes: int


class ContentStore:
    """`blobs/OWNER/aa/DIGEST`, `snapshots/OWNER/DIGEST/{manifest.json,tree}`; OWNER is an internal id.

    What is not whole yet lies in `blobs/.drafts` and `snapshots/.drafts`, and is renamed to its place.
    """

    def __init__(self, data: Path, limits: Limits | None = None) -> None:
        self._blobs = data / "blobs"
        self._snapshots = data / "snapshots"
        self._limits = limits or Limits()
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    def tidy(self) -> None:
        """Remove what an earlier run left half written; call it before anything is taken in."""
        for folder in (self._blobs, self._snapshots):
            shutil.rmtree(folder / DRAFTS, ignore_errors=True)

    def accept(self, owner_id: str, manifest: Manifest) -> Accepted:
        """Check a manifest and keep it; raise FieldError or TooLarge."""
        check(manifest, most_entries=self._limits.entries, most_bytes=self._limits.workspace)
        digest = manifest_digest(manifest)
        file = self._snapshot(owner_id, digest) / "manifest.json"
        if not file.exists():
            write_whole(file, manifest.model_dump_json().encode(), self._snapshots / DRAFTS)
        files = [entry for entry in manifest.entries if entry.chunks or entry.type == "file"]
        return Accepted(digest=digest, file_count=len(files), size_bytes=sum(entry.size_bytes for entry in files))

    def missing_of(self, owner_id: str, digest: str) -> list[str]:
        """Return the contents of a snapshot that this owner has not sent yet."""
        return self.missing(owner_id, self._lengths(owner_id, digest))

    def missing(self, owner_id: str, digests: Collection[str]) -> list[str]:
        """Return those of the digests that this owner has not sent."""
        blobs = self._owner_blobs(owner_id)
        return [digest for digest in digests if not os.path.exists(f"{blobs}/{digest[:2]}/{digest}")]

    def receive(self, owner_id: str, digest: str) -> PackReceiver:
        """Return what takes in a pack with contents of this snapshot.

        What came meanwhile by another upload (of a sender that was cut off, or of the same files twice) may come again.
        """
        return PackReceiver(self._owner_blobs(owner_id), self._blobs / DRAFTS, self._lengths(owner_id, digest))

    def materialize(self, owner_id: str, digest: str) -> Path:
        """Return the directory with a snapshot's files; it is made when it is first needed."""
        tree = self._snapshot(owner_id, digest) / "tree"
        with self._locks[hash((owner_id, digest)) % LOCKS]:
            if not tree.is_dir():
                manifest = self._manifest(owner_id, digest)
                make_tree(manifest, self._owner_blobs(owner_id), tree, self._snapshots / DRAFTS)
        return tree

    def open_file(self, owner_id: str, digest: str, path: str) -> int:
        """Return a descriptor of a submitted file; raise FileNotFoundError for all else, DiskFull when it cannot be laid out."""
        try:
            tree = self.materialize(owner_id, digest)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise for_people(error) from error
        return open_regular(tree, path)

    def _lengths(self, owner_id: str, digest: str) -> dict[str, int]:
        """Return the length of each content of a snapshot."""
        entries = self._manifest(owner_id, digest).entries
        return {chunk: length for entry in entries for chunk, length in lengths_of(entry)}

    def _manifest(self, owner_id: str, digest: str) -> Manifest:
        try:
            return Manifest.model_validate_json((self._snapshot(owner_id, digest) / "manifest.json").read_bytes())
        except FileNotFoundError as error:
            raise NotFound(f"There is no snapshot {digest[:12]}… of this owner.") from error

    def _owner_blobs(self, owner_id: str) -> Path:
        if not is_id(owner_id):
            raise NotFound("There is no such owner.")
        return self._blobs / owner_id

    def _snapshot(self, owner_id: str, digest: str) -> Path:
        if not is_id(owner_id) or not DIGEST.fullmatch(digest):
            raise NotFound("There is no such snapshot.")
        return self._snapshots / owner_id / digest
