"""A stream of jobs to a service that is being killed: people submit, cancel, and ask again until they are answered.

What is said of each job in the end is compared with what the machine did, container by container.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from docker_engine import STOPPED, FakeDockerEngine
from live_platform import eventually
from own_service import OwnService

from himalia.ids import new_id
from himalia.models import JobView
from himalia.snapshot import pack, scan
from himalia.states import FINAL_STATES, LIVE_STATES, JobState

PEOPLE = ("ada", "bob")
MOST_AT_ONCE = 8  #: jobs that wait or run, of all people
AGAIN_SECONDS = 0.1
PATIENCE_SECONDS = 120.0
LASTS = 600.0
#: How long a command runs, its exit code, and how often it is chosen. The last one lasts until it is cancelled.
COMMANDS = ((0.0, 0, 4), (0.3, 0, 5), (1.5, 0, 3), (0.1, 3, 3), (LASTS, 0, 2))


class TooLate(Exception):
    """The answer came when nobody wants it any more."""


@dataclass
class Wish:
    """A job that was taken: what it is, and what became of it."""

    person: str
    id: str
    code: int
    cancelled: bool
    view: JobView | None = field(default=None, repr=False)


class JobStream:
    """People who work until they are told to stop; `taken` is every job of which the service said that it has it."""

    def __init__(self, service: OwnService, folder: Path, seed: int) -> None:
        self.service = service
        self.taken: list[Wish] = []
        self.wrong: list[str] = []
        self.lock = threading.Lock()  #: held while an answer is noted: whoever has it knows what was promised so far
        self._seed = seed
        self._folder = folder
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._http = httpx.Client(base_url=service.url, timeout=20)
        self._headers = {name: {"Authorization": f"Bearer {service.hub.hub.knows(name)}"} for name in PEOPLE}

    def start(self) -> None:
        """Begin; again after a stop."""
        self._stop.clear()
        life = len(self.taken)  # another stream after each stop
        self._threads = [
            threading.Thread(target=self._guarded, args=(name, f"{self._seed} {life} {name}"), name=name)
            for name in PEOPLE
        ]
        for thread in self._threads:
            thread.start()

    def give_up(self) -> None:
        """Submit nothing more; an answer that comes from now on counts for nothing."""
        self._stop.set()

    def stop(self) -> None:
        """Give up, and wait until everybody has."""
        self.give_up()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def come_to_rest(self) -> None:
        """Cancel what would last, and wait until all has ended; then read what is said of each."""
        self._stop.clear()
        for wish in self.taken:
            if wish.cancelled:
                self._ask("POST", f"jobs/{wish.id}/cancel", wish.person)
        eventually(lambda: not self._live(), PATIENCE_SECONDS)
        for wish in self.taken:
            answer = self._ask("GET", f"jobs/{wish.id}", wish.person)
            wish.view = JobView.model_validate(answer.json()) if answer.status_code == 200 else None

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _guarded(self, name: str, seed: str) -> None:
        try:
            self._work(name, random.Random(seed))
        except TooLate:
            pass
        except Exception as error:
            self.wrong.append(f"{name}: {error!r}")

    def _work(self, name: str, draw: random.Random) -> None:
        while not self._stop.is_set():
            if len(self._live()) >= MOST_AT_ONCE:
                self._stop.wait(AGAIN_SECONDS)
                continue
            wish = self._submit(name, draw)
            if wish.cancelled and draw.random() < 0.5:
                self._stop.wait(draw.uniform(0, 1))
                self._ask("POST", f"jobs/{wish.id}/cancel", name)

    def _submit(self, name: str, draw: random.Random) -> Wish:
        """Submit until it is taken; the key makes one job of all tries."""
        seconds, code, _ = draw.choices(COMMANDS, [weight for *_, weight in COMMANDS])[0]
        body: dict[str, Any] = {
            "project": "stream",
            "command": ["run", str(seconds), str(code)],
            "profile": "tiny",
            "gpus": draw.choice("0012"),
            "idempotency_key": new_id(),
        }
        if draw.random() < 0.4:
            body["snapshot"] = self._send(name, draw.randrange(10**6))
        answer = self._ask("POST", "jobs", name, json=body)
        assert answer.is_success, f"{answer.status_code} {answer.text[:300]}"
        wish = Wish(name, str(answer.json()["id"]), code, seconds == LASTS or draw.random() < 0.1)
        with self.lock:
            if self._stop.is_set():
                raise TooLate
            self.taken.append(wish)
        return wish

    def _send(self, name: str, number: int) -> str:
        """Send a directory; each step is repeated until it is answered."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        (folder / "code.py").write_text(f"print({number})\n")
        packed = pack(scan(folder))
        wish = {"owner": f"user:{name}", "manifest": packed.manifest.model_dump(mode="json")}
        while True:
            opened = self._ask("POST", "snapshots", name, json=wish).json()
            content = b"".join(packed.stream(opened["missing"]))
            self._ask("PUT", f"snapshots/{opened['id']}/contents", name, content=content)
            committed = self._ask("POST", f"snapshots/{opened['id']}/commit", name)
            if committed.status_code == 200 and committed.json()["committed"]:
                return str(opened["id"])

    def _live(self) -> list[str]:
        """Return the jobs that have not ended."""
        states = ",".join(sorted(LIVE_STATES))
        found = [self._ask("GET", f"jobs?state={states}&limit=200", name).json()["jobs"] for name in PEOPLE]
        return [str(job["id"]) for jobs in found for job in jobs]

    def _ask(self, method: str, path: str, name: str, **options: Any) -> httpx.Response:
        """Ask the service until it answers as one that works."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self._http.request(method, path, headers=self._headers[name], **options)
                if answer.status_code < 500:
                    return answer
                said = f"{answer.status_code} {answer.text[:300]}"
            except httpx.TransportError as error:
                said = repr(error)
            if self._stop.wait(AGAIN_SECONDS):
                raise TooLate
            assert time.monotonic() < deadline, f"{method} {path} had no answer for two minutes: {said}"


def untruths(stream: JobStream, engine: FakeDockerEngine, *, power: bool = False) -> list[str]:
    """Return what is said of jobs and is not so; `power`: it may have gone, and commands have ended by that."""
    return [told for wish in stream.taken if (told := _untruth(wish, engine, power=power))]


def _untruth(wish: Wish, engine: FakeDockerEngine, *, power: bool) -> str:
    job = wish.view
    if job is None:
        return f"{wish.id} was taken, and is lost"
    attempts = [attempt.id for attempt in job.attempts]
    began = {attempt: engine.starts[attempt] for attempt in attempts if engine.starts[attempt]}
    codes = {attempt: engine.exit_codes[attempt] for attempt in attempts if attempt in engine.exit_codes}
    told = f"{job.id} is {job.state}, {job.reason}, {job.exit_code}; it began {began}, and ended {codes}"
    if job.state not in FINAL_STATES:
        return f"{told}: it has not ended"
    if len(began) > 1 or any(count > 1 for count in began.values()):
        return f"{told}: it ran twice"
    if job.state is JobState.CANCELLED:
        fair = wish.cancelled and (not began or STOPPED in codes.values() or power)
        return "" if fair else f"{told}: it was not cancelled"
    if power and job.reason in ("engine_stopped", "vanished"):
        return f"{told}: it had ended by itself" if codes else ""
    if list(codes.values()) != [wish.code] or job.exit_code != wish.code:
        return f"{told}: it should have ended with {wish.code}"
    return "" if (job.state is JobState.SUCCEEDED) is (wish.code == 0) else told


def left_over(service: OwnService, engine: FakeDockerEngine) -> list[str]:
    """Return what is left of jobs that have ended: containers, volumes, shares, directories, half contents."""
    ledger = service.administrator().gpus()
    node = ledger.nodes[0]
    left = [*engine.containers, *engine.volumes]
    left += [slot.uuid for slot in ledger.slots if slot.holder]
    left += ["CPUs or memory"] if (node.cpus_free, node.memory_free_bytes) != (node.cpus, node.memory_bytes) else []
    working = ("upper", "work", "home", "run")
    left += [str(found) for name in working for found in service.data.glob(f"jobs/*/*/{name}")]
    left += [str(found) for found in service.data.glob("blobs/**/.drafts/*")]
    return left
