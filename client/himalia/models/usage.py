"""GPU hours: who had GPUs for how long, and for how much of that they were idle."""

from __future__ import annotations

from enum import StrEnum

from .base import Answer, Moment


class UsageBy(StrEnum):
    """What GPU hours are added up by."""

    USER = "user"
    TEAM = "team"
    PROJECT = "project"


class UsageRow(Answer):
    """The GPU hours of one month and one user, team or project."""

    month: str  #: 2030-01, in UTC
    name: str  #: a person, a team, or a project as `owner/name`; notebooks of a person: `owner/`
    gpu_hours: float  #: what was held, each slot as the part of a GPU that it is
    job_hours: float  #: of them, jobs
    server_hours: float  #: of them, notebook servers
    measured_hours: float  #: for how much of them it is known what the GPU did
    idle_share: float | None = None  #: of the measured ones, in how many no kernel ran; none: nothing was measured


class UsageView(Answer):
    """`GET api/usage`: what the asker and their teams had; everybody's, for administrators."""

    by: UsageBy
    since: Moment  #: the beginning of the first month
    until: Moment  #: the end of the last one, or now
    rows: tuple[UsageRow, ...]
    gpu_hours: float  #: all together, each hour once
    note: str = ""
