"""What the demo shows of the queue: a job that waits says what for, and starts once a notebook gives its GPU back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import himalia
from himalia.errors import LocalError
from himalia.moments import localised
from himalia.states import JobState

from .person import Person
from .place import Place
from .starting import Say

GUEST = "guest"
PROJECT = "queue"
SMALL: dict[str, Any] = {"cpus": 0.1, "memory": "128M"}
HOLDS = ["sleep", "600"]
TELLS = ["sh", "-c", 'echo "I have ${HIMALIA_GPUS}."']
DEADLINE_SECONDS = 60.0
AGAIN_SECONDS = 0.1


def show_the_queue(place: Place, holder: Person, password: str, say: Say) -> None:
    """Let a second person's jobs take the free GPUs and wait for one more, which the holder's notebook then gives back."""
    if not holder.gpus():
        say("No GPU is held, so there is nothing to wait for.")
        return
    with Person(place.proxy_url, GUEST) as guest:
        guest.log_in(password)
        with himalia.Client(place.service_url, guest.token) as client:
            _scene(client, holder, say)


def _scene(client: himalia.Client, holder: Person, say: Say) -> None:
    # A job's GPU is free a moment after its end.
    _until(lambda: all(gpu.holder_kind == "server" for gpu in holder.gpus()), "The job's GPU is not free again.")
    free = client.gpus().free
    holding = _submit(client, HOLDS, free) if free else None
    try:
        if holding is not None:
            _until(lambda: holding.refresh().state is JobState.RUNNING, f"The job {holding.id} does not start.")
            say(f"\nA second person, {GUEST}, has a job on {_free(free)}: {holding.id}.")
        waiting = _submit(client, TELLS, 1)
        _until(
            lambda: waiting.refresh().view.position or waiting.state is not JobState.QUEUED,
            f"The job {waiting.id} says nothing.",
        )
        say(f"{GUEST}'s next job, {waiting.id}, is {waiting.state}. {localised(waiting.view.sentence)}")
        say(f"{holder.name} shuts the notebook server down, which gives its GPU back.")
        begun = time.monotonic()
        holder.stop_server()
        said = b"".join(waiting.log(follow=True)).decode(errors="replace").strip()
        say(f"{time.monotonic() - begun:.1f} s later {waiting.id} has run. It says: {said}")
    finally:
        if holding is not None:
            holding.cancel()


def _submit(client: himalia.Client, command: list[str], gpus: int) -> himalia.Job:
    """Send a job without files."""
    return himalia.submit(None, command=command, project=PROJECT, client=client, gpus=str(gpus), **SMALL)


def _free(count: int) -> str:
    return "the one GPU that was free" if count == 1 else f"the {count} GPUs that were free"


def _until(condition: Callable[[], object], said: str) -> None:
    """Wait for a condition; raise LocalError at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise LocalError(said)
        time.sleep(AGAIN_SECONDS)
