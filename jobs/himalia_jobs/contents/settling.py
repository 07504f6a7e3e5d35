"""Bringing contents to the disk while the next ones come: receiving waits for the disk only when it is a batch behind."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO, NamedTuple

from .files import sync_folder

#: Contents wait for each other, so that the disk brings many home at once: one by one costs a flush each.
BATCH_COUNT = 64
BATCH_BYTES = 32 * 1024 * 1024
THREADS = 8


class _Whole(NamedTuple):
    file: IO[bytes]
    digest: str


class Settling:
    """Contents that are whole, and go to the disk batch by batch, then to their names. One thread at a time may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sync")
        self._next: list[_Whole] = []
        self._next_bytes = 0
        self._on_their_way: list[tuple[_Whole, Future[None]]] = []
        self._touched: set[Path] = set()

    def add(self, file: IO[bytes], digest: str, length: int) -> None:
        """Take over a file with a whole content; raise OSError where the disk did not take an earlier one."""
        self._next.append(_Whole(file, digest))
        self._next_bytes += length
        if len(self._next) >= BATCH_COUNT or self._next_bytes >= BATCH_BYTES:
            self._arrive()
            self._set_out()

    def finish(self) -> None:
        """Return when all are on the disk, and their names; raise OSError where it did not take one. Others have theirs all the same."""
        try:
            self._arrive()
        finally:
            self._set_out()
            try:
                self._arrive()
            finally:
                touched, self._touched = self._touched, set()
                list(self._threads.map(sync_folder, touched))
                self._threads.shutdown()

    def _set_out(self) -> None:
        """Send the next batch to the disk."""
        batch, self._next, self._next_bytes = self._next, [], 0
        self._on_their_way = [(whole, self._threads.submit(os.fsync, whole.file.fileno())) for whole in batch]

    def _arrive(self) -> None:
        """Wait for the batch on its way, then give it its names: a content that has its name is whole whatever happens."""
        batch, self._on_their_way = self._on_their_way, []
        wait([synced for _, synced in batch])
        failure: OSError | None = None
        for whole, synced in batch:
            with whole.file as file:
                try:
                    synced.result()
                    folder = self._folder / whole.digest[:2]
                    folder.mkdir(parents=True, exist_ok=True)
                    Path(file.name).rename(folder / whole.digest)
                    self._touched.add(folder)
                except OSError as error:
                    Path(file.name).unlink(missing_ok=True)
                    failure = error
        if failure is not None:
            raise failure
