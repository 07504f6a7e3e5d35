"""Fetches under way: each becomes a snapshot and then a job, whether or not somebody still waits for it.

They are kept in memory: a token must not be on the disk. A fetch that the service's end cuts off is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from himalia.errors import Busy, DiskFull, FieldError, HimaliaError, NotFound, TooMany, Unavailable
from himalia.git import Repository, parse_repository
from himalia.ids import new_id
from himalia.models import EntryType, FetchRequest, FetchState, FetchView, JobRequest, Source
from himalia.models.fetches import FETCHED
from himalia.notebooks import kind_of
from himalia.owners import Owner
from himalia.site import Limits, Site
from himalia.snapshot import Packed, Scan, pack

from ..contents import ContentStore
from ..contents.files import for_people
from ..contents.store import Accepted
from ..engines.base import Node
from ..person import Person
from ..store import Database, jobs, snapshots
from ..store.records import JobRecord
from ..submitting import Submitter
from .cage import Cage, Stopped, why_not
from .fetching import Fetching
from .hosts import check_host

log = logging.getLogger(__name__)

MOST_OF_ONE = 4  #: fetches of one person under way
KEPT = 1000  #: that are remembered
COPIES = 3  #: what git fetched, its files, and what is kept of them
OURS = "Something went wrong on our side; it is in the service's log."


@dataclass(kw_only=True, eq=False)
class Fetch:
    """A repository on its way to a job."""

    person: Person
    repository: Repository
    job: JobRequest
    token: str | None = field(repr=False)
    id: str = field(default_factory=new_id)
    state: FetchState = FetchState.WAITING
    source: Source | None = None
    job_id: str | None = None
    error: HimaliaError | None = None
    stopped: bool = False
    cage: Cage | None = None
    task: asyncio.Task[None] | None = None

    def is_for(self, key: str, person: Person) -> bool:
        """Tell whether a person's key has begun it; one that failed may be tried again."""
        mine = self.person.id == person.id and self.job.idempotency_key == key
        return mine and self.state is not FetchState.FAILED

    def stop(self) -> None:
        """End it; raise Busy once there may be a job."""
        if self.state in FETCHED or self.state is FetchState.READING:
            raise Busy("The fetch is through. Cancel its job, which is in the list of jobs.")
        self.stopped = True
        if self.cage is not None:
            self.cage.stop()

    def view(self) -> FetchView:
        """Return how far it is."""
        error = self.error
        return FetchView(
            id=self.id,
            state=self.state,
            sentence=self._sentence(),
            source=self.source,
            job_id=self.job_id,
            status=error.status if error else 0,
            error=error.to_json()["error"] if error else None,
        )

    def _sentence(self) -> str:
        if self.error is not None:
            return self.error.message
        said = self.repository.said
        return {
            FetchState.WAITING: f"Waiting to fetch {said}; others are fetched first.",
            FetchState.FETCHING: f"Fetching {said}…",
            FetchState.READING: f"Keeping the files of {said}…",
        }.get(self.state, f"Fetched {said}.")


class Fetches:
    """All fetches of this life of the service."""

    def __init__(
        self,
        db: Database,
        contents: ContentStore,
        submitter: Submitter,
        site: Site,
        folder: Path,
        wake: Callable[[], Awaitable[None]],
    ) -> None:
        self._db = db
        self._contents = contents
        self._submitter = submitter
        self._site = site
        self._folder = folder
        self._wake = wake
        self._known: dict[str, Fetch] = {}
        self._threads = ThreadPoolExecutor(site.git.at_once, thread_name_prefix="git")

    async def begin(self, request: FetchRequest, person: Person, nodes: list[Node]) -> tuple[Fetch, bool]:
        """Begin a fetch; return it and whether it is new (a repeated idempotency key gives the first one)."""
        repository, key = parse_repository(request.git), request.job.idempotency_key
        if request.job.snapshot is not None or request.job.source is not None:
            raise FieldError("snapshot", "The repository becomes the snapshot: leave 'snapshot' and 'source' out.")
        check_host(repository, self._site.git)
        owner_id = person.owner_id(owner_of(request.job, person))
        self._submitter.checked(request.job, person, nodes)
        await self._submitter.must_have_room(person, owner_id)
        reason = await asyncio.to_thread(why_not)
        if reason:
            raise Unavailable(f"{reason} Clone the repository, and submit the directory; or tell an administrator.")
        job = await self._db.read(lambda db: jobs.by_key(db, person.id, key)) if key else None
        known = next((one for one in self._known.values() if key and one.is_for(key, person)), None)
        if known is not None:
            return known, False
        if job is not None:
            return self._through(job, request, repository, person), False
        if sum(one.person.id == person.id and one.state not in FETCHED for one in self._known.values()) >= MOST_OF_ONE:
            raise TooMany(f"{MOST_OF_ONE} repositories are fetched for you already. Wait for one of them.")
        fetch = Fetch(
            person=person, repository=repository, job=request.job, token=(request.token or "").strip() or None
        )
        self._remember(fetch)
        fetch.task = asyncio.create_task(self._bring(fetch, nodes), name=f"fetch {fetch.id}")
        return fetch, True

    def of(self, fetch_id: str, person: Person) -> Fetch:
        """Return one's own fetch; raise NotFound."""
        fetch = self._known.get(fetch_id)
        if fetch is None or fetch.person.id != person.id:
            raise NotFound("This fetch is not known (any more). The list of jobs shows whether it became one.")
        return fetch

    def tidy(self) -> None:
        """Remove what an earlier life left behind."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def close(self) -> None:
        """End all; nothing of them is left."""
        under_way = [fetch for fetch in self._known.values() if fetch.state not in FETCHED]
        for fetch in under_way:
            with suppress(Busy):
                fetch.stop()
        await asyncio.gather(*(fetch.task for fetch in under_way if fetch.task), return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _through(self, job: JobRecord, request: FetchRequest, repository: Repository, person: Person) -> Fetch:
        """Return the fetch of a job that there is already, begun in an earlier life of the service."""
        source = Source.model_validate(job.source) if job.source else None
        done = Fetch(person=person, repository=repository, job=request.job, token=None, state=FetchState.DONE)
        done.source, done.job_id = source, job.id
        self._remember(done)
        return done

    def _remember(self, fetch: Fetch) -> None:
        ended = [one.id for one in self._known.values() if one.state in FETCHED]
        for fetch_id in ended[: max(0, len(self._known) - KEPT + 1)]:
            del self._known[fetch_id]
        self._known[fetch.id] = fetch

    async def _bring(self, fetch: Fetch, nodes: list[Node]) -> None:
        """Fetch, keep, submit."""
        loop = asyncio.get_running_loop()
        try:
            accepted, owner_id = await loop.run_in_executor(self._threads, self._work, fetch)
            snapshot = await self._db.write(
                lambda db: snapshots.add(
                    db,
                    owner_id=owner_id,
                    owner=str(owner_of(fetch.job, fetch.person)),
                    user_id=fetch.person.id,
                    digest=accepted.digest,
                    file_count=accepted.file_count,
                    size_bytes=accepted.size_bytes,
                )
            )
            await self._db.write(lambda db: snapshots.commit(db, snapshot.id))
            wish = fetch.job.model_copy(update={"snapshot": snapshot.id})
            job, _ = await self._submitter.submit(wish, fetch.person, nodes, fetched=fetch.source)
            fetch.job_id, fetch.state = job.id, FetchState.DONE
            await self._wake()
        except HimaliaError as error:
            self._failed(fetch, error)
        except Exception:
            log.exception("the fetch %s failed", fetch.id)
            self._failed(fetch, HimaliaError(OURS))
        finally:
            fetch.token = None

    def _failed(self, fetch: Fetch, error: HimaliaError) -> None:
        fetch.error, fetch.state = error, FetchState.FAILED

    def _work(self, fetch: Fetch) -> tuple[Accepted, str]:
        """Fetch a repository and keep its files: in a thread."""
        if fetch.stopped:
            raise Stopped("The fetch was stopped. No job was made.")
        own = self._folder / fetch.id
        own.mkdir(mode=0o700, parents=True)
        try:
            limits, setting = self._limits(), self._site.git
            fetch.cage = Cage(own / "git", seconds=setting.time_limit, largest_bytes=limits.workspace)
            fetch.state = FetchState.FETCHING
            if fetch.stopped:
                fetch.cage.stop()
            fetching = Fetching(
                repository=fetch.repository, token=fetch.token, setting=setting, limits=limits, cage=fetch.cage
            )
            scanned, source = fetching.bring(own / "files", lambda known: setattr(fetch, "source", known))
            fetch.source = source
            check_choice(scanned, fetch.job)
            fetch.state = FetchState.READING
            owner_id = fetch.person.owner_id(owner_of(fetch.job, fetch.person))
            return keep(self._contents, owner_id, pack(scanned)), owner_id
        except OSError as error:
            raise for_people(error) from error
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def _limits(self) -> Limits:
        """Return what a repository may have: no more than the disk has room for, three times over."""
        limits = self._site.limits
        room = (shutil.disk_usage(self._site.data).free - limits.disk_reserve) // COPIES
        if room <= 0:
            raise DiskFull(
                "There is no room on the platform's disk. Ask an administrator to make room, then try again."
            )
        return limits.model_copy(update={"workspace": min(limits.workspace, room)})


def owner_of(job: JobRequest, person: Person) -> Owner:
    """Return whose project a job is for."""
    return Owner.parse(job.owner) if job.owner else Owner.user(person.name)


def keep(contents: ContentStore, owner_id: str, packed: Packed) -> Accepted:
    """Take files in as if their owner had sent them."""
    accepted = contents.accept(owner_id, packed.manifest)
    missing = contents.missing_of(owner_id, accepted.digest)
    if missing:
        receiver = contents.receive(owner_id, accepted.digest)
        try:
            for block in packed.stream(missing):
                receiver.feed(block)
            receiver.finish()
        finally:
            receiver.close()
    return accepted


def check_choice(scanned: Scan, job: JobRequest) -> None:
    """Raise FieldError when what is to run, or where, is not in the repository."""
    if not scanned.file_count:
        raise FieldError("git", "The repository has no files at that commit.")
    if job.notebook is not None and kind_of(scanned, job.notebook.path.removeprefix("./")) is None:
        raise FieldError("notebook", f"There is no {job.notebook.path} in the repository at that commit.")
    workdir = "/".join(step for step in job.workdir.split("/") if step not in ("", "."))
    kind = kind_of(scanned, workdir) if workdir else EntryType.DIR
    if kind is None or kind is EntryType.FILE:
        raise FieldError("workdir", f"There is no directory {job.workdir} in the repository at that commit.")
