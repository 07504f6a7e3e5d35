"""What an attempt's launcher leaves: the log and the exit record; and the log once it is sealed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .base import Collected, LogChunk
from .errors import OffsetPastEnd
from .hostile import open_regular, read_small, walk

SEALED = "log"  #: in the attempt's own directory, which no container mounts
LOG = "log"  #: in the run directory
EXIT_RECORD = "exit.json"
LARGEST_RECORD = 4096
BLOCK_BYTES = 1024 * 1024


def has_begun(own: Path) -> bool:
    """Tell whether an attempt's launcher has run, whatever the Engine knows: its log is the first that it makes."""
    return os.path.lexists(own / "run" / LOG)


@dataclass(frozen=True, kw_only=True)
class ExitRecord:
    """How the launcher says it ended. A job's user can write one too: it only adds to what the Engine says."""

    code: int | None
    signal: int | None
    stopped: bool
    dropped_bytes: int


def read_record(own: Path) -> ExitRecord | None:
    """Return the exit record; None when it is missing or odd."""
    content = read_small(own / "run", EXIT_RECORD, LARGEST_RECORD)
    try:
        plain: Any = json.loads(content) if content else None
        signal, code = plain["signal"], plain.get("code")
        return ExitRecord(
            code=int(code) if code is not None else None,
            signal=int(signal) if signal is not None else None,
            stopped=bool(plain.get("stopped")),
            dropped_bytes=max(0, int(plain.get("dropped_bytes") or 0)),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def read_log(own: Path, offset: int, limit: int) -> LogChunk:
    """Return bytes of an attempt's log, sealed or still being written."""
    sealed = own / SEALED
    ended = sealed.exists()
    try:
        descriptor = os.open(sealed, os.O_RDONLY | os.O_CLOEXEC) if ended else open_regular(own / "run", LOG)
    except FileNotFoundError:
        if offset:
            raise OffsetPastEnd(f"there is no log yet, so no offset {offset}") from None
        return LogChunk(data=b"", next_offset=0, ended=False)
    try:
        size = os.fstat(descriptor).st_size
        if offset > size and ended:
            raise OffsetPastEnd(f"the log has {size} bytes; there is no offset {offset}")
        data = os.pread(descriptor, limit, offset)
    finally:
        os.close(descriptor)
    return LogChunk(data=data, next_offset=offset + len(data), ended=ended and offset + len(data) >= size)


def seal(own: Path) -> Collected:
    """Seal the log and count the artifacts of an attempt that has ended."""
    own.mkdir(parents=True, exist_ok=True)
    size, digest = seal_log(own)
    files = [entry.size_bytes for entry in walk(own / "artifacts") if entry.type == "file"]
    return Collected(artifact_count=len(files), artifact_bytes=sum(files), log_bytes=size, log_sha256=digest)


def seal_log(own: Path) -> tuple[int, str]:
    """Take the log out of the job's reach; return its size and SHA-256. A log that was replaced by something odd is empty."""
    sealed = own / SEALED
    if not sealed.exists():
        draft = own / "log.part"
        with draft.open("wb") as out:
            try:
                source = open_regular(own / "run", LOG)
            except FileNotFoundError:
                source = -1
            if source >= 0:
                try:
                    _copy(source, out.fileno())
                finally:
                    os.close(source)
            os.fsync(out.fileno())
        draft.rename(sealed)
    digest = hashlib.sha256()
    with sealed.open("rb") as log:
        while block := log.read(BLOCK_BYTES):
            digest.update(block)
        return log.tell(), digest.hexdigest()


def _copy(source: int, target: int) -> None:
    """Copy without going through this process's memory; where the file system can, without copying at all."""
    size = os.fstat(source).st_size
    done = 0
    while done < size:
        copied = os.copy_file_range(source, target, size - done, done)
        if copied == 0:
            break
        done += copied
