"""Hears of every change of somebody's jobs as a browser does, and keeps when it heard it."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import himalia
from himalia.errors import HimaliaError
from himalia.models import Event
from himalia.states import FINAL_STATES, JobState

MOST_SECONDS = 120.0


class Listener:
    """The stream of events of one person, heard in a thread while a `with` block runs."""

    def __init__(self, url: str, token: str) -> None:
        self._client = himalia.Client(url, token)
        self._heard: dict[tuple[str, JobState], float] = {}
        self._news = threading.Condition()
        self._connected = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        assert self._connected.wait(30), "the stream of events never began"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._client.close()  # the thread ends with its connection; a daemon keeps nobody waiting

    def ended(self, job_id: str, most_seconds: float = MOST_SECONDS) -> float:
        """Wait until a job has ended; return when (by the wall clock) that was heard."""
        return self._wait(job_id, FINAL_STATES, most_seconds)

    def running(self, job_id: str, most_seconds: float = MOST_SECONDS) -> float:
        """Wait until a job runs or has ended; return when that was heard."""
        return self._wait(job_id, {JobState.RUNNING, JobState.COLLECTING, *FINAL_STATES}, most_seconds)

    def _wait(self, job_id: str, states: set[JobState] | frozenset[JobState], most_seconds: float) -> float:
        deadline = time.monotonic() + most_seconds
        with self._news:
            while True:
                found = [at for state in states if (at := self._heard.get((job_id, state))) is not None]
                if found:
                    return min(found)
                left = deadline - time.monotonic()
                assert left > 0, f"{job_id} did not get there in {most_seconds:g} s"
                self._news.wait(left)

    def _listen(self) -> None:
        try:
            for event in self._client.events():  # a service that was killed is waited for, and nothing is missed
                self._connected.set()
                self._hear(event)
        except (HimaliaError, RuntimeError):
            assert self._over, "the stream of events broke off"

    def _hear(self, event: Event) -> None:
        now = time.time()
        if event.job is not None:
            with self._news:
                self._heard.setdefault((event.job.id, event.job.state), now)
                self._news.notify_all()
