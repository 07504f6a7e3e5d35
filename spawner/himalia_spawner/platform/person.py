"""A person at the platform, as a browser would be: log in, start a server, send a directory, follow, download."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from himalia.errors import HimaliaError, LocalError, from_json
from himalia.models import ArtifactList, GPUsView, JobView, ProfileView, SlotView
from himalia.states import FINAL_STATES, LIVE_STATES

SERVICE = "services/jobs/api"
TOKEN_SECONDS = 3600
SERVER_DEADLINE_SECONDS = 180.0
AGAIN_SECONDS = 0.2
RUNNING = "already running"  #: what the hub says then


class Person:
    """Somebody who is logged in, with a token of their own that lasts an hour."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.token = ""
        # The certificate of one's own machine is not looked at.
        self._http = httpx.Client(base_url=f"{url}/", trust_env=False, timeout=60.0, verify=False)

    def __enter__(self) -> Person:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def log_in(self, password: str) -> None:
        """Log in through the hub's page, and take a token."""
        self._http.get("hub/login")
        form = {"username": self.name, "password": password, "_xsrf": self._xsrf()}
        answer = self._http.post("hub/login", data=form)
        if answer.status_code != 302:
            raise LocalError(f"The login of {self.name} was refused ({answer.status_code}). Look at the hub's log.")
        self._http.get("hub/token")
        wish = {"note": "himalia-platform demo", "expires_in": TOKEN_SECONDS}
        made = self._http.post(f"hub/api/users/{self._quoted}/tokens", json=wish, headers={"X-XSRFToken": self._xsrf()})
        self._http.cookies.clear()
        self.token = str(_checked(made).json()["token"])
        self._http.headers["Authorization"] = f"Bearer {self.token}"

    def start_server(self, profile: str) -> None:
        """Start the person's server, unless it runs, and return once it does; where it has to wait, after that.

        The hub believes that a server runs until it looks, and it looks when somebody asks for a start: so this asks until
        the hub has seen it run.
        """
        address, deadline = f"hub/api/users/{self._quoted}/server", time.monotonic() + SERVER_DEADLINE_SECONDS
        wish = {"user_options": {"profile": profile}}
        while not _runs(answer := self._http.post(address, json=wish)):
            begun = _checked(answer)
            if time.monotonic() > deadline:
                raise LocalError("The server was started and has ended, again and again. Look at the hub's log.")
            if begun.status_code == 202 and "Location" in begun.headers:  # in line: the service starts it
                self._wait_for_its_turn(begun, deadline)
            else:
                self._follow_start(address)

    def get(self, path: str) -> httpx.Response:
        """Ask anything below the platform's address."""
        return self._http.get(path)

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Send JSON to anything below the platform's address."""
        return self._http.post(path, json=body)

    def put(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Write JSON to anything below the platform's address."""
        return self._http.put(path, json=body)

    def stop_server(self, *, deadline_seconds: float = 60.0) -> None:
        """Stop the person's server, or end its start, and return once nothing is left of it."""
        address, deadline = f"hub/api/users/{self._quoted}/server", time.monotonic() + deadline_seconds
        answer = self._http.delete(address)
        while answer.status_code == 202 and time.monotonic() < deadline:
            time.sleep(AGAIN_SECONDS)
            answer = self._http.delete(address)
        _checked(answer)

    def upload(self, directory: Path, target: str) -> None:
        """Put a directory's files into the person's home, as a drop on the file browser does."""
        self._put(target, {"type": "directory"})
        for file in sorted(found for found in directory.rglob("*") if "__pycache__" not in found.parts):
            path = f"{target}/{file.relative_to(directory).as_posix()}"
            if file.is_dir():
                self._put(path, {"type": "directory"})
            else:
                content = base64.b64encode(file.read_bytes()).decode()
                self._put(path, {"type": "file", "format": "base64", "content": content})

    def has(self, path: str) -> bool:
        """Tell whether something of that name is in the person's home."""
        return self._http.get(f"user/{self._quoted}/api/contents/{quote(path)}?content=0").is_success

    def profiles(self) -> list[ProfileView]:
        """Return what is offered to the person for notebook servers."""
        answer = _checked(self._http.get(f"{SERVICE}/profiles", params={"for": "servers"}))
        return [ProfileView.model_validate(found) for found in answer.json()["profiles"]]

    def gpus(self) -> list[SlotView]:
        """Return the GPUs that the person holds."""
        ledger = GPUsView.model_validate(_checked(self._http.get(f"{SERVICE}/gpus")).json())
        return [slot for slot in ledger.slots if slot.holder_user == self.name]

    def submit(self, directory: str, job: dict[str, Any]) -> JobView:
        """Send a directory of the home off as a job, through the server's extension, as the sidebar does."""
        address = f"user/{self._quoted}/himalia/api/submit"
        answer = self._http.post(address, json={"directory": directory, "job": job}, timeout=120.0)
        return JobView.model_validate(_checked(answer).json())

    def follow(self, job_id: str) -> Iterator[bytes]:
        """Yield the job's output as it appears, until it has ended."""
        with self._http.stream("GET", f"{SERVICE}/jobs/{job_id}/logs", params={"follow": "1"}, timeout=None) as log:
            if log.is_error:
                log.read()
                _checked(log)
            yield from log.iter_bytes()

    def ended(self, job_id: str, *, deadline_seconds: float = 60.0) -> JobView:
        """Return the job once it is in a final state."""
        deadline = time.monotonic() + deadline_seconds
        while True:
            job = JobView.model_validate(_checked(self._http.get(f"{SERVICE}/jobs/{job_id}")).json())
            if job.state in FINAL_STATES:
                return job
            if job.state in LIVE_STATES and time.monotonic() > deadline:
                raise LocalError(f"The job {job_id} is still {job.state}. {job.sentence}")
            time.sleep(AGAIN_SECONDS)

    def download(self, job_id: str, target: Path) -> list[Path]:
        """Fetch what the job left in /artifacts; return the files."""
        answer = _checked(self._http.get(f"{SERVICE}/jobs/{job_id}/artifacts"))
        files = []
        for artifact in ArtifactList.model_validate(answer.json()).artifacts:
            if artifact.type == "file":
                file = target / artifact.path
                file.parent.mkdir(parents=True, exist_ok=True)
                content = _checked(self._http.get(f"{SERVICE}/jobs/{job_id}/artifacts/{quote(artifact.path)}"))
                file.write_bytes(content.content)
                files.append(file)
        return files

    @property
    def _quoted(self) -> str:
        return quote(self.name, safe="")

    def _xsrf(self) -> str:
        """Return the token against forged requests; the hub gives a new one at login."""
        return next((str(cookie.value) for cookie in self._http.cookies.jar if cookie.name == "_xsrf"), "")

    def _wait_for_its_turn(self, begun: httpx.Response, deadline: float) -> None:
        while not self._server_is_ready():
            if time.monotonic() > deadline:
                raise LocalError(f"The server still waits. {begun.json().get('message')}")
            time.sleep(AGAIN_SECONDS)

    def _follow_start(self, address: str) -> None:
        """Return once a start is done; raise LocalError when it has failed."""
        with self._http.stream("GET", f"{address}/progress", timeout=SERVER_DEADLINE_SECONDS) as progress:
            for line in progress.iter_lines():
                event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if event.get("failed"):
                    raise LocalError(f"The server did not start: {event.get('message')}")
                if event.get("ready"):
                    return

    def _server_is_ready(self) -> bool:
        user = _checked(self._http.get(f"hub/api/users/{self._quoted}")).json()
        return bool((user.get("servers") or {}).get("", {}).get("ready"))

    def _put(self, path: str, model: dict[str, Any]) -> None:
        _checked(self._http.put(f"user/{self._quoted}/api/contents/{quote(path)}", json=model))


def _runs(answer: httpx.Response) -> bool:
    """Tell whether the hub has refused a start because it has looked and the server runs."""
    return answer.status_code == 400 and RUNNING in answer.text


def _checked(answer: httpx.Response) -> httpx.Response:
    """Return the answer; raise what it says went wrong."""
    if answer.is_success:
        return answer
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        raise from_json(answer.status_code, body)
    said = body.get("message") if isinstance(body, dict) else "without a reason. Look at the log of hub and server."
    raise HimaliaError(f"{answer.request.method} {answer.request.url.path} was answered {answer.status_code}: {said}")
