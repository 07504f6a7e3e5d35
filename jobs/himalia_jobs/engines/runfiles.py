"""What an attempt's launcher leaves beside its log: the exit record; and sealing all of it after the end."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..hostile import read_small
from .base import Collected
from .listing import walk
from .logfiles import LOG, seal_log

EXIT_RECORD = "exit.json"
LARGEST_RECORD = 4096


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
    oom_kills: int = 0  #: processes that were killed for want of memory


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
            oom_kills=max(0, int(plain.get("oom_kills") or 0)),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def seal(own: Path, log_limit: int) -> Collected:
    """Seal the log, no more than a limit of it, and count the artifacts of an attempt that has ended."""
    own.mkdir(parents=True, exist_ok=True)
    size, digest = seal_log(own, log_limit)
    count = total = 0
    for entry in walk(own / "artifacts"):
        if entry.type == "file":
            count, total = count + 1, total + entry.size_bytes
    return Collected(artifact_count=count, artifact_bytes=total, log_bytes=size, log_sha256=digest)
