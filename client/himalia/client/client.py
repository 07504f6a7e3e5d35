"""Every route of the job service as a method."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import FieldError
from ..gpus import GPUMode
from ..models import (
    AnswerRequest,
    ArtifactList,
    AskView,
    Event,
    ExtendRequest,
    FetchRequest,
    FetchView,
    GPUModeRequest,
    GPUModeView,
    GPUsView,
    Health,
    Intervention,
    JobPage,
    JobRequest,
    JobSummary,
    JobView,
    Manifest,
    Me,
    MoveRequest,
    NoticeView,
    ProfileView,
    ProjectRequest,
    ProjectView,
    QuarantineRequest,
    SampleView,
    ServerView,
    SnapshotRequest,
    SnapshotView,
    UsageBy,
    UsageView,
)
from ..settings import Connection, find_connection
from .download import download_artifacts
from .http import Http, part, understood
from .log_lines import Picked, follow_lines, read_lines
from .streams import follow_events, follow_log, read_log

PAGE = 100


class Client:
    """The job service. `Client()` finds its address and token; close it, or use it in a `with`."""

    def __init__(self, url: str | None = None, token: str | None = None, *, verify: bool | str = True) -> None:
        connection = Connection(url=url, token=token) if url and token is not None else find_connection()
        self.http = Http(connection.url, connection.token, verify=verify)

    def close(self) -> None:
        """Close all connections."""
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def me(self) -> Me:
        """Return who asks."""
        return self.http.model(Me, "GET", "me")

    def health(self) -> Health:
        """Return how the service is."""
        return self.http.model(Health, "GET", "health")

    def gpus(self) -> GPUsView:
        """Return slots, holders, what is free, the queue."""
        return self.http.model(GPUsView, "GET", "gpus")

    def quarantine_gpu(self, uuid: str, why: str = "") -> GPUsView:
        """Give a GPU to nobody until it is given back; its holder goes on."""
        body = QuarantineRequest(why=why)
        return self.http.model(GPUsView, "POST", f"gpus/{part(uuid)}/quarantine", body=body, again=True)

    def return_gpu(self, uuid: str) -> None:
        """Give a GPU out again, once it is seen to be free."""
        self.http.json("DELETE", f"gpus/{part(uuid)}/quarantine")

    def ask_for_gpu(self, uuid: str) -> AskView:
        """Ask the holder of a GPU that something of one's own waits for to give it back."""
        return self.http.model(AskView, "POST", f"gpus/{part(uuid)}/ask")

    def servers(self) -> list[ServerView]:
        """Return one's running servers: how long they have been idle, and how long they may go on."""
        return self.http.models(ServerView, "servers", "servers")

    def notices(self) -> list[NoticeView]:
        """Return what one is told now, and may answer."""
        return self.http.models(NoticeView, "notices", "notices")

    def answer(self, notice_id: str, answer: str) -> NoticeView:
        """Answer what one is told: one of its actions, or `seen` where it has none."""
        body = AnswerRequest(answer=answer)
        return self.http.model(NoticeView, "POST", f"notices/{part(notice_id)}/answer", body=body, again=True)

    def drain_gpu(self, uuid: str, why: str = "") -> GPUsView:
        """Give a GPU to nobody after its holder, who goes on."""
        body = QuarantineRequest(why=why)
        return self.http.model(GPUsView, "POST", f"gpus/{part(uuid)}/drain", body=body, again=True)

    def release_gpu(self, uuid: str, why: str = "") -> GPUsView:
        """End what holds a GPU: a job is cancelled, a notebook server stopped."""
        body = QuarantineRequest(why=why)
        return self.http.model(GPUsView, "POST", f"gpus/{part(uuid)}/release", body=body)

    def interventions(self) -> list[Intervention]:
        """Return what administrators did to GPUs, the last first."""
        return self.http.models(Intervention, "interventions", "interventions")

    def usage(self, by: UsageBy = UsageBy.USER, first: str | None = None, last: str | None = None) -> UsageView:
        """Return GPU hours, from one month (`2030-01`) to another; none: this one."""
        return self.http.model(UsageView, "GET", "usage", query={"by": str(by), "from": first, "to": last})

    def usage_table(self, by: UsageBy = UsageBy.USER, first: str | None = None, last: str | None = None) -> str:
        """Return the same as a table (CSV)."""
        return self.http.text("usage.csv", query={"by": str(by), "from": first, "to": last})

    def gpu_mode(self, uuid: str) -> GPUModeView:
        """Return how a GPU is given out."""
        return self.http.model(GPUModeView, "GET", f"gpus/{part(uuid)}/mode")

    def set_gpu_mode(self, uuid: str, mode: GPUMode, seats: int | None = None) -> GPUModeView:
        """Give a GPU another mode: whole, by seats, by its MIG devices, or to nobody; in force once it is free."""
        body = GPUModeRequest(mode=mode, seats=seats)
        return self.http.model(GPUModeView, "PUT", f"gpus/{part(uuid)}/mode", body=body, again=True)

    def unset_gpu_mode(self, uuid: str) -> GPUModeView:
        """Give a GPU the mode that the operator's file says."""
        return self.http.model(GPUModeView, "DELETE", f"gpus/{part(uuid)}/mode")

    def profiles(self, purpose: str = "jobs") -> list[ProfileView]:
        """Return the profiles for `jobs` or `servers`."""
        return self.http.models(ProfileView, "profiles", "profiles", query={"for": purpose})

    def find_snapshot(self, owner: str, digest: str) -> SnapshotView:
        """Return a committed snapshot of which the service has everything; raise NotFound when there is none."""
        request = SnapshotRequest(owner=owner, digest=digest)
        return self.http.model(SnapshotView, "POST", "snapshots", body=request, again=True)

    def open_snapshot(self, owner: str, manifest: Manifest) -> SnapshotView:
        """Write an open snapshot and return which contents are missing."""
        request = SnapshotRequest(owner=owner, manifest=manifest)
        return self.http.model(SnapshotView, "POST", "snapshots", body=request, again=True)

    def put_contents(
        self, snapshot_id: str, chunks: Iterator[bytes], url: str | None = None, length: int | None = None
    ) -> SnapshotView:
        """Send a pack, to another address where one is given, and return what is still missing."""
        return understood(SnapshotView, self.http.put(f"snapshots/{part(snapshot_id)}/contents", chunks, url, length))

    def commit_snapshot(self, snapshot_id: str) -> SnapshotView:
        """Mark the snapshot as complete."""
        return self.http.model(SnapshotView, "POST", f"snapshots/{part(snapshot_id)}/commit", again=True)

    def submit(self, request: JobRequest) -> JobView:
        """Submit a job; a key makes sure that a repeated request is the same job."""
        keyed = (
            request
            if request.idempotency_key
            else request.model_copy(update={"idempotency_key": secrets.token_hex(16)})
        )
        try:
            return self.http.model(JobView, "POST", "jobs", body=keyed, again=True)
        except FieldError as error:
            # What git said of a directory is no reason not to run it; nor that a service knows of no sources yet.
            if keyed.source is None or error.field.partition(".")[0] != "source":
                raise
        plain = keyed.model_copy(update={"source": None})
        return self.http.model(JobView, "POST", "jobs", body=plain, again=True)

    def fetch(self, request: FetchRequest) -> FetchView:
        """Have a repository fetched and submitted; its job's key makes sure that a repeated request is the same fetch."""
        return self.http.model(FetchView, "POST", "fetches", body=request, again=True)

    def fetch_state(self, fetch_id: str) -> FetchView:
        """Return how far a fetch is."""
        return self.http.model(FetchView, "GET", f"fetches/{part(fetch_id)}")

    def stop_fetch(self, fetch_id: str) -> None:
        """End a fetch while there is no job yet."""
        self.http.json("DELETE", f"fetches/{part(fetch_id)}")

    def files(self, job_id: str) -> Manifest:
        """Return the manifest of a job's files as they were submitted."""
        return self.http.model(Manifest, "GET", f"jobs/{part(job_id)}/files")

    def diff(self, job_id: str) -> bytes:
        """Return what a job's files had over their commit, as `git diff --binary` writes it."""
        return self.http.content(f"jobs/{part(job_id)}/diff")

    def job(self, job_id: str) -> JobView:
        """Return a job, by any unique beginning of its id."""
        return self.http.model(JobView, "GET", f"jobs/{part(job_id)}")

    def page(
        self,
        *,
        project: str | None = None,
        experiment: str | None = None,
        state: str | None = None,
        owner: str | None = None,
        limit: int = PAGE,
        cursor: str | None = None,
    ) -> JobPage:
        """Return a page of jobs, newest first."""
        query = {
            "project": project,
            "experiment": experiment,
            "state": state,
            "owner": owner,
            "limit": limit,
            "cursor": cursor,
        }
        return self.http.model(JobPage, "GET", "jobs", query=query)

    def jobs(self, **filters: Any) -> Iterator[JobSummary]:
        """Yield all jobs, newest first, page by page."""
        cursor: str | None = None
        while True:
            found = self.page(cursor=cursor, **filters)
            yield from found.jobs
            cursor = found.cursor
            if cursor is None:
                return

    def cancel(self, job_id: str) -> JobView:
        """Ask for a job's end."""
        return self.http.model(JobView, "POST", f"jobs/{part(job_id)}/cancel", again=True)

    def extend(self, job_id: str, by: str | int) -> JobView:
        """Give a job more time: seconds, or `4h`."""
        return self.http.model(JobView, "POST", f"jobs/{part(job_id)}/extend", body=ExtendRequest(by=by))

    def move(self, job_id: str, *, first: bool = False, last: bool = False, before: str | None = None) -> JobView:
        """Give a job another place among one's own in line: first, last, or before another."""
        wish = MoveRequest(first=first, last=last, before=before)
        return self.http.model(JobView, "POST", f"jobs/{part(job_id)}/move", body=wish, again=True)

    def rerun(self, job_id: str) -> JobView:
        """Queue the same files and image once more."""
        return self.http.model(JobView, "POST", f"jobs/{part(job_id)}/rerun")

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended, with its log and artifacts."""
        self.http.json("DELETE", f"jobs/{part(job_id)}")

    def log(
        self, job_id: str, *, attempt: int = 0, offset: int = 0, follow: bool = False, picked: Picked | None = None
    ) -> Iterator[bytes]:
        """Yield the log's bytes, or the lines that are picked; with follow, until the job has ended, over broken connections."""
        if picked is not None and picked.lines:
            choose = follow_lines if follow else read_lines
            return choose(self.http, job_id, picked, attempt=attempt, offset=offset)
        read = follow_log if follow else read_log
        start = picked.start if picked is not None else None
        return read(self.http, job_id, attempt=attempt, offset=offset, start=start)

    def events(self, last: int | None = None) -> Iterator[Event]:
        """Yield every change for ever, over broken connections."""
        return follow_events(self.http, last)

    def artifacts(self, job_id: str, attempt: int = 0, *, cursor: str | None = None) -> ArtifactList:
        """Return what is in /artifacts: a page, and the cursor of the next."""
        query = {"attempt": attempt or None, "cursor": cursor}
        return self.http.model(ArtifactList, "GET", f"jobs/{part(job_id)}/artifacts", query=query)

    def all_artifacts(self, job_id: str, attempt: int = 0) -> ArtifactList:
        """Return all that is in /artifacts, page by page."""
        page = self.artifacts(job_id, attempt)
        found, number = list(page.artifacts), int(page.attempt.partition(".")[2] or 0)
        while page.cursor:
            page = self.artifacts(job_id, number, cursor=page.cursor)
            found += page.artifacts
        return page.model_copy(update={"artifacts": tuple(found)})

    def packages(self, job_id: str, attempt: int = 0) -> str:
        """Return the Python packages that an attempt could import, as `pip freeze` writes them."""
        return self.http.text(f"jobs/{part(job_id)}/packages", query={"attempt": attempt or None})

    def download(self, job_id: str, to: Path | str, patterns: tuple[str, ...] = (), attempt: int = 0) -> list[Path]:
        """Fetch artifacts (those that match a pattern, or all) into a directory; return what was written."""
        return download_artifacts(self.http, self.all_artifacts(job_id, attempt), job_id, Path(to), patterns)

    def metrics(self, job_id: str) -> list[SampleView]:
        """Return what the job used, sampled."""
        return self.http.models(SampleView, f"jobs/{part(job_id)}/metrics", "samples")

    def projects(self) -> list[ProjectView]:
        """Return one's own projects and those of one's teams."""
        return self.http.models(ProjectView, "projects", "projects")

    def project(self, owner: str, name: str) -> ProjectView:
        """Return a project."""
        return self.http.model(ProjectView, "GET", f"projects/{part(owner)}/{part(name)}")

    def create_project(self, name: str, owner: str | None = None, description: str | None = None) -> ProjectView:
        """Make a project."""
        request = ProjectRequest(name=name, owner=owner, description=description)
        return self.http.model(ProjectView, "POST", "projects", body=request)

    def delete_project(self, owner: str, name: str) -> None:
        """Delete a project without jobs."""
        self.http.json("DELETE", f"projects/{part(owner)}/{part(name)}")
