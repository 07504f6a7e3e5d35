"""Jobs: what is asked for, and what is shown."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..gpus import Slot
from ..reasons import Reason, Sure
from ..states import JobState
from .base import Answer, Moment, Request
from .ledger import WaitingFor
from .sources import Source, SourceRequest


class NotebookRun(Request):
    """A notebook to run with papermill; parameters are values, never code."""

    path: str  #: relative to the workspace
    parameters: dict[str, Any] = Field(default_factory=dict)


class JobRequest(Request):
    """`POST api/jobs`. Either a command or a notebook; what is left out comes from the profile."""

    snapshot: str | None = None  #: id of a committed snapshot; none: an empty workspace
    project: str
    owner: str | None = None  #: of the project; none: the submitter
    experiment: str | None = None
    name: str | None = None
    profile: str | None = None  #: none: the first one the person may use for jobs
    image: str | None = None
    gpus: str | int | float | None = None
    cpus: float | None = None
    memory: str | int | None = None  #: bytes, or `8G`
    disk: str | int | None = None  #: what it may write to the data disk: bytes, or `200G`
    command: list[str] | str | None = None  #: a string runs through `sh -c`
    notebook: NotebookRun | None = None
    workdir: str = ""  #: relative to the workspace
    env: dict[str, str] = Field(default_factory=dict)
    timeout: str | int | None = None  #: seconds, or `2h`
    warn: str | int | None = None  #: so long before the time limit it is warned: seconds, or `5m`; none: it is not
    retries: int = 0
    retry_on: str | list[str] | None = None  #: causes, such as `oom,lost,exit:75`; none: any failure worth it
    preemptible: bool = False  #: it gives way to those who are not, and is run again
    clean: bool = False  #: leave out the packages the person installed
    idempotency_key: str | None = None
    source: SourceRequest | None = None  #: what git knows of the directory that the snapshot was made of


class ExtendRequest(Request):
    """`POST api/jobs/{id}/extend`: more time for a job that waits or runs."""

    by: str | int  #: seconds, or `4h`


class MoveRequest(Request):
    """`POST api/jobs/{id}/move`: another place among one's own jobs in line. Exactly one of these."""

    first: bool = False
    last: bool = False
    before: str | None = None  #: the id of another of one's jobs in line


class JobSummary(Answer):
    """A job as a list shows it."""

    id: str
    seq: int  #: of the job's last change
    name: str
    project: str
    owner: str
    experiment: str | None = None
    user: str  #: who submitted it
    state: JobState
    reason: Reason | None = None
    sentence: str = ""  #: the reason in words, with what to do; times in it are UTC stamps
    position: int | None = None  #: in line, counted from 1, while queued
    estimate_at: Moment | None = None  #: when it is expected to start, while queued
    sure: Sure | None = None  #: how sure that is
    retry_at: Moment | None = None  #: while queued after a failed attempt: it stands in line again then
    cancel_requested: bool = False
    attempt: int = 0  #: the number of the last attempt; 0 before the first
    exit_code: int | None = None
    gpus: str = "0"
    cpus: float
    memory_bytes: int
    profile: str
    source: Source | None = None  #: where its files came from, as far as git knows it
    created_at: Moment
    started_at: Moment | None = None
    finished_at: Moment | None = None


class AttemptView(Answer):
    """One run of a job."""

    id: str
    number: int
    node_id: str
    slots: tuple[Slot, ...] = ()
    created_at: Moment
    started_at: Moment | None = None
    warned_at: Moment | None = None  #: that its time limit was near
    stuck_at: Moment | None = None  #: it was killed, and did not end: a process of it cannot be killed
    finished_at: Moment | None = None
    exit_code: int | None = None
    signal: int | None = None
    oom: bool = False
    reason: Reason | None = None
    label: str | None = None  #: the name of the log policy that the end of its log speaks of
    log_bytes: int = 0


class JobView(JobSummary):
    """A job as its page shows it."""

    snapshot: str | None = None
    snapshot_digest: str | None = None
    image: str
    image_id: str
    command: list[str]
    notebook: NotebookRun | None = None
    workdir: str = ""
    env: dict[str, str] = Field(default_factory=dict)  #: values only for the submitter and administrators
    disk_bytes: int | None = None  #: what it may write to the data disk, as asked for; none: what its profile says
    timeout_seconds: int
    warn_seconds: int | None = None  #: so long before its time limit it is warned
    retries: int = 0
    retry_on: str = ""  #: the causes of a retry
    preemptible: bool = False
    gives_way_at: Moment | None = None  #: while it runs: it is stopped then, and put in line again
    rerun_of: str | None = None
    cancelled_by: str | None = None
    attempts: tuple[AttemptView, ...] = ()
    waiting_for: tuple[WaitingFor, ...] = ()  #: while queued: GPUs that others have, the first to be free first
    ends_before: Moment | None = None  #: while it runs: when its time limit is reached
    may_extend: bool = False
    may_cancel: bool = False
    may_delete: bool = False


class JobPage(Answer):
    """One page of jobs, newest first; `cursor` asks for the next, and is none on the last."""

    jobs: tuple[JobSummary, ...]
    cursor: str | None = None


class Artifact(Answer):
    """One thing an attempt left in `/artifacts`. Only files can be fetched."""

    path: str
    type: str  #: file, dir, symlink or other
    size_bytes: int = 0
    modified_at: Moment


class ArtifactList(Answer):
    """What is in `/artifacts`: live while the attempt runs, sealed afterwards."""

    attempt: str
    live: bool
    artifacts: tuple[Artifact, ...]
    truncated: bool = False  #: there are more
    cursor: str | None = None  #: asks for the next page; none on the last


class SampleView(Answer):
    """What an attempt used at a moment."""

    at: Moment
    cpu_percent: float | None = None  #: 100 is one CPU
    memory_bytes: int | None = None
    gpu_percent: float | None = None  #: 100 is one GPU
    gpu_memory_bytes: int | None = None
