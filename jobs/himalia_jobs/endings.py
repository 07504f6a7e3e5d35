"""How a job ended, from how its container ended: a pure function."""

from __future__ import annotations

import signal as signals
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from himalia.gpus import SlotHealth, SlotHold
from himalia.reasons import WAITING_REASONS, Reason, sentence
from himalia.retrying import parse_retry_on
from himalia.states import JobState
from himalia.units import format_duration, format_size

from .engines.base import Exit, ExitReason
from .store.records import AttemptRecord, JobRecord, SlotRecord

COMMAND_NOT_EXECUTABLE = 126
COMMAND_NOT_FOUND = 127
GONE = "the machine does not list it any more."


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The state a job ends in, and why."""

    state: JobState
    reason: Reason
    detail: str = ""


def ending(job: JobRecord, attempt: AttemptRecord, exit: Exit) -> Ending:
    """Return how an attempt ended."""
    gave_way = exit.reason is ExitReason.STOPPED and attempt.stop_reason == Reason.PREEMPTED
    if gave_way and not job.cancel_requested:
        return Ending(state=JobState.FAILED, reason=Reason.PREEMPTED, detail="")
    if gave_way or (exit.reason is ExitReason.STOPPED and attempt.stop_reason == Reason.CANCELLED):
        return Ending(state=JobState.CANCELLED, reason=Reason.CANCELLED, detail=by_whom(job))
    if exit.reason is ExitReason.STOPPED and attempt.stop_reason == Reason.TIMED_OUT:
        limit = format_duration(job.timeout_seconds)
        return Ending(state=JobState.FAILED, reason=Reason.TIMED_OUT, detail=f"Its time limit was {limit}.")
    if exit.reason is ExitReason.STOPPED and attempt.stop_reason == Reason.OVER_SHARE:
        return Ending(state=JobState.FAILED, reason=Reason.OVER_SHARE)
    if exit.reason is ExitReason.STOPPED and attempt.stop_reason in (Reason.GPU_IDLE, Reason.DISK_LIMIT):
        return Ending(state=JobState.FAILED, reason=Reason(attempt.stop_reason), detail=attempt.detail)
    special = _FROM_ENGINE.get(exit.reason)
    if special is not None:
        return Ending(state=JobState.FAILED, reason=special, detail=exit.detail)
    return _by_code(job, exit)


def with_failed_gpus(end: Ending, slots: Iterable[SlotRecord]) -> Ending:
    """Return the ending of a command that failed, with the GPUs that failed under it: it may not be the command's fault."""
    failed = [
        f"GPU {slot.index} failed while it ran: {slot.hold_detail or GONE}"
        for slot in slots
        if slot.hold is SlotHold.FAULT or slot.health is SlotHealth.GONE
    ]
    if end.state is not JobState.FAILED or end.reason not in (Reason.EXITED, Reason.KILLED_BY_SIGNAL) or not failed:
        return end
    return replace(end, detail=" ".join([end.detail, *failed]))


def sentence_of_end(end: Ending) -> str:
    """Return how an attempt ended, as a sentence about a job that runs again by itself."""
    told = end.detail if end.reason is Reason.EXITED else sentence(end.reason, end.detail)
    return told.removesuffix(" Run it again.")


def by_whom(job: JobRecord) -> str:
    """Return who cancelled a job, as a sentence."""
    return f"Cancelled by {job.cancelled_by}." if job.cancelled_by else ""


def may_retry(job: JobRecord, attempts: Sequence[AttemptRecord], end: Ending) -> bool:
    """Tell whether the job gets another attempt; `attempts` are all that it had, the last being the one that ended."""
    if end.reason is Reason.PREEMPTED:
        return not job.cancel_requested
    return (
        end.state is JobState.FAILED
        and parse_retry_on(job.retry_on).covers(end.reason, attempts[-1].exit_code, attempts[-1].signal)
        and failures(attempts) <= job.retries
        and not job.cancel_requested
    )


def named(job: JobRecord, attempt: AttemptRecord, end: Ending) -> bool:
    """Tell whether the person asked for another try after this very exit code or signal."""
    return parse_retry_on(job.retry_on).names(end.reason, attempt.exit_code, attempt.signal)


def failures(attempts: Sequence[AttemptRecord]) -> int:
    """Return how many attempts failed: those that gave way, or never began, do not count."""
    return sum(attempt.reason is not Reason.PREEMPTED and attempt.reason not in WAITING_REASONS for attempt in attempts)


_FROM_ENGINE = {
    ExitReason.START_FAILED: Reason.START_FAILED,
    ExitReason.NODE_REBOOTED: Reason.NODE_REBOOTED,
    ExitReason.ENGINE_STOPPED: Reason.ENGINE_STOPPED,
    ExitReason.VANISHED: Reason.VANISHED,
}


def _by_code(job: JobRecord, exit: Exit) -> Ending:
    memory = f"It asked for {format_size(job.memory_bytes)}."
    if exit.code == 0:
        if exit.oom:
            return Ending(state=JobState.SUCCEEDED, reason=Reason.SUCCEEDED_WITH_CHILD_OOM, detail=memory)
        return Ending(state=JobState.SUCCEEDED, reason=Reason.EXITED)
    if exit.oom:
        return Ending(state=JobState.FAILED, reason=Reason.OUT_OF_MEMORY, detail=memory)
    if exit.code == COMMAND_NOT_FOUND:
        return Ending(state=JobState.FAILED, reason=Reason.COMMAND_NOT_FOUND, detail="Exit code 127.")
    if exit.code == COMMAND_NOT_EXECUTABLE:
        return Ending(state=JobState.FAILED, reason=Reason.COMMAND_NOT_EXECUTABLE, detail="Exit code 126.")
    if exit.signal:
        return Ending(state=JobState.FAILED, reason=Reason.KILLED_BY_SIGNAL, detail=f"Signal: {_name(exit.signal)}.")
    return Ending(state=JobState.FAILED, reason=Reason.EXITED, detail=f"Exit code {exit.code}.")


def _name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return str(number)
