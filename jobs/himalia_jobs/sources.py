"""Where a job's files came from: what its sender says is checked, and what is secret in it is dropped."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from himalia.errors import FieldError
from himalia.git.address import is_commit, without_secret
from himalia.git.worktree import MOST_DIFF_BYTES
from himalia.models import JobRequest, Source, SourceRequest
from himalia.units import format_size

FIELD = "source"
LONGEST = 1000


def source_columns(request: JobRequest, fetched: Source | None) -> dict[str, Any]:
    """Return a job's columns about its source; `diff` is kept apart, and named by its digest."""
    if fetched is not None:
        return {"source": fetched.model_dump(mode="json", exclude_defaults=True), "diff": None}
    if request.source is None:
        return {"source": None, "diff": None}
    diff = _diff(request.source)
    source = _source(request.source, diff)
    return {"source": source.model_dump(mode="json", exclude_defaults=True), "diff": diff}


def source_of(kept: dict[str, Any] | None) -> Source | None:
    """Return a source as it was kept."""
    return None if kept is None else Source.model_validate(kept)


def _source(said: SourceRequest, diff: bytes | None) -> Source:
    if not is_commit(said.commit):
        raise FieldError(FIELD, "The commit must be a whole id: 40 hexadecimal digits.")
    for name in ("remote", "branch", "directory"):
        text = getattr(said, name)
        if len(text) > LONGEST or not all(letter.isprintable() for letter in text):
            raise FieldError(FIELD, f"{name} may have {LONGEST} characters, and none that cannot be seen.")
    if any(count is not None and count < 0 for count in (said.changed, said.untracked)):
        raise FieldError(FIELD, "Numbers of files cannot be negative.")
    return Source(
        remote=without_secret(said.remote),
        ref=said.branch,
        commit=said.commit,
        directory=said.directory,
        changed=said.changed,
        untracked=said.untracked,
        diff_bytes=None if diff is None else len(diff),
    )


def _diff(said: SourceRequest) -> bytes | None:
    if said.diff is None:
        return None
    try:
        diff = base64.b64decode(said.diff, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FieldError(FIELD, "The difference is no base64.") from error
    if len(diff) > MOST_DIFF_BYTES:
        raise FieldError(FIELD, f"The difference has more than {format_size(MOST_DIFF_BYTES)}. Leave it out.")
    return diff
