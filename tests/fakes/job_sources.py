"""A job service in memory that fetches repositories as well, and gives files back as they were submitted."""

from __future__ import annotations

import re
from typing import Any

import httpx
from job_service import FakeService

from himalia.errors import FieldError, NotFound
from himalia.ids import new_id
from himalia.models import FetchRequest, FetchState, FetchView, Manifest, Source

COMMIT = "1a2b3c4d5e6f" + "0" * 28


class ServiceThatFetches(FakeService):
    """Each look at a fetch is one step further; `wrong` is how it ends instead."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches: dict[str, FetchRequest] = {}
        self.steps: dict[str, list[FetchState]] = {}
        self.stopped: list[str] = []
        self.wrong: FieldError | None = None
        self.manifest = Manifest(entries=())
        self.files: dict[str, bytes] = {}
        self.diff: bytes | None = None

    def _route(self, request: httpx.Request, path: str) -> httpx.Response:
        if request.method == "POST" and path == "fetches":
            return self._begin(FetchRequest.model_validate_json(request.content))
        if match := re.fullmatch(r"fetches/([^/]+)", path):
            return self._fetch(request.method, match[1])
        if match := re.fullmatch(r"jobs/([^/]+)/(files|diff)(?:/(.+))?", path):
            return self._kept(match[1], match[2], match[3])
        return super()._route(request, path)

    def _begin(self, wish: FetchRequest) -> httpx.Response:
        known = [key for key, one in self.fetches.items() if one.job.idempotency_key == wish.job.idempotency_key]
        fetch_id = known[0] if known else new_id()
        self.fetches[fetch_id] = wish
        self.steps[fetch_id] = [FetchState.FETCHING, FetchState.FETCHING, FetchState.READING, FetchState.DONE]
        return self._view(fetch_id, FetchState.WAITING)

    def _fetch(self, method: str, fetch_id: str) -> httpx.Response:
        if fetch_id not in self.steps:
            raise NotFound("This fetch is not known (any more).")
        if method == "DELETE":
            self.stopped.append(fetch_id)
            return httpx.Response(204)
        return self._view(fetch_id, self.steps[fetch_id].pop(0))

    def _view(self, fetch_id: str, state: FetchState) -> httpx.Response:
        told: dict[str, Any] = {"id": fetch_id, "state": state, "sentence": f"{state} {self.fetches[fetch_id].git}"}
        if state is FetchState.DONE and self.wrong is not None:
            told |= {"state": "failed", "status": 422, "error": self.wrong.to_json()["error"]}
        elif state is FetchState.DONE:
            wish = self.fetches[fetch_id].job
            self.requests.append(wish)
            source = Source(fetched=True, remote="https://github.com/ada/digits", ref="main", commit=COMMIT)
            job = self.add_job(project=wish.project, command=list(wish.command or []), source=source)
            self.script(job)
            told |= {"job_id": job.view.id, "source": source}
        return httpx.Response(200, content=FetchView.model_validate(told).model_dump_json())

    def _kept(self, job_id: str, kind: str, path: str | None) -> httpx.Response:
        self.job(job_id)
        if kind == "diff":
            if self.diff is None:
                raise NotFound("No difference is recorded.")
            return httpx.Response(200, content=self.diff)
        if path is None:
            return httpx.Response(200, content=self.manifest.model_dump_json())
        return self._blocks(self.files[path], path)
