"""The client of one command, and the last job that was submitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..client import Client
from ..errors import LocalError
from ..ids import ALPHABET, LENGTH, is_id
from ..settings import cache_directory

LAST = "last"


@contextmanager
def session() -> Iterator[Client]:
    """Open a client for one command."""
    with Client() as client:
        yield client


def resolve(job_id: str) -> str:
    """Return the id that is meant, or a beginning of it: `last` is the one submitted last from this account."""
    if job_id == LAST:
        return _last()
    plain = job_id.strip().lower()
    if not 0 < len(plain) <= LENGTH or not set(plain) <= set(ALPHABET):
        raise LocalError(f"{job_id!r} is no id of a job, nor the beginning of one. See `himalia jobs`.")
    return plain


def remember(job_id: str) -> None:
    """Keep the id of the job submitted last."""
    with suppress(OSError):  # a full or read-only home is no reason to lose a job
        cache_directory().mkdir(parents=True, exist_ok=True)
        (cache_directory() / LAST).write_text(job_id)


def _last() -> str:
    try:
        kept = (cache_directory() / LAST).read_text().strip()
    except (OSError, ValueError):
        kept = ""
    if not is_id(kept):
        raise LocalError("Nothing was submitted from here yet. See `himalia jobs`.")
    return kept
