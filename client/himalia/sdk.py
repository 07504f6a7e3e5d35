"""The SDK: `import himalia; job = himalia.submit(".", command=[…], profile="small"); job.wait()`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from .client import Client
from .client.compatibility import refuse_if_too_old
from .client.log_lines import Picked
from .client.patience import Patience
from .errors import FieldError, LocalError, Unavailable
from .fetching import Told, submit_repository
from .git import Repository, parse_repository
from .git.worktree import Noted
from .models import (
    Artifact,
    EntryType,
    GPUsView,
    JobRequest,
    JobSummary,
    JobView,
    Me,
    NotebookRun,
    ProfileView,
    SampleView,
)
from .notebooks import check_notebook, check_parameters, kind_of, missing
from .owners import Owner
from .retrying import parse_retry_on
from .settings import cache_directory
from .snapshot import LeftOut, Packed, Progress, Scan, pack, project_name, refuse_too_large, scan, send
from .snapshot.cache import HashCache
from .snapshot.naming import legal_name
from .states import FINAL_STATES, JobState

FIRST_LOOK_SECONDS = 0.5
SLOWEST_LOOK_SECONDS = 5.0
NEWEST = 100


class Job:
    """A job that was submitted."""

    def __init__(self, client: Client, view: JobSummary) -> None:
        self.client = client
        self._seen = view

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state}: {self._seen.name}>"

    @property
    def view(self) -> JobView:
        """All about it as of the last look."""
        if not isinstance(self._seen, JobView):
            self._seen = self.client.job(self.id)
        return self._seen

    @property
    def id(self) -> str:
        """Its id."""
        return self._seen.id

    @property
    def state(self) -> JobState:
        """Its state as of the last look; `refresh` looks again."""
        return self._seen.state

    @property
    def exit_code(self) -> int | None:
        """The exit code of its command, once it has ended."""
        return self._seen.exit_code

    def refresh(self) -> Job:
        """Look again."""
        self._seen = self.client.job(self.id)
        return self

    def wait(self, timeout: float | None = None, *, changed: Callable[[JobView], None] | None = None) -> Job:
        """Wait for its end; raise TimeoutError after `timeout` seconds. `changed` is called with every new look.

        A service that is away for less than ten minutes is waited for as well.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause, patience = FIRST_LOOK_SECONDS, Patience()
        while True:
            try:
                self.refresh()
                patience.renew()
                if changed is not None:
                    changed(self.view)
                if self.state in FINAL_STATES:
                    return self
            except Unavailable as error:
                patience.lose(error, self.client.http.url)
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TimeoutError(f"{self.id} is still {self.state} after {timeout:g} s")
            time.sleep(pause)
            pause = min(SLOWEST_LOOK_SECONDS, pause * 1.2)

    def log(
        self,
        *,
        follow: bool = False,
        attempt: int = 0,
        tail: int | None = None,
        since: str | datetime | None = None,
        grep: str = "",
        ignore_case: bool = False,
        timestamps: bool = False,
    ) -> Iterator[bytes]:
        """Yield its output as bytes; with follow, until its end.

        Of it the last lines (`tail`), what came since a moment (`10m` ago, or a time), the lines that match (`grep`: text as
        it stands, `*` for anything in between), each with the second it came (`timestamps`).
        """
        picked = Picked.parse(tail=tail, since=since, grep=grep, ignore_case=ignore_case, timestamps=timestamps)
        return self.client.log(self.id, follow=follow, attempt=attempt, picked=picked)

    def cancel(self) -> Job:
        """Ask for its end."""
        self._seen = self.client.cancel(self.id)
        return self

    def extend(self, by: str | int) -> Job:
        """Give it more time: seconds, or `4h`."""
        self._seen = self.client.extend(self.id, by)
        return self

    def move(self, *, first: bool = False, last: bool = False, before: Job | str | None = None) -> Job:
        """Give it another place among one's own in line: first, last, or before another one. Nobody else moves."""
        other = before.id if isinstance(before, Job) else before
        self._seen = self.client.move(self.id, first=first, last=last, before=other)
        return self

    def rerun(self) -> Job:
        """Run the same files and image once more."""
        return Job(self.client, self.client.rerun(self.id))

    def metrics(self) -> list[SampleView]:
        """Return what it used, sampled: CPUs, memory, GPUs."""
        return self.client.metrics(self.id)

    def artifacts(self) -> tuple[Artifact, ...]:
        """Return what it left in /artifacts."""
        return self.client.all_artifacts(self.id).artifacts

    def download(self, to: Path | str = ".", patterns: Sequence[str] = ()) -> list[Path]:
        """Fetch its artifacts into a directory; return what was written."""
        return self.client.download(self.id, to, tuple(patterns))


def submit(
    directory: Path | str | None = ".",
    *,
    command: Sequence[str] | str | None = None,
    notebook: Path | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    git: str | None = None,
    token: str | None = None,
    project: str | None = None,
    owner: str | None = None,
    client: Client | None = None,
    before_sending: Callable[[Scan], None] | None = None,
    progress: Progress | None = None,
    told: Told | None = None,
    **options: Any,
) -> Job:
    """Send a directory off as a job and return it at once.

    `git`: instead of a directory, a repository that the platform fetches: `https://github.com/OWNER/NAME`, with `@BRANCH`,
    `@TAG` or `@COMMIT` behind it where another one is meant; `token` for a private one, which is kept nowhere; `told` is
    called with what becomes of the fetch.

    `options` are the fields of `models.JobRequest`: name, experiment, profile, image, gpus, cpus, memory, disk, env, timeout,
    warn, retries, retry_on, preemptible, workdir. `directory=None` runs in an empty workspace, and then needs a project. Raises HimaliaError with a
    sentence that says what to do.
    """
    service = client or Client()
    repository = None if git is None else parse_repository(git)
    if repository is None and token is not None:
        raise FieldError("token", "A token is for a repository: give git=… as well.")
    if directory is None and project is None and repository is None:
        raise LocalError("A job without files needs a project. Give project=….")
    run = None if notebook is None else _notebook_run(os.fspath(notebook), parameters, options)
    request = _request(
        project=project or _project(repository, directory),
        owner=owner,
        notebook=run,
        command=command if command is None or isinstance(command, str) else [_word(word) for word in command],
        **options,
    )
    _check_choice(request, parameters)
    if repository is not None:
        return Job(service, submit_repository(service, str(repository), token, request, told))
    if directory is not None:
        noted = Noted()

        def look_over(scanned: Scan) -> None:
            _check_files(scanned, request)
            if before_sending is not None:
                before_sending(scanned)
            noted.begin(scanned)

        snapshot = send_directory(service, directory, owner, before_sending=look_over, progress=progress)
        request = request.model_copy(update={"snapshot": snapshot, "source": noted.source()})
    return Job(service, service.submit(request))


def _project(repository: Repository | None, directory: Path | str | None) -> str:
    return legal_name(repository.name) if repository else project_name(directory or ".", os.path.expanduser("~"))


def send_directory(
    client: Client,
    directory: Path | str,
    owner: str | None = None,
    *,
    before_sending: Callable[[Scan], None] | None = None,
    progress: Progress | None = None,
) -> str:
    """Send a directory's files and return the snapshot's id."""
    me = client.me()
    refuse_if_too_old(me)
    scanned = _scanned(directory, me)
    if before_sending is not None:
        before_sending(scanned)
    cache = HashCache(cache_directory() / "hashes.sqlite")
    try:
        packed = pack(scanned, cache=cache, progress=progress)
    finally:
        cache.close()
    return send(client, owner or str(Owner.user(me.name)), packed, progress).id


def job(job_id: str, client: Client | None = None) -> Job:
    """Return a job, by any unique beginning of its id."""
    service = client or Client()
    return Job(service, service.job(job_id))


def jobs(client: Client | None = None, *, limit: int = NEWEST, **filters: Any) -> list[Job]:
    """Return one's jobs and those of one's teams, newest first: project=, experiment=, state=, owner= choose among them."""
    service = client or Client()
    return [Job(service, summary) for summary in islice(service.jobs(limit=min(limit, NEWEST), **filters), limit)]


def gpus(client: Client | None = None) -> GPUsView:
    """Return slots, holders, what is free, the queue."""
    return (client or Client()).gpus()


def profiles(client: Client | None = None) -> list[ProfileView]:
    """Return the profiles for jobs."""
    return (client or Client()).profiles()


def _request(**fields: Any) -> JobRequest:
    """Return a request; raise FieldError that names the field."""
    try:
        return JobRequest(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        said = "is not known" if first["type"] == "extra_forbidden" else f"cannot be {first['input']!r}: {first['msg']}"
        raise FieldError(field, f"{field} {said}.") from error


def _check_choice(request: JobRequest, parameters: Mapping[str, Any] | None) -> None:
    if parameters and request.notebook is None:
        raise FieldError("parameters", "Parameters are for a notebook; a command has its own arguments.")
    if (request.notebook is None) == (request.command is None):
        raise LocalError("Give either a command or a notebook.")
    if request.retry_on is not None:
        parse_retry_on(request.retry_on)


def _notebook_run(path: str, parameters: Mapping[str, Any] | None, options: dict[str, Any]) -> NotebookRun:
    """Return what runs; as in JupyterLab, a notebook runs in its own directory unless another is named."""
    given = dict(parameters or {})
    check_parameters(given)
    plain = str(PurePosixPath(path))
    if options.get("workdir") is None:
        options["workdir"] = "" if "/" not in plain else plain.rpartition("/")[0]
    return NotebookRun(path=plain, parameters=given)


def _word(word: object) -> str:
    return os.fspath(word) if isinstance(word, os.PathLike) else str(word)


def _check_files(scanned: Scan, request: JobRequest) -> None:
    """Raise LocalError when what is to run, or where, is not among what is sent."""
    if request.notebook is not None:
        check_notebook(scanned, request.notebook.path)
    workdir = str(PurePosixPath(request.workdir))
    kind = EntryType.DIR if workdir == "." else kind_of(scanned, workdir)
    if kind is None:
        raise LocalError(missing(scanned, workdir))
    if kind is EntryType.FILE:
        raise LocalError(f"{workdir} is a file, no directory to run in.")


def _scanned(directory: Path | str, me: Me) -> Scan:
    """Return what is in a directory; raise HimaliaError when it is nothing, or more than can be sent."""
    scanned = scan(directory, most_entries=me.most_workspace_entries)
    if scanned.has_only_directories:
        why = "all of it is left out by the ignore rules" if scanned.left_out else "it is empty"
        raise LocalError(
            f"There is nothing to submit in {scanned.root}: {why}. Go to the directory of your code first."
        )
    if me.largest_workspace_bytes is not None:
        refuse_too_large(scanned, me.largest_workspace_bytes)
    return scanned


__all__ = ["Job", "LeftOut", "Packed", "gpus", "job", "jobs", "profiles", "send_directory", "submit"]
