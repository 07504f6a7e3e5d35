"""A job service in memory, behind httpx: the real routes and the real bodies, and faults where a test wants them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
from job_bodies import NOW, Blocks, FakeJob, job_view, profile, succeed, unpack
from pydantic import BaseModel

from himalia.errors import Busy, FieldError, Forbidden, HimaliaError, NotFound, Unauthenticated
from himalia.gpus import SlotHealth
from himalia.ids import new_id
from himalia.models import (
    ArtifactList,
    Event,
    ExtendRequest,
    GPUModeView,
    GPUsView,
    JobPage,
    JobRequest,
    JobSummary,
    Me,
    MoveRequest,
    NodeView,
    NoticeView,
    ProjectView,
    QuarantineRequest,
    SlotView,
    SnapshotRequest,
    SnapshotView,
    UsageBy,
    UsageRow,
    UsageView,
)
from himalia.snapshot.pack import manifest_digest
from himalia.states import FINAL_STATES, JobState
from himalia.units import parse_duration

URL = "https://gpu.example.org/services/jobs/api"
TOKEN = "token-of-ada"
Fault = Exception | httpx.Response


class FakeService:
    """What the client talks to. `faults` come in the place of the answers that match, each once."""

    def __init__(self) -> None:
        self.me = Me(
            name="ada",
            admin=False,
            teams=("nlp",),
            scopes=(),
            api_version=1,
            oldest_client="0.1.0",
            version="0.1.0",
            largest_workspace_bytes=10 * 1024**3,
            most_workspace_entries=1000,
        )
        self.jobs: dict[str, FakeJob] = {}
        self.slots: list[SlotView] = []
        self.usage: list[UsageRow] = []
        self.contents: dict[str, bytes] = {}
        self.manifests: dict[str, SnapshotRequest] = {}
        self.committed: set[str] = set()
        self.projects: dict[str, ProjectView] = {}
        self.events: list[Event] = []
        self.notices: list[NoticeView] = []
        self.cuts: dict[str, list[int]] = {}  #: path ending -> after how many bytes its answers break off
        self.faults: list[tuple[str, str, Fault]] = []
        self.asked: list[tuple[str, str]] = []
        self.headers: list[httpx.Headers] = []
        self.tags = True  #: whether files come with their entity tags
        self.queries: list[dict[str, str]] = []
        self.requests: list[JobRequest] = []
        self.script: Callable[[FakeJob], None] = lambda job: succeed(job)

    def breaks(self, method: str, path: str, *faults: Fault) -> None:
        """Let the next requests that match fail, one after the other."""
        self.faults += [(method, path, fault) for fault in faults]

    def add_job(self, **changes: Any) -> FakeJob:
        """Put a job there."""
        job = FakeJob(view=job_view(**changes))
        self.jobs[job.view.id] = job
        return job

    def count(self, method: str, path: str) -> int:
        """Return how often something was asked for."""
        return sum(1 for asked in self.asked if asked[0] == method and re.fullmatch(path, asked[1]))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, as httpx's MockTransport wants it."""
        path = request.url.path.partition("/services/jobs/api/")[2]
        self.asked.append((request.method, path))
        self.headers.append(request.headers)
        self.queries.append(dict(request.url.params))
        for number, (method, pattern, fault) in enumerate(self.faults):
            if method == request.method and re.fullmatch(pattern, path):
                del self.faults[number]
                if isinstance(fault, httpx.Response):
                    return fault
                if not isinstance(fault, HimaliaError):
                    raise fault
                return httpx.Response(fault.status, json=fault.to_json())
        try:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Unauthenticated("The token is not known here (any more). Log in again.")
            return self._route(request, path)
        except HimaliaError as error:
            return httpx.Response(error.status, json=error.to_json())

    def _route(self, request: httpx.Request, path: str) -> httpx.Response:
        for method, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == request.method:
                return handler(self, request, *match.groups())
        raise NotFound("There is nothing at this address.")

    def _me(self, request: httpx.Request) -> httpx.Response:
        return _answer(self.me)

    def _profiles(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"profiles": [profile().model_dump(mode="json")]})

    def _gpus(self, request: httpx.Request) -> httpx.Response:
        node = NodeView(node_id="local", cpus=8, cpus_free=6, memory_bytes=2**34, memory_free_bytes=2**33)
        note = "" if self.slots else "No GPU was found on this platform."
        return _answer(GPUsView(slots=tuple(self.slots), free=0, nodes=(node,), queue=(), note=note))

    def _usage(self, request: httpx.Request) -> httpx.Response:
        by = UsageBy(request.url.params["by"])
        return _answer(UsageView(by=by, since=NOW, until=NOW, rows=tuple(self.usage), gpu_hours=len(self.usage)))

    def _usage_table(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=f"month,name\n{request.url.params.get('from')},ada\n")

    def _quarantine(self, request: httpx.Request, uuid: str) -> httpx.Response:
        why = QuarantineRequest.model_validate_json(request.content).why
        return self._keep_back(request, uuid, {"health": SlotHealth.QUARANTINED, "health_detail": why})

    def _drain(self, request: httpx.Request, uuid: str) -> httpx.Response:
        return self._keep_back(request, uuid, {"health": SlotHealth.DRAINED})

    def _release(self, request: httpx.Request, uuid: str) -> httpx.Response:
        return self._keep_back(request, uuid, {"ending": True})

    def _mode(self, request: httpx.Request, uuid: str) -> httpx.Response:
        asked = json.loads(request.content or b"{}")
        mode, seats = asked.get("mode", "exclusive"), asked.get("seats") or 0
        said = f"GPU 0 is {mode}{f', {seats} seats' if seats else ''}."
        return _answer(GPUModeView(uuid=uuid, index=0, mode=mode, seats=seats, by="x", in_force=True, sentence=said))

    def _interventions(self, request: httpx.Request) -> httpx.Response:
        done = [{"at": NOW.isoformat(), "by": "root", "sentence": "root drained GPU 0."}] if self.slots else []
        return httpx.Response(200, json={"interventions": done})

    def _return(self, request: httpx.Request, uuid: str) -> httpx.Response:
        self._keep_back(request, uuid, {"health": SlotHealth.OK, "health_detail": ""})
        return httpx.Response(204)

    def _keep_back(self, request: httpx.Request, uuid: str, said: dict[str, object]) -> httpx.Response:
        self.slots = [slot.model_copy(update=said) if slot.uuid == uuid else slot for slot in self.slots]
        return self._gpus(request)

    def _open(self, request: httpx.Request) -> httpx.Response:
        asked = SnapshotRequest.model_validate_json(request.content)
        if asked.owner not in ("user:ada", "team:nlp"):
            raise FieldError("owner", f"You are not {asked.owner}. Your own are: user:ada, team:nlp.")
        if asked.manifest is None:
            return self._whole(asked)
        snapshot = new_id()
        self.manifests[snapshot] = asked
        return _answer(self._snapshot(snapshot), 201)

    def _whole(self, asked: SnapshotRequest) -> httpx.Response:
        for snapshot in self.committed:
            if self._snapshot(snapshot).digest == asked.digest and asked.owner == self.manifests[snapshot].owner:
                return _answer(self._snapshot(snapshot), 201)
        raise NotFound("There is no such snapshot. Send its manifest.")

    def _put(self, request: httpx.Request, snapshot: str) -> httpx.Response:
        self.contents.update(unpack(request.content))
        return _answer(self._snapshot(snapshot))

    def _commit(self, request: httpx.Request, snapshot: str) -> httpx.Response:
        if self._snapshot(snapshot).missing:
            raise Busy("1 contents are still missing. Send them, then commit again.")
        self.committed.add(snapshot)
        return _answer(self._snapshot(snapshot))

    def _snapshot(self, snapshot: str) -> SnapshotView:
        asked = self.manifests[snapshot]
        wanted = {chunk for entry in asked.manifest.entries for chunk in entry.chunks}
        return SnapshotView(
            id=snapshot,
            owner=asked.owner,
            digest=manifest_digest(asked.manifest),
            committed=snapshot in self.committed,
            missing=tuple(sorted(wanted - self.contents.keys())),
            file_count=len(asked.manifest.entries),
            size_bytes=sum(entry.size_bytes for entry in asked.manifest.entries),
        )

    def _submit(self, request: httpx.Request) -> httpx.Response:
        wish = JobRequest.model_validate_json(request.content)
        if wish.profile == "huge":
            raise FieldError("profile", "There is no profile 'huge' for your jobs. There are: small.")
        known = [asked.idempotency_key for asked in self.requests]
        self.requests.append(wish)
        if wish.idempotency_key in known:
            job = list(self.jobs.values())[known.index(wish.idempotency_key)]
            return _answer(job.view, 200)
        command = ["sh", "-c", wish.command] if isinstance(wish.command, str) else wish.command or []
        job = self.add_job(
            name=wish.name or " ".join(command) or "notebook",
            project=wish.project,
            owner=wish.owner or "user:ada",
            command=command,
            notebook=wish.notebook,
            env=wish.env,
        )
        self.script(job)
        return _answer(job.view, 201)

    def _jobs(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        limit, start = int(query.get("limit", 50)), int(query.get("cursor", 0))
        found = [job.view for job in self.jobs.values() if query.get("project") in (None, job.view.project)][::-1]
        states = query.get("state", "").split(",") if query.get("state") else list(JobState)
        if set(states) - set(JobState):
            raise FieldError("state", f"{states[0]!r} is no state. There are: {', '.join(JobState)}.")
        found = [view for view in found if view.state in states]
        page = [JobSummary.model_validate(view.model_dump()) for view in found[start : start + limit]]
        more = str(start + limit) if len(found) > start + limit else None
        return _answer(JobPage(jobs=tuple(page), cursor=more))

    def job(self, prefix: str) -> FakeJob:
        """Return a job by a unique beginning of its id."""
        found = [job for job_id, job in self.jobs.items() if job_id.startswith(prefix)]
        if len(found) > 1:
            raise Busy(f"More than one job begins with {prefix}. Write more of the id.")
        if not found:
            raise NotFound(f"There is no job {prefix} that you may see.")
        return found[0]

    def _job(self, request: httpx.Request, prefix: str) -> httpx.Response:
        return _answer(self.job(prefix).look())

    def _delete(self, request: httpx.Request, prefix: str) -> httpx.Response:
        job = self.job(prefix)
        if job.view.state not in FINAL_STATES:
            raise Busy(f"{job.view.id} is {job.view.state}. Cancel it first, then delete it.")
        del self.jobs[job.view.id]
        return httpx.Response(204)

    def _cancel(self, request: httpx.Request, prefix: str) -> httpx.Response:
        job = self.job(prefix)
        if job.view.state not in FINAL_STATES:
            job.become(cancel_requested=True)
        return _answer(job.view)

    def _extend(self, request: httpx.Request, prefix: str) -> httpx.Response:
        job, wish = self.job(prefix), ExtendRequest.model_validate_json(request.content)
        longer = job.view.timeout_seconds + parse_duration(wish.by, "by")
        if longer > 7200:
            raise FieldError("by", "The profile small allows 2 h in all.")
        job.become(timeout_seconds=longer)
        return _answer(job.view)

    def _move(self, request: httpx.Request, prefix: str) -> httpx.Response:
        job, wish = self.job(prefix), MoveRequest.model_validate_json(request.content)
        job.become(sentence=f"Moved: first={wish.first}, last={wish.last}, before={wish.before}.")
        return _answer(job.view)

    def _rerun(self, request: httpx.Request, prefix: str) -> httpx.Response:
        first = self.job(prefix)
        again = self.add_job(name=first.view.name, project=first.view.project, rerun_of=first.view.id)
        self.script(again)
        return _answer(again.view, 201)

    def _log(self, request: httpx.Request, prefix: str) -> httpx.Response:
        job, query = self.job(prefix), request.url.params
        number = int(query.get("attempt") or job.view.attempt)
        if number == 0:
            return httpx.Response(200, content=b"")
        coming = "follow" in query and number == job.view.attempt + 1 and job.view.state not in FINAL_STATES
        if number > job.view.attempt and not coming:
            raise NotFound(f"{job.view.id} has no attempt {number}.")
        content = job.logs[number - 1] if number <= len(job.logs) else b""
        if int(query.get("offset", 0)) > len(content):
            raise FieldError("offset", "The log is shorter than this offset. Start again from 0.")
        return self._blocks(content[int(query.get("offset", 0)) :], "logs")

    def _artifacts(self, request: httpx.Request, prefix: str) -> httpx.Response:
        job = self.job(prefix)
        live, attempt = job.view.state not in FINAL_STATES, f"{job.view.id}.{max(1, job.view.attempt)}"
        page = job.artifacts_page(int(dict(request.url.params).get("cursor", 0)))
        return _answer(ArtifactList(attempt=attempt, live=live, **page))

    def _artifact(self, request: httpx.Request, prefix: str, path: str) -> httpx.Response:
        content, asked = self.job(prefix).artifacts[path], request.headers.get("Range")
        tag = f'"{hash(content):x}"'
        asked = asked if request.headers.get("If-Range", tag) == tag else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start and start >= len(content):
            return httpx.Response(416)
        return self._blocks(content[start:], path, 206 if asked else 200, {"ETag": tag} if self.tags else {})

    def _events(self, request: httpx.Request) -> httpx.Response:
        last = int(request.headers.get("Last-Event-ID", -1))
        lines = "".join(f"id: {one.seq}\ndata: {one.model_dump_json()}\n\n" for one in self.events if one.seq > last)
        return self._blocks(f": hello\n\n{lines}".encode(), "events")

    def _notices(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"notices": [one.model_dump(mode="json") for one in self.notices]})

    def _answer_notice(self, request: httpx.Request, notice_id: str) -> httpx.Response:
        notice = next(one for one in self.notices if one.id == notice_id)
        answer = json.loads(request.content)["answer"]
        if answer not in (notice.actions or {"seen": ""}):
            raise FieldError("answer", f"{answer!r} is no answer to this. Possible: {', '.join(notice.actions)}.")
        self.notices.remove(notice)
        return _answer(notice.model_copy(update={"answer": answer}))

    def _metrics(self, request: httpx.Request, prefix: str) -> httpx.Response:
        self.job(prefix)
        return httpx.Response(200, json={"samples": [{"at": NOW.isoformat(), "cpu_percent": 150.0}]})

    def _list_projects(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"projects": [one.model_dump(mode="json") for one in self.projects.values()]})

    def _make_project(self, request: httpx.Request) -> httpx.Response:
        wish = json.loads(request.content)
        made = ProjectView(owner=wish.get("owner") or "user:ada", name=wish["name"], created_at=NOW)
        self.projects[made.name] = made
        return _answer(made, 201)

    def _project(self, request: httpx.Request, owner: str, name: str) -> httpx.Response:
        if name not in self.projects:
            raise NotFound(f"There is no project {name} of {owner} that you may see.")
        return _answer(self.projects[name])

    def _drop_project(self, request: httpx.Request, owner: str, name: str) -> httpx.Response:
        if owner != "user:ada":
            raise Forbidden("Only members may do that.")
        del self.projects[name]
        return httpx.Response(204)

    def _blocks(self, content: bytes, ending: str, status: int = 200, headers: Any = None) -> httpx.Response:
        cuts = self.cuts.get(ending)
        return httpx.Response(status, headers=headers, stream=Blocks(content, cuts.pop(0) if cuts else None))


ID = r"([^/]+)"
ROUTES: list[tuple[str, str, Callable[..., httpx.Response]]] = [
    ("GET", "me", FakeService._me),
    ("GET", "profiles", FakeService._profiles),
    ("GET", "gpus", FakeService._gpus),
    ("GET", "usage", FakeService._usage),
    ("GET", "usage.csv", FakeService._usage_table),
    ("POST", f"gpus/{ID}/quarantine", FakeService._quarantine),
    ("DELETE", f"gpus/{ID}/quarantine", FakeService._return),
    ("POST", f"gpus/{ID}/drain", FakeService._drain),
    ("POST", f"gpus/{ID}/release", FakeService._release),
    ("GET", f"gpus/{ID}/mode", FakeService._mode),
    ("PUT", f"gpus/{ID}/mode", FakeService._mode),
    ("DELETE", f"gpus/{ID}/mode", FakeService._mode),
    ("GET", "interventions", FakeService._interventions),
    ("POST", "snapshots", FakeService._open),
    ("PUT", f"snapshots/{ID}/contents", FakeService._put),
    ("POST", f"snapshots/{ID}/commit", FakeService._commit),
    ("POST", "jobs", FakeService._submit),
    ("GET", "jobs", FakeService._jobs),
    ("GET", f"jobs/{ID}", FakeService._job),
    ("DELETE", f"jobs/{ID}", FakeService._delete),
    ("POST", f"jobs/{ID}/cancel", FakeService._cancel),
    ("POST", f"jobs/{ID}/extend", FakeService._extend),
    ("POST", f"jobs/{ID}/move", FakeService._move),
    ("POST", f"jobs/{ID}/rerun", FakeService._rerun),
    ("GET", f"jobs/{ID}/metrics", FakeService._metrics),
    ("GET", f"jobs/{ID}/logs", FakeService._log),
    ("GET", f"jobs/{ID}/artifacts", FakeService._artifacts),
    ("GET", f"jobs/{ID}/artifacts/(.+)", FakeService._artifact),
    ("GET", "events", FakeService._events),
    ("GET", "notices", FakeService._notices),
    ("POST", f"notices/{ID}/answer", FakeService._answer_notice),
    ("GET", "projects", FakeService._list_projects),
    ("POST", "projects", FakeService._make_project),
    ("GET", f"projects/{ID}/{ID}", FakeService._project),
    ("DELETE", f"projects/{ID}/{ID}", FakeService._drop_project),
]


def _answer(body: BaseModel, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=body.model_dump_json(), headers={"Content-Type": "application/json"})
