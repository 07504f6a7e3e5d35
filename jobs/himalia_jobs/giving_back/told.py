"""The sentences of giving back: what happens, when, and what one may do. Times in them are UTC stamps."""

from __future__ import annotations

from datetime import datetime

from himalia.moments import stamp
from himalia.units import format_duration

from .words import End, Standing, Then

KEEP, STOP, RESTART, CANCEL = "keep", "stop", "restart", "cancel"  #: the answers
FILES_STAY = "Your files stay; what is only in memory is lost."


def gpus_of(count: int) -> str:
    """Return `GPU` or `GPUs`."""
    return "GPU" if count == 1 else "GPUs"


def server_of(name: str) -> str:
    """Return which of a person's servers is meant."""
    return f"your server {name}" if name else "your server"


def idle_warning(server: str, gpus: int, one: Standing, at: datetime) -> str:
    """Return what the owner of a server is told whose GPUs nobody uses; Lab shows 140 letters."""
    does = "stopped" if one.terms.then == "stop" else f"restarted without {'it' if gpus == 1 else 'them'}"
    return (
        f"The {gpus_of(gpus)} of {server_of(server)} {'has' if gpus == 1 else 'have'} been idle for "
        f"{format_duration(one.idle_seconds)}. At {stamp(at)} the server is {does}, unless used. "
        f"Files stay; memory is lost."
    )


def age_warning(server: str, max_age: float, at: datetime) -> str:
    """Return what the owner of a server is told that grows too old."""
    return (
        f"At {stamp(at)} {server_of(server)} reaches its largest age, {format_duration(max_age)}, and is stopped. "
        f"Save what is only in memory; your files stay."
    )


def job_warning(name: str, job_id: str, idle_seconds: float, at: datetime | None) -> str:
    """Return what the submitter of a job is told that does not use its GPUs; `at`: when it is ended."""
    end = f" It is ended at {stamp(at)} unless it uses them." if at is not None else ""
    return (
        f"Your job {name} ({job_id}) has not used its GPUs for {format_duration(idle_seconds)}.{end} "
        f"Look at its log: it may be stuck, or not need them."
    )


def job_line(since: datetime) -> str:
    """Return the line that such a job carries."""
    return f"It has not used its GPUs since {stamp(since)}."


def job_end(idle_seconds: float) -> str:
    """Return why such a job was ended."""
    return f"It had not used its GPUs for {format_duration(idle_seconds)}."


def server_end(server: str, why: End, then: Then, now: datetime, *, seconds: float, asker: str = "") -> str:
    """Return what is told once a server was ended, and stands on the hub's page."""
    done = "stopped" if then == "stop" else "restarted without a GPU"
    reason = {
        End.IDLE: f"its GPU had not been used for {format_duration(seconds)}",
        End.MAX_AGE: f"it had reached its largest age, {format_duration(seconds)}",
        End.RELEASED: f"you gave its GPU back{f', which {asker} had asked for' if asker else ''}",
    }[why]
    whose = server_of(server)
    return f"{whose[0].upper()}{whose[1:]} was {done} at {stamp(now)}: {reason}. Your files are where they were."


def asked(askers: list[str], gpu: str, kind: str, job: str) -> str:
    """Return what a holder is told whom others ask."""
    who = askers[0] if len(askers) == 1 else f"{', '.join(askers[:-1])} and {askers[-1]}"
    what = f"your job {job}" if kind == "job" else "your server"
    wait = "waits" if len(askers) == 1 else "wait"
    return f"{who} {wait} for a GPU like the one of {what} ({gpu}). Release it? {FILES_STAY if kind == 'server' else ''}".strip()


def answered(holder: str, gpu: str, *, released: bool) -> str:
    """Return what is told to whoever asked."""
    if released:
        return f"{holder} gives {gpu} back. It goes to whoever is first in line."
    return f"{holder} keeps {gpu} for now."
