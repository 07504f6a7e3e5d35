"""Contents, manifests and trees of all owners, as plain files. An owner never learns of another's contents."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from himalia.errors import NotFound
from himalia.ids import is_id, new_id
from himalia.models import Manifest
from himalia.site import Limits

from ..hostile import open_regular
from .files import absent, for_people, write_whole
from .lists import CheckedList, ListReader, ReadList, checked_list
from .manifests import DIGEST, QUOTED_DIGEST
from .pins import Pins
from .receiver import PackReceiver
from .recent import RecentLengths
from .trees import make_tree
from .whole import WholeSnapshots

LOCKS = 16
DRAFTS = ".drafts"
GONE = ".gone"  #: what is removed already, but for its bytes
MANIFEST = "manifest.json"
TREE = "tree"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A manifest that was checked and kept."""

    digest: str
    file_count: int
    size_bytes: int


class ContentStore:
    """`blobs/OWNER/aa/DIGEST`, `snapshots/OWNER/DIGEST/{manifest.json,tree}`; OWNER is an internal id.

    What is not whole yet lies in `blobs/.drafts` and `snapshots/.drafts`, and is renamed to its place. What is worked with
    is pinned, so that the `Sweeper` leaves it.
    """

    def __init__(self, data: Path, limits: Limits | None = None) -> None:
        self.blobs = data / "blobs"
        self.snapshots = data / "snapshots"
        self.pins = Pins()
        self.whole = WholeSnapshots()
        self._recent = RecentLengths()
        self._lists = ListReader()
        self._limits = limits or Limits()
        self._tree_locks = [threading.Lock() for _ in range(LOCKS)]
        self._owner_locks = [threading.Lock() for _ in range(LOCKS)]

    def tidy(self) -> None:
        """Put aside what an earlier run left half written; call it before anything is taken in. Removing it takes its time."""
        for folder in (self.blobs, self.snapshots):
            (folder / GONE).mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (folder / DRAFTS).rename(folder / GONE / f"drafts-{new_id()}")

    def accept(self, owner_id: str, manifest: Manifest) -> Accepted:
        """Check a manifest and keep it; raise FieldError or TooLarge."""
        most_entries, most_bytes = self._limits.entries, self._limits.workspace
        return self.keep(owner_id, checked_list(manifest, most_entries=most_entries, most_bytes=most_bytes))

    def read(self, body: bytes | bytearray, most_values: int) -> ReadList:
        """Return what a request says and whether its list may be kept; raise TooLarge, Unparsable, FieldError or Unavailable."""
        most_entries, most_bytes = self._limits.entries, self._limits.workspace
        return self._lists.read(body, most_values=most_values, most_entries=most_entries, most_bytes=most_bytes)

    def keep(self, owner_id: str, checked: CheckedList) -> Accepted:
        """Keep a list that was checked."""
        digest = checked.digest
        file = self._snapshot(owner_id, digest) / MANIFEST
        with self.lock_of(owner_id):
            if not file.exists():
                write_whole(file, checked.text, self.snapshots / DRAFTS)
            self.pins.pin(owner_id, digest)
        if checked.lengths is not None:
            self._recent.keep(owner_id, digest, checked.lengths)
        return Accepted(digest=digest, file_count=checked.file_count, size_bytes=checked.size_bytes)

    def close(self) -> None:
        """End what reads long lists."""
        self._lists.close()

    def missing_of(self, owner_id: str, digest: str) -> list[str]:
        """Return the contents of a snapshot that this owner has not sent yet; those that they have stay."""
        self.hold(owner_id, digest)
        look = self.whole.look(self._owner_blobs(owner_id), self._snapshot(owner_id, digest) / MANIFEST)
        if self.whole.knows(owner_id, digest, look):
            return []
        lengths = self._recent_lengths(owner_id, digest)
        missing = self.missing(owner_id, self._named(owner_id, digest) if lengths is None else lengths)
        # What only looks like a content is none; only the list itself, which takes long to be read, tells.
        lengths = self._lengths(owner_id, digest) if missing else {}
        missing = [content for content in missing if content in lengths]
        if not missing:
            self.whole.remember(owner_id, digest, look)
        return missing

    def missing(self, owner_id: str, digests: Collection[str]) -> list[str]:
        """Return those of the digests that this owner has not sent."""
        gone = absent(self._owner_blobs(owner_id), digests)
        return [digest for digest in digests if digest in gone]

    def hold(self, owner_id: str, digest: str) -> None:
        """Keep what there is of a snapshot for an hour from now."""
        with self.lock_of(owner_id):
            self.pins.pin(owner_id, digest)

    def receive(self, owner_id: str, digest: str) -> PackReceiver:
        """Return what takes in a pack with contents of this snapshot.

        What came meanwhile by another upload (of a sender that was cut off, or of the same files twice) may come again.
        """
        self.hold(owner_id, digest)
        return PackReceiver(self._owner_blobs(owner_id), self.blobs / DRAFTS, self._lengths(owner_id, digest))

    def materialize(self, owner_id: str, digest: str) -> Path:
        """Return the directory with a snapshot's files; it is made when it is first needed."""
        folder = self._snapshot(owner_id, digest)
        tree = folder / TREE
        with self._tree_lock(owner_id, digest):
            self.hold(owner_id, digest)
            if not tree.is_dir():
                manifest = self.manifest(owner_id, digest)
                make_tree(manifest, self._owner_blobs(owner_id), tree, self.snapshots / DRAFTS)
            with contextlib.suppress(OSError):
                os.utime(folder)  # a tree that is used stays
        return tree

    def drop_tree(self, owner_id: str, digest: str) -> None:
        """Put a snapshot's tree aside to be removed, unless somebody works with it; it can be made again."""
        tree, gone = self._snapshot(owner_id, digest) / TREE, self.snapshots / GONE
        with self._tree_lock(owner_id, digest):
            if digest not in self.pins.of(owner_id) and tree.is_dir():
                gone.mkdir(exist_ok=True)
                tree.rename(gone / f"{TREE}-{new_id()}")

    def open_file(self, owner_id: str, digest: str, path: str) -> int:
        """Return a descriptor of a submitted file; raise FileNotFoundError for all else, DiskFull when it cannot be laid out."""
        try:
            tree = self.materialize(owner_id, digest)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise for_people(error) from error
        return open_regular(tree, path)

    def lock_of(self, owner_id: str) -> threading.Lock:
        """Return what is held while contents or manifests of an owner go, and while a snapshot is pinned."""
        return self._owner_locks[hash(owner_id) % LOCKS]

    def blob(self, owner_id: str, content: str) -> Path:
        """Return where a content of an owner lies."""
        return self._owner_blobs(owner_id) / content[:2] / content

    def _tree_lock(self, owner_id: str, digest: str) -> threading.Lock:
        return self._tree_locks[hash((owner_id, digest)) % LOCKS]

    def _lengths(self, owner_id: str, digest: str) -> Mapping[str, int]:
        """Return the length of each content of a snapshot."""
        lengths = self._recent_lengths(owner_id, digest)
        if lengths is None:
            try:
                lengths = self._lists.kept_lengths(self._snapshot(owner_id, digest) / MANIFEST)
            except FileNotFoundError as error:
                raise _no_snapshot(digest) from error
            self._recent.keep(owner_id, digest, lengths)
        return lengths

    def _recent_lengths(self, owner_id: str, digest: str) -> Mapping[str, int] | None:
        """Return the same where it is at hand; None where it is not, and of a snapshot that is gone."""
        lengths = self._recent.of(owner_id, digest)
        return lengths if lengths is not None and (self._snapshot(owner_id, digest) / MANIFEST).exists() else None

    def _named(self, owner_id: str, digest: str) -> Collection[str]:
        """Return all that looks like a content in a manifest, found as quickly as can be: more than it has, never less."""
        try:
            kept = (self._snapshot(owner_id, digest) / MANIFEST).read_bytes()
        except FileNotFoundError as error:
            raise _no_snapshot(digest) from error
        return dict.fromkeys(found.decode() for found in QUOTED_DIGEST.findall(kept))

    def manifest(self, owner_id: str, digest: str) -> Manifest:
        """Return the manifest of a snapshot; raise NotFound."""
        try:
            return Manifest.model_validate_json((self._snapshot(owner_id, digest) / MANIFEST).read_bytes())
        except FileNotFoundError as error:
            raise _no_snapshot(digest) from error

    def _owner_blobs(self, owner_id: str) -> Path:
        if not is_id(owner_id):
            raise NotFound("There is no such owner.")
        return self.blobs / owner_id

    def _snapshot(self, owner_id: str, digest: str) -> Path:
        if not is_id(owner_id) or not DIGEST.fullmatch(digest):
            raise NotFound("There is no such snapshot.")
        return self.snapshots / owner_id / digest


def _no_snapshot(digest: str) -> NotFound:
    return NotFound(f"There is no snapshot {digest[:12]}… of this owner.")
