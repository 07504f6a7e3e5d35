"""A job service of which only what a submission needs is there: who asks, snapshots, jobs; in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

from himalia.errors import NotFound
from himalia.ids import new_id
from himalia.models import Me, SnapshotRequest, SnapshotView
from himalia.snapshot.wire import PLAIN
from himalia.version import API_VERSION, VERSION

PREFIX = "/services/jobs/api"


@dataclass
class ReceivingService:
    """What arrived, and who sent it."""

    url: str = ""
    tokens: list[str] = field(default_factory=list)
    manifests: dict[str, Any] = field(default_factory=dict)
    owners: list[str] = field(default_factory=list)
    contents: dict[str, int] = field(default_factory=dict)  #: digest to length; the bytes are looked at and let go
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)  #: by idempotency key
    sources: list[dict[str, Any] | None] = field(default_factory=list)  #: what git knew of what was submitted
    refusal: dict[str, Any] | None = None  #: what every submit is answered
    may_receive: threading.Event = field(default_factory=threading.Event)  #: clear: a pack is not read on
    is_receiving: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def listening(self) -> Iterator[ReceivingService]:
        """Listen on a free port until the end of the block."""
        self.may_receive.set()
        ready, loop = threading.Event(), asyncio.new_event_loop()

        async def serve() -> None:
            (listener,) = bind_sockets(0, "127.0.0.1")
            server = HTTPServer(_application(self), max_body_size=2**40)
            server.add_sockets([listener])
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}{PREFIX}"
            ended = asyncio.Event()
            self._end = lambda: loop.call_soon_threadsafe(ended.set)
            ready.set()
            await ended.wait()
            server.stop()
            await server.close_all_connections()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="receiving-service")
        thread.start()
        ready.wait(10)
        try:
            yield self
        finally:
            self.may_receive.set()
            self._end()
            thread.join(10)
            loop.close()


def _application(service: ReceivingService) -> Application:
    routes = [
        (f"{PREFIX}/me", _Me),
        (f"{PREFIX}/snapshots", _Snapshots),
        (f"{PREFIX}/snapshots/([^/]+)/contents", _Contents),
        (f"{PREFIX}/snapshots/([^/]+)/commit", _Commit),
        (f"{PREFIX}/jobs", _Jobs),
        (f"{PREFIX}/jobs/(.*)", _Anything),
        (f"{PREFIX}/events", _Events),
    ]
    return Application([(path, handler, {"service": service}) for path, handler in routes])


class _Base(RequestHandler):
    def initialize(self, service: ReceivingService) -> None:
        self.service = service

    def prepare(self) -> None:
        self.service.tokens.append(self.request.headers["Authorization"].removeprefix("Bearer "))

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))

    def view(self, snapshot_id: str, *, committed: bool) -> None:
        manifest = self.service.manifests[snapshot_id]
        lengths = {digest for entry in manifest.entries for digest in entry.chunks}
        view = SnapshotView(
            id=snapshot_id,
            owner=self.service.owners[-1],
            digest="0" * 64,
            committed=committed,
            missing=tuple(sorted(lengths - self.service.contents.keys())),
            file_count=len(manifest.entries),
            size_bytes=sum(entry.size_bytes for entry in manifest.entries),
        )
        self.answer(view.model_dump(mode="json"))


class _Me(_Base):
    def get(self) -> None:
        me = Me(
            name=self.service.tokens[-1],
            admin=False,
            teams=(),
            scopes=(),
            api_version=API_VERSION,
            oldest_client="0",
            version=VERSION,
        )
        self.answer(me.model_dump(mode="json"))


class _Snapshots(_Base):
    def post(self) -> None:
        asked = SnapshotRequest.model_validate_json(self.request.body)
        if asked.manifest is None:
            self.answer(NotFound("There is no such snapshot. Send its manifest.").to_json(), 404)
            return
        snapshot_id = new_id()
        self.service.manifests[snapshot_id] = asked.manifest
        self.service.owners.append(asked.owner)
        self.view(snapshot_id, committed=False)


@stream_request_body
class _Contents(_Base):
    def prepare(self) -> None:
        super().prepare()
        self.request.connection.set_max_body_size(2**40)  # type: ignore[union-attr,attr-defined]
        self._rest = bytearray()
        self._left, self._digest, self._seen = 0, "", blake3()
        self._begun = False

    async def data_received(self, chunk: bytes) -> None:
        self.service.is_receiving.set()
        while not self.service.may_receive.is_set():
            await asyncio.sleep(0.005)
        self._rest += chunk
        while self._step():
            pass

    def put(self, snapshot_id: str) -> None:
        self.view(snapshot_id, committed=False)

    def _step(self) -> bool:
        """Take the next piece that is complete; return whether there was one."""
        if not self._begun:
            self._begun = len(self._rest) >= len(PLAIN)
            if self._begun:
                assert bytes(self._rest[: len(PLAIN)]) == PLAIN
                del self._rest[: len(PLAIN)]
            return self._begun
        if self._digest:
            taken = bytes(self._rest[: self._left])
            del self._rest[: len(taken)]
            self._seen.update(taken)
            self._left -= len(taken)
            if self._left == 0:
                assert self._seen.hexdigest() == self._digest
                self._digest = ""
            return self._left == 0
        if len(self._rest) < 40:
            return False
        self._digest, self._left = bytes(self._rest[:32]).hex(), int.from_bytes(self._rest[32:40], "big")
        self.service.contents[self._digest] = self._left
        self._seen = blake3()
        del self._rest[:40]
        return True


class _Commit(_Base):
    def post(self, snapshot_id: str) -> None:
        self.view(snapshot_id, committed=True)


class _Jobs(_Base):
    def post(self) -> None:
        if self.service.refusal is not None:
            self.answer({"error": self.service.refusal}, 422)
            return
        request = json.loads(self.request.body)
        self.service.sources.append(request.get("source"))
        job = {
            "id": new_id(),
            "seq": 1,
            "name": "train",
            "owner": self.service.owners[-1],
            "user": self.service.tokens[-1],
            "state": "queued",
            "cpus": 1,
            "memory_bytes": 1,
            "profile": "small",
            "created_at": "2026-01-01T00:00:00Z",
            "image": "image",
            "image_id": "",
            "command": ["true"],
            "timeout_seconds": 60,
            "project": request["project"],
            "snapshot": request["snapshot"],
        }
        self.answer(self.service.jobs.setdefault(request["idempotency_key"], job), 201)


class _Anything(_Base):
    """Tells what was asked, and lets a file look as if it were a page."""

    def get(self, path: str) -> None:
        self.set_header("Content-Disposition", "attachment")
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
        self.set_header("Set-Cookie", "a=b")
        self.set_header("ETag", self.request.headers.get("If-Range", '"1"'))
        for name in ("Offset", "Gap", "End"):
            self.set_header(f"Himalia-Log-{name}", "7")
        self.answer({"uri": self.request.uri, "range": self.request.headers.get("Range", "")}, 206)

    def post(self, path: str) -> None:
        self.answer({"method": self.request.method, "uri": self.request.uri, "body": self.request.body.decode()})

    def delete(self, path: str) -> None:
        self.set_status(204)


class _Events(_Base):
    """A stream that says one thing and stays open."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.write(f"id: 8\ndata: after {self.request.headers.get('Last-Event-ID')}\n\n")
        await self.flush()
        self.service.is_receiving.set()
        self._closed = asyncio.Event()
        await self._closed.wait()
        self.service.is_receiving.clear()

    def on_connection_close(self) -> None:
        if hasattr(self, "_closed"):
            self._closed.set()
