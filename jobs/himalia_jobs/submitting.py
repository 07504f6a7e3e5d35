"""From a request to a job in the queue: every field is checked where its sentence can name it."""

from __future__ import annotations

import json
import math
import re
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from himalia.container import refused_env
from himalia.errors import Busy, FieldError, NotFound, TooMany
from himalia.ids import is_id, new_id
from himalia.models import ExtendRequest, JobRequest, Source
from himalia.owners import Owner
from himalia.retrying import DEFAULT, parse_retry_on
from himalia.site import Profile, Site
from himalia.states import JobState
from himalia.units import format_duration, parse_duration, parse_size
from himalia_gpus.request import GPURequest, parse_request

from .capacity import why_it_never_fits
from .disk.allowance import disk_again, disk_asked
from .disk.places import Places
from .engines.base import Engine, Image, Node
from .engines.errors import ImageMissing
from .person import Person
from .rulebook import Rulebook
from .sources import source_columns
from .store import Database, diffs, jobs, projects, snapshots
from .store.clock import from_text
from .store.moves import change
from .store.records import JobRecord, SnapshotRecord

PROJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST_NAME = 200
LARGEST_SPEC_BYTES = 256 * 1024
LONGEST_KEY = 200
DEEPEST_PARAMETER = 50
MOST_RETRIES = 100
EXTENDABLE = frozenset({JobState.QUEUED, JobState.STARTING, JobState.RUNNING})


class Submitter:
    """Turns requests into jobs."""

    def __init__(self, db: Database, engine: Engine, site: Site, rulebook: Rulebook, places: Places) -> None:
        self.db = db
        self.engine = engine
        self.site = site
        self.rulebook = rulebook
        self.places = places

    async def submit(
        self, request: JobRequest, person: Person, nodes: list[Node], *, fetched: Source | None = None
    ) -> tuple[JobRecord, bool]:
        """Queue a job; return it and whether it is new (a repeated idempotency key gives the first one).

        `fetched`: where the platform itself got its files from.
        """
        if request.idempotency_key:
            key = _text("idempotency_key", request.idempotency_key, LONGEST_KEY)
            known = await self.db.read(lambda db: jobs.by_key(db, person.id, key))
            if known:
                return known, False
        values = self.checked(request, person, nodes) | source_columns(request, fetched)
        await self.must_have_room(person, person.owner_id(Owner.parse(request.owner)) if request.owner else person.id)
        image = await self.image(request.image or self.profile(request.profile, person).image)
        values |= {"image": image.reference, "image_id": image.image_id}
        return await self.db.write(lambda db: self._write(db, request, person, values))

    async def must_have_room(self, person: Person, owner_id: str) -> None:
        """Raise DiskFull where a storage that the job would write to is above its limit."""
        await self.places.must_have_room(person, owner_id)

    def checked(self, request: JobRequest, person: Person, nodes: list[Node]) -> dict[str, Any]:
        """Return a job's columns, checked; raise FieldError that names the field."""
        profile = self.profile(request.profile, person)
        gpus = parse_request(request.gpus if request.gpus is not None else profile.gpus)
        cpus = _cpus(request.cpus, profile)
        memory_bytes = parse_size(request.memory, "memory") if request.memory is not None else profile.memory
        never = why_it_never_fits(cpus, memory_bytes, gpus, nodes, self.site.limits)
        if never:
            raise FieldError(*never)
        self._within_limits(person, profile, gpus)
        limit = _timeout(request.timeout, profile)
        return {
            "profile": profile.name,
            "gpus": str(gpus),
            "cpus": cpus,
            "memory_bytes": memory_bytes,
            "disk_bytes": disk_asked(request.disk, profile),
            "timeout_seconds": limit,
            "warn_seconds": _warn(request.warn, limit),
            "preemptible": request.preemptible,
            "retries": _between("retries", request.retries, 0, MOST_RETRIES),
            "retry_on": _retry_on(request),
            "spec": _spec(request),
            "name": _text("name", request.name or _default_name(request), LONGEST_NAME),
            "experiment": request.experiment and _project_name("experiment", request.experiment),
            "project": _project_name("project", request.project),
        }

    def _within_limits(self, person: Person, profile: Profile, gpus: GPURequest) -> None:
        """Raise FieldError when a quota lets this person never hold so much."""
        refused = self.rulebook.why_never_allowed(person.name, person.teams, profile.name, gpus)
        if refused:
            raise FieldError("gpus", refused)

    def profile(self, name: str | None, person: Person) -> Profile:
        """Return the profile of a job; none: the first that the person may use."""
        usable = [
            profile
            for profile in self.site.profiles
            if profile.jobs and profile.allows(person.name, list(person.teams), admin=person.admin)
        ]
        names = ", ".join(profile.name for profile in usable) or "none"
        if name is None and usable:
            return usable[0]
        for profile in usable:
            if profile.name == name:
                return profile
        raise FieldError("profile", f"There is no profile {name!r} for your jobs. There are: {names}.")

    async def image(self, name: str) -> Image:
        """Return the image a job runs in, by its id of now; raise FieldError when it is not offered or not here."""
        reference = self.site.image_reference(name)
        if reference is None:
            offered = ", ".join(image.name for image in self.site.images) or "none"
            raise FieldError("image", f"The image {name!r} is not offered here. There are: {offered}.")
        try:
            return await self.engine.resolve_image(reference)
        except ImageMissing as error:
            raise FieldError(
                "image", f"The image {reference} is not on this machine. Ask an administrator to bring it here."
            ) from error

    def _write(
        self, db: Connection, request: JobRequest, person: Person, values: dict[str, Any]
    ) -> tuple[JobRecord, bool]:
        if request.idempotency_key:
            known = jobs.by_key(db, person.id, request.idempotency_key)
            if known:
                return known, False
        if jobs.count_live(db, person.id) >= self.site.limits.jobs_per_user:
            raise TooMany(
                f"You have {self.site.limits.jobs_per_user} jobs waiting or running, as many as one person may. "
                "Wait for some to end, or cancel some."
            )
        owner = Owner.parse(request.owner) if request.owner else Owner.user(person.name)
        owner_id = person.owner_id(owner)
        project = projects.ensure(db, owner_id, str(owner), values["project"])
        snapshot = _snapshot(db, request.snapshot, person) if request.snapshot else None
        diff = values.pop("diff", None)
        if diff is not None:
            values["diff_digest"] = diffs.keep(db, owner_id, diff)
        values |= {
            "id": new_id(),
            "project_id": project.id,
            "owner_id": owner_id,
            "owner": str(owner),
            "user_id": person.id,
            "user": person.name,
            "teams": dict(person.teams),
            "snapshot_id": snapshot and snapshot.id,
            "snapshot_owner_id": snapshot and snapshot.owner_id,
            "snapshot_digest": snapshot and snapshot.digest,
            "idempotency_key": request.idempotency_key,
        }
        return jobs.add(db, values), True

    async def rerun(self, job: JobRecord, person: Person, nodes: list[Node]) -> JobRecord:
        """Queue a job once more: the same snapshot and image, today's limits."""
        profile = self.profile(job.profile, person)
        gpus = parse_request(job.gpus)
        never = why_it_never_fits(job.cpus, job.memory_bytes, gpus, nodes, self.site.limits)
        if never:
            raise FieldError(*never)
        self._within_limits(person, profile, gpus)
        await self.must_have_room(person, job.owner_id)
        spec = dict(job.spec)
        if job.user_id != person.id:
            spec["env"] = {}  # values are shown to the submitter alone, so they are not handed on either
        values = {
            "project": job.project,
            "name": job.name,
            "experiment": job.experiment,
            "profile": profile.name,
            "gpus": str(gpus),
            "cpus": job.cpus,
            "memory_bytes": job.memory_bytes,
            "disk_bytes": disk_again(job.disk_bytes, profile),
            "timeout_seconds": (limit := min(job.timeout_seconds, profile.max_time_limit)),
            "warn_seconds": job.warn_seconds if job.warn_seconds and job.warn_seconds < limit else None,
            "retries": job.retries,
            "retry_on": job.retry_on,
            "preemptible": job.preemptible,
            "spec": spec,
            "image": job.image,
            "image_id": job.image_id,
            "rerun_of": job.id,
            "source": job.source,
            "diff_digest": job.diff_digest,
        }
        request = JobRequest(project=job.project, owner=job.owner, snapshot=job.snapshot_id)
        written, _ = await self.db.write(lambda db: self._write(db, request, person, values))
        return written

    async def extend(self, job: JobRecord, request: ExtendRequest) -> None:
        """Give a job more time; raise FieldError or Busy where its profile or its state allows none."""
        more = parse_duration(request.by, "by")

        def write(db: Connection) -> None:
            fresh = jobs.get(db, job.id)
            if fresh.state not in EXTENDABLE or fresh.cancel_requested:
                raise Busy(f"{job.id} is {fresh.state} and ends. Run it again with a longer time limit.")
            change(db, job.id, timeout_seconds=self._longer(db, fresh, more))

        await self.db.write(write)

    def _longer(self, db: Connection, job: JobRecord, more_seconds: int) -> int:
        """Return a job's new time limit."""
        profile = self.site.profile(job.profile)
        most = profile.max_time_limit if profile else job.timeout_seconds
        longer = job.timeout_seconds + more_seconds
        if longer > most:
            left = max(0, most - job.timeout_seconds)
            could = f"{format_duration(left)} more at most" if left else "no more"
            raise FieldError(
                "by",
                f"The profile {job.profile} allows {format_duration(most)} in all, and {job.id} has "
                f"{format_duration(job.timeout_seconds)}: it can get {could}.",
            )
        attempt = jobs.last_attempt(db, job.id)
        if job.state is not JobState.QUEUED and attempt is not None and attempt.started_at is not None:
            crossed = self.rulebook.maintenance_before(from_text(attempt.started_at) + timedelta(seconds=longer))
            if crossed:
                raise Busy(f"{crossed} With so much more time {job.id} would run into it. Ask for less.")
        return longer


def _snapshot(db: Connection, snapshot_id: str, person: Person) -> SnapshotRecord:
    snapshot = snapshots.find(db, snapshot_id) if is_id(snapshot_id) else None
    if snapshot is None or not person.may_see(snapshot.owner_id, snapshot.user_id):
        raise NotFound(f"There is no snapshot {snapshot_id}. Send the files first.")
    if not snapshot.committed:
        raise Busy(f"The snapshot {snapshot_id} is not complete. Send what is missing and commit it.")
    return snapshot


def _spec(request: JobRequest) -> dict[str, Any]:
    """Return what runs, as it is kept with the job."""
    if (request.command is None) == (request.notebook is None):
        raise FieldError("command", "Give either a command or a notebook.")
    spec: dict[str, Any] = {
        "workdir": _inside("workdir", request.workdir),
        "env": _env(request),
        "clean": request.clean,
    }
    if request.notebook is not None:
        path = _inside("notebook", request.notebook.path)
        if not path.endswith(".ipynb"):
            raise FieldError("notebook", f"{request.notebook.path!r} is no notebook: its name does not end in .ipynb.")
        spec["notebook"] = {"path": path, "parameters": _parameters(request.notebook.parameters)}
        spec["command"] = []
    else:
        spec["command"] = _command(request.command)
    # What is far too large is not written out for it to be measured: others would wait for that.
    words = sum(len(word) + 1 for word in (*spec["command"], *spec["env"], *spec["env"].values()))
    if words > LARGEST_SPEC_BYTES or len(repr(spec)) > LARGEST_SPEC_BYTES:
        raise FieldError(
            "command", "Command, environment and parameters are larger than 256 KB together. Put them in a file."
        )
    return spec


def _parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook's parameters; refuse names that are no variable's, and values that cannot be written as JSON."""
    odd = next((name for name in parameters if not name.isidentifier()), None)
    if odd is not None:
        raise FieldError("notebook", f"{odd!r} is no name of a parameter. Write it like a variable: learning_rate.")
    try:
        json.dumps(parameters, ensure_ascii=False, allow_nan=False).encode("utf-8")
        _check_depth(parameters, DEEPEST_PARAMETER)
    except (ValueError, RecursionError) as error:
        raise FieldError(
            "notebook", "A parameter is no plain JSON value: it is no UTF-8, not a number, or nested too deeply."
        ) from error
    return parameters


def _check_depth(value: Any, most: int) -> None:
    """Raise ValueError for a value that is nested more deeply."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if inner and not most:
        raise ValueError("nested too deeply")
    for one in inner:
        _check_depth(one, most - 1)


def _command(command: list[str] | str | None) -> list[str]:
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command or [])
    empty = not argv or not argv[0] or (isinstance(command, str) and not command.strip())
    if empty or any("\0" in word for word in argv):
        raise FieldError("command", "The command is empty or has a NUL character. Write it like: python train.py.")
    return argv


def _env(request: JobRequest) -> dict[str, str]:
    for name, value in request.env.items():
        if not ENV_NAME.fullmatch(name) or "\0" in value:
            raise FieldError(
                "env", f"{name[:100]!r} is no name of an environment variable, or its value has a NUL character."
            )
    refused = refused_env(request.env)
    if refused:
        raise FieldError("env", f"The platform sets these itself: {', '.join(refused)}. Leave them out.")
    return dict(request.env)


def _inside(field: str, path: str) -> str:
    """Return a path relative to the workspace, without dots; refuse one that leads out."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path or len(path) > 4096:
        raise FieldError(field, f"{path!r} is not inside the submitted directory. Write a path relative to it.")
    return "/".join(parts)


def _cpus(asked: float | None, profile: Profile) -> float:
    cpus = profile.cpus if asked is None else asked
    if not math.isfinite(cpus) or cpus < 0.01:
        raise FieldError("cpus", f"{cpus!r} is no number of CPUs. Write it like 2 or 0.5.")
    return cpus


def _timeout(asked: str | int | None, profile: Profile) -> int:
    seconds = profile.time_limit if asked is None else parse_duration(asked)
    if seconds > profile.max_time_limit:
        hours = profile.max_time_limit / 3600
        raise FieldError(
            "timeout",
            f"The profile {profile.name} allows {hours:g} h at most. Ask for less, or choose another profile.",
        )
    return seconds


def _warn(asked: str | int | None, limit: int) -> int | None:
    """Return how long before its time limit a job is warned."""
    if asked is None:
        return None
    seconds = parse_duration(asked, "warn")
    if seconds >= limit:
        told = format_duration(limit)
        raise FieldError("warn", f"The time limit is {told}, so the warning must come less than {told} before it.")
    return seconds


def _retry_on(request: JobRequest) -> str:
    """Return the causes of a retry in their canonical form."""
    if request.retry_on is None:
        return DEFAULT
    causes = parse_retry_on(request.retry_on)
    if not request.retries:
        raise FieldError(
            "retry_on", "It says after what to try again, and not how often. Give retries as well, such as 3."
        )
    return str(causes)


def _between(field: str, number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise FieldError(field, f"{number} is out of range. It must lie between {least} and {most}.")
    return number


def _project_name(field: str, name: str) -> str:
    if not PROJECT_NAME.fullmatch(name):
        raise FieldError(field, f"{name!r} is no name for this. Use letters, digits, '.', '_' and '-', 100 at most.")
    return name


def _text(field: str, text: str, longest: int) -> str:
    if not text.strip() or len(text) > longest or any(ord(letter) < 32 for letter in text):
        raise FieldError(field, f"Give 1 to {longest} characters without line breaks.")
    return text


def _default_name(request: JobRequest) -> str:
    if request.notebook is not None:
        return request.notebook.path.rsplit("/", 1)[-1][:LONGEST_NAME]
    command = request.command if isinstance(request.command, str) else " ".join(request.command or [])
    return " ".join(command.split())[:60] or "job"
