"""Fetches: a repository that the platform fetches becomes the snapshot of a job."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from .base import Answer, Request
from .jobs import JobRequest
from .sources import Source


class FetchState(StrEnum):
    """Where a fetch is."""

    WAITING = "waiting"  #: others are fetched first
    FETCHING = "fetching"
    READING = "reading"  #: what came becomes a snapshot
    DONE = "done"
    FAILED = "failed"


#: States in which nothing follows any more.
FETCHED = frozenset({FetchState.DONE, FetchState.FAILED})


class FetchRequest(Request):
    """`POST api/fetches`: fetch a repository, and submit its files as a job, whoever waits for it."""

    git: str  #: `https://HOST/PATH`, with `@REF` where not the default branch is meant
    token: str | None = Field(None, repr=False)  #: of a private repository; used for this fetch, kept nowhere
    job: JobRequest  #: without a snapshot


class FetchView(Answer):
    """How far a fetch is."""

    id: str
    state: FetchState
    sentence: str  #: how far it is, or what happened and what to do
    source: Source | None = None  #: once it is known
    job_id: str | None = None  #: once it is submitted
    status: int = 0  #: of the error, once it failed
    error: dict[str, Any] | None = None  #: code, message, fields
