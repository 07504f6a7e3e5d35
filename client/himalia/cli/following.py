"""Following a job: its output on stdout, byte by byte; its states on stderr."""

from __future__ import annotations

import threading
from typing import Any

from ..errors import HimaliaError, Unavailable
from ..models import JobView
from ..sdk import Job
from .output import CANCELLED, exit_code, print_json, say, sentence_of
from .terminal import printing

FIRST_LOOK_SECONDS = 0.3
SLOWEST_LOOK_SECONDS = 2.0
AWAY = "The platform does not answer; still trying. The job goes on."


def follow(job: Job, *, as_json: bool = False, **picked: Any) -> int:
    """Print a job's output (or what is picked of it) until its end (as JSON: its states alone), and return the code to end with."""
    told = _Teller(job.id, as_json)
    try:
        if as_json:
            job.wait(changed=told)
        else:
            _print_output(job, told, picked)
    except KeyboardInterrupt:
        say(
            f"\nNo longer following; the job goes on. Follow: himalia logs {job.id} -f   End it: himalia cancel {job.id}"
        )
        return CANCELLED
    except HimaliaError:
        say(f"No longer following {job.id}; the job goes on without you.")
        raise
    told(job.view)
    return exit_code(job.view)


def _print_output(job: Job, told: _Teller, picked: dict[str, Any]) -> None:
    """Print a job's output, while a thread of its own tells the states."""
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(Job(job.client, job.view), told, over), daemon=True)
    watcher.start()
    try:
        with printing() as show:
            for block in job.log(follow=True, **picked):
                show(block)
        job.wait()
    finally:
        over.set()
    watcher.join(timeout=10)


class _Teller:
    """Tells each state once, and each sentence once."""

    def __init__(self, job_id: str, as_json: bool) -> None:
        self._job_id = job_id
        self._as_json = as_json
        self._last = ""
        self._lock = threading.Lock()

    def __call__(self, view: JobView) -> None:
        """Tell a job's state, if it is news."""
        self._tell(sentence_of(view), view)

    def away(self) -> None:
        """Tell that nothing is known for the moment."""
        self._tell(AWAY, None)

    def _tell(self, line: str, view: JobView | None) -> None:
        with self._lock:
            if line == self._last:
                return
            self._last = line
            if self._as_json and view is not None:
                print_json([view])
            else:
                say(f"{self._job_id}: {line}")


def _watch(job: Job, told: _Teller, over: threading.Event) -> None:
    """Look at the job again and again, until it is over."""
    pause = FIRST_LOOK_SECONDS
    told(job.view)
    while not over.wait(pause):
        pause = min(SLOWEST_LOOK_SECONDS, pause * 1.2)
        try:
            view = job.refresh().view
        except Unavailable:
            if not over.is_set():
                told.away()
        except (HimaliaError, RuntimeError):
            return  # whoever reads the log gets the same, and tells it; or has gone, and closed the client
        else:
            if not over.is_set():
                told(view)
