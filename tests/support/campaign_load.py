"""People at a platform that is being killed: they submit, cancel, start and stop, and ask again until they are answered."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from campaign_platform import PEOPLE, CampaignPlatform

from himalia.ids import new_id
from himalia.reasons import Reason
from himalia.states import FINAL_STATES, LIVE_STATES

MOST_AT_ONCE = 14  #: jobs that wait or run
AGAIN_SECONDS = 0.5
FORGIVEN_SECONDS = 30.0
#: A command, its exit code, and how often it is chosen. The last one lasts until it is cancelled.
COMMANDS = (
    (["true"], 0, 5),
    (["sh", "-c", "exit 3"], 3, 2),
    (["sleep", "0.3"], 0, 4),
    (["sleep", "1.5"], 0, 2),
    (["sleep", "600"], None, 2),
)


@dataclass
class Wish:
    """A job that somebody submitted: what it is, and what became of it."""

    person: str
    key: str
    body: dict[str, Any]
    exit_code: int | None  #: what its command ends with; none: it is cancelled
    cancel_at: float = 0.0
    id: str = ""
    view: dict[str, Any] = field(default_factory=dict)


class Load:
    """Jobs and servers of several people, drawn from a seed, until they are told to stop."""

    def __init__(self, platform: CampaignPlatform, seed: int) -> None:
        self.platform = platform
        self.seed = seed
        self.wishes: list[Wish] = []
        self.servers = 0  #: that came up
        self.wrong: list[str] = []
        self._tokens = {name: platform.person(name).token for name in PEOPLE}
        self._true_at = time.monotonic()  #: when what the first in line was told was last seen to be so
        self._service = 0  #: the process that was looked at last
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(self._submit_jobs,), name="jobs")]
        self._threads += [
            threading.Thread(target=self._guarded, args=(self._use_servers, name), name=f"server of {name}")
            for name in PEOPLE
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Submit and start nothing more; return once all servers are stopped."""
        self._stop.set()
        for thread in self._threads:
            thread.join(240)
            if thread.is_alive():
                self.wrong.append(f"the {thread.name} did not come to an end")

    def _guarded(self, work: Any, *arguments: str) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self.wrong.append(f"{threading.current_thread().name}: {error!r}")

    # Jobs.

    def _submit_jobs(self) -> None:
        draw = random.Random(self.seed)
        waiting: list[Wish] = []
        while not self._stop.is_set() or waiting:
            live = self._live_jobs()
            waiting = [wish for wish in waiting if wish.id in live]
            self._cancel(waiting, everything=self._stop.is_set())
            self._look_at_the_line()
            while len(waiting) < MOST_AT_ONCE and not self._stop.is_set():
                waiting.append(self._submit(self._wish(draw)))
            time.sleep(AGAIN_SECONDS)

    def _wish(self, draw: random.Random) -> Wish:
        command, code, _ = draw.choices(COMMANDS, [weight for _, _, weight in COMMANDS])[0]
        body = {"project": "campaign", "command": command, "profile": "tiny", "gpus": draw.choice("00111122")}
        wish = Wish(draw.choice(PEOPLE), new_id(), body, code)
        wish.cancel_at = time.monotonic() + draw.uniform(0, 5) if code is None or draw.random() < 0.05 else 0.0
        self.wishes.append(wish)
        return wish

    def _submit(self, wish: Wish) -> Wish:
        """Submit until it is taken; the key makes one job of all tries."""
        taken = self._ask("POST", "jobs", wish.person, json=wish.body | {"idempotency_key": wish.key})
        wish.id = taken.json()["id"]
        return wish

    def _cancel(self, waiting: Iterable[Wish], *, everything: bool) -> None:
        for wish in waiting:
            due = wish.cancel_at and wish.cancel_at < time.monotonic()
            if due or (everything and wish.exit_code is None):
                self._ask("POST", f"jobs/{wish.id}/cancel", wish.person)

    def _live_jobs(self) -> set[str]:
        states = ",".join(sorted(LIVE_STATES))
        answer = self._ask("GET", f"jobs?state={states}&limit=200", "root-admin")
        return {job["id"] for job in answer.json()["jobs"]}

    def _look_at_the_line(self) -> None:
        """Whoever is first in line and said to wait for GPUs lacks them; what is told a moment late is forgiven.

        A service that was killed since the last look begins anew: what it tells first, it was told before its death.
        """
        ledger = self._ask("GET", "gpus", "root-admin").json()
        first = next(iter(ledger["queue"]), None)
        before, self._service = self._service, self.platform.pid("service")
        true = first is None or first["reason"] != Reason.WAITS_FOR_GPUS or int(first["gpus"]) > ledger["free"]
        if true or self._service != before:
            self._true_at = time.monotonic()
        elif time.monotonic() - self._true_at > FORGIVEN_SECONDS:
            self.wrong.append(f"{ledger['free']} GPUs are free, and the first in line is told: {first['sentence']}")

    def look_at_all(self) -> None:
        """Read what became of every job."""
        for wish in self.wishes:
            wish.view = self._ask("GET", f"jobs/{wish.id}", wish.person).json()

    def unfinished(self) -> list[str]:
        """Return the jobs that are not in a final state."""
        return [wish.id for wish in self.wishes if wish.view["state"] not in FINAL_STATES]

    def _ask(self, method: str, path: str, person: str, **options: Any) -> httpx.Response:
        """Ask the service until it answers as a service that works."""
        token = self._tokens.get(person) or self.platform.person(person).token
        deadline = time.monotonic() + 120
        while True:
            try:
                answer = self.platform.ask(method, path, token, **options)
                if answer.status_code < 500:
                    break
                said = f"{answer.status_code} {answer.text[:300]}"
            except httpx.TransportError as error:
                said = repr(error)
            assert time.monotonic() < deadline, f"{method} {path} had no answer for two minutes: {said}"
            time.sleep(AGAIN_SECONDS)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer

    # Servers.

    def _use_servers(self, name: str) -> None:
        draw = random.Random(f"{self.seed} {name}")
        path = f"users/{name}/server"
        while not self._stop.is_set():
            wish = {"profile": draw.choice(["gpu", "gpu", "tiny"])}
            self._hub("POST", path, name, json={"user_options": wish})
            patience = time.monotonic() + draw.choice([1, 3, 20, 20, 20])
            while time.monotonic() < patience and not self._stop.is_set():
                server = self._server(name)
                if server.get("ready") or not (server or self._waits(name)):
                    self.servers += bool(server)
                    break
                time.sleep(AGAIN_SECONDS)
            self._stop.wait(draw.uniform(0, 1.5))
            self._end(name, path)
        # A start whose hub died before it was answered keeps its place for a while, or until the next start.
        self._hub("POST", path, name, json={"user_options": {"profile": "tiny"}})
        self._end(name, path)

    def _end(self, name: str, path: str) -> None:
        deadline = time.monotonic() + 180
        while (waits := self._waits(name)) or self._server(name):
            for wait in waits:
                self._leave(wait, name)
            self._hub("DELETE", path, name)
            assert time.monotonic() < deadline, f"the server of {name} cannot be stopped: {self._server(name)}"
            time.sleep(AGAIN_SECONDS)

    def _waits(self, name: str) -> list[str]:
        """Return what the person's servers wait for."""
        return [wait["id"] for wait in self._ask("GET", "waiting", name).json()["waiting"]]

    def _leave(self, wait: str, name: str) -> None:
        """Leave the line; what has started meanwhile, or a service that is away, is seen to by the next look."""
        with contextlib.suppress(httpx.TransportError):
            self.platform.ask("DELETE", f"waiting/{wait}", self._tokens[name])

    def _server(self, name: str) -> dict[str, Any]:
        """Return the person's server; empty where there is none."""
        answer = self._hub("GET", f"users/{name}", name)
        return dict((answer.json().get("servers") or {}).get("", {})) if answer.is_success else {"unknown": True}

    def _hub(self, method: str, path: str, name: str, **options: Any) -> httpx.Response:
        """Ask the hub through the proxy until it answers; what it refuses (a start that is under way) is an answer."""
        headers = {"Authorization": f"token {self._tokens[name]}"}
        deadline = time.monotonic() + 120
        while True:
            try:
                url = f"{self.platform.url}/hub/api/{path}"
                answer = httpx.request(method, url, headers=headers, timeout=30, **options)
                if answer.status_code not in (502, 503, 504):
                    return answer
                said = str(answer.status_code)
            except httpx.TransportError as error:
                said = repr(error)
            assert time.monotonic() < deadline, f"the hub did not answer {method} {path} for two minutes: {said}"
            time.sleep(AGAIN_SECONDS)
