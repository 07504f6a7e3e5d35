"""Projects: named collections of jobs, owned by a user or a team."""

from __future__ import annotations

from .base import Answer, Moment, Request


class ProjectRequest(Request):
    """`POST api/projects`, and (description alone) `PATCH api/projects/{owner}/{name}`."""

    name: str | None = None
    owner: str | None = None
    description: str | None = None


class ProjectView(Answer):
    """A project."""

    owner: str
    name: str
    description: str = ""
    created_at: Moment
    job_count: int = 0
    live_job_count: int = 0
    last_job_at: Moment | None = None
