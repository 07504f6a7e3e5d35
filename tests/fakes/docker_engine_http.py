"""What clients of a Docker Engine ask over its socket, and how the one in memory (`docker_engine`) answers."""

from __future__ import annotations

import json
import re
import socketserver
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from docker_engine import FakeDockerEngine

IMAGE = "himalia/server:dev"


class Listening(socketserver.ThreadingUnixStreamServer):
    """A socket on which an Engine answers."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str, engine: FakeDockerEngine) -> None:
        self.engine = engine
        super().__init__(path, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients are killed while they ask."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a question."""
        self._serve()

    def do_POST(self) -> None:
        """Do something."""
        self._serve()

    def do_DELETE(self) -> None:
        """Remove something."""
        self._serve()

    def do_HEAD(self) -> None:
        """Answer that somebody is there."""
        self._serve()

    def address_string(self) -> str:
        """Return nothing: a client on this socket has no address."""
        return ""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        path = re.sub(r"^/v[\d.]+", "", unquote(parts.path))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null")
        for method, pattern, step, call in ROUTES:
            match = re.fullmatch(pattern, path)
            if method == self.command and match:
                self._route(step, call, match.groups(), query, body)
                return
        self._answer(404, f"page not found: {self.command} {path}")

    def _route(self, step: str, call: Any, words: Any, query: dict[str, str], body: Any) -> None:
        engine = self._engine
        if step and engine.at_step(f"before {step}"):
            self.close_connection = True
            return
        answer = call(self, *words, query=query, body=body)
        if answer is None:
            return  # it was a stream
        if step and engine.at_step(f"after {step}"):
            self.close_connection = True
            return
        self._answer(*answer)

    @property
    def _engine(self) -> FakeDockerEngine:
        assert isinstance(self.server, Listening)
        return self.server.engine

    def _answer(self, status: int, said: Any) -> None:
        content = b"" if said is None else json.dumps({"message": said} if isinstance(said, str) else said).encode()
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if status not in (204, 304) and self.command != "HEAD":
            self.wfile.write(content)

    # The routes.

    def _ping(self, **_: Any) -> tuple[int, Any]:
        return 200, {}

    def _version(self, **_: Any) -> tuple[int, Any]:
        return 200, {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}

    def _info(self, **_: Any) -> tuple[int, Any]:
        return 200, {"NCPU": 16, "MemTotal": 2**36, "ServerVersion": "20.10.24", "LiveRestoreEnabled": True}

    def _network(self, name: str, **_: Any) -> tuple[int, Any]:
        found = self._engine.networks.get(name)
        return (200, found) if found else (404, f"network {name} not found")

    def _make_network(self, *, body: Any, **_: Any) -> tuple[int, Any]:
        ipam = {"Config": [{"Subnet": "127.0.0.0/8", "Gateway": "127.0.0.1"}]}
        self._engine.networks[body["Name"]] = {"Name": body["Name"], "Id": "n", "IPAM": ipam, "Labels": body["Labels"]}
        return 201, {"Id": "n"}

    def _image(self, name: str, **_: Any) -> tuple[int, Any]:
        return (200, {"Id": "sha256:1", "Size": 1}) if name in (IMAGE, "sha256:1") else (404, "No such image")

    def _make_volume(self, *, body: Any, **_: Any) -> tuple[int, Any]:
        self._engine.volumes.add(body["Name"])
        return 201, {"Name": body["Name"]}

    def _remove_volume(self, name: str, **_: Any) -> tuple[int, Any]:
        there = name in self._engine.volumes
        self._engine.volumes.discard(name)
        return (204, None) if there else (404, "no such volume")

    def _list(self, *, query: dict[str, str], **_: Any) -> tuple[int, Any]:
        wanted = {str(label) for label in json.loads(query.get("filters") or "{}").get("label", ())}
        with self._engine.lock:
            return 200, [
                {"Id": one.id, "Names": [f"/{one.name}"], "State": one.status, "Labels": one.labels}
                for one in self._engine.containers.values()
                if {f"{name}={value}" for name, value in one.labels.items()} >= wanted
            ]

    def _create(self, *, query: dict[str, str], body: Any, **_: Any) -> tuple[int, Any]:
        return self._engine.create(query["name"], body)

    def _start(self, name: str, **_: Any) -> tuple[int, Any]:
        return self._engine.start(name)

    def _stop(self, name: str, **_: Any) -> tuple[int, Any]:
        return self._engine.stop(name)

    def _remove(self, name: str, *, query: dict[str, str], **_: Any) -> tuple[int, Any]:
        return self._engine.remove(name, force=query.get("force", "").lower() in ("1", "true"))

    def _inspect(self, name: str, **_: Any) -> tuple[int, Any]:
        with self._engine.lock:
            found = self._engine.find(name)
            return (200, found.inspected()) if found else (404, f"No such container: {name}")

    def _stats(self, name: str, **_: Any) -> tuple[int, Any]:
        return (200, {"memory_stats": {"usage": 1}}) if self._engine.find(name) else (404, f"No such container: {name}")

    def _events(self, **_: Any) -> None:
        """Tell what happens until the client is gone."""
        queue = self._engine.listen()
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                line = json.dumps(queue.get()).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        except OSError:
            self._engine.leave(queue)


NAME = "([^/]+)"
#: Method, path, the step that it is, and what does it.
ROUTES = (
    ("HEAD", "/_ping", "", _Handler._ping),
    ("GET", "/_ping", "", _Handler._ping),
    ("GET", "/version", "", _Handler._version),
    ("GET", "/info", "", _Handler._info),
    ("GET", f"/networks/{NAME}", "", _Handler._network),
    ("POST", "/networks/create", "", _Handler._make_network),
    ("GET", "/images/(.+)/json", "", _Handler._image),
    ("POST", "/volumes/create", "volume", _Handler._make_volume),
    ("DELETE", f"/volumes/{NAME}", "volume removal", _Handler._remove_volume),
    ("GET", "/containers/json", "", _Handler._list),
    ("POST", "/containers/create", "create", _Handler._create),
    ("POST", f"/containers/{NAME}/start", "start", _Handler._start),
    ("POST", f"/containers/{NAME}/stop", "stop", _Handler._stop),
    ("DELETE", f"/containers/{NAME}", "removal", _Handler._remove),
    ("GET", f"/containers/{NAME}/json", "", _Handler._inspect),
    ("GET", f"/containers/{NAME}/stats", "", _Handler._stats),
    ("GET", "/events", "", _Handler._events),
)
