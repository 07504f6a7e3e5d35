"""How a job ended follows from how its container ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from himalia.reasons import SENTENCES, Reason
from himalia.states import JobState
from himalia_jobs.endings import ending, may_retry
from himalia_jobs.engines.base import Exit, ExitReason
from himalia_jobs.store import jobs


@pytest.fixture
def job(db, add_job):
    return add_job(retries=1)


@pytest.fixture
def attempt(db, job):
    def write(c):
        jobs.add_attempt(
            c, {"id": f"{job.id}.1", "job_id": job.id, "number": 1, "node_id": "local", "lease_id": "l", "slots": []}
        )
        return jobs.last_attempt(c, job.id)

    return db.write_now(write)


@pytest.mark.fault(33)
@pytest.mark.fault(34)
@pytest.mark.parametrize(
    ("exit", "state", "reason"),
    [
        (Exit(code=0), JobState.SUCCEEDED, Reason.EXITED),
        (Exit(code=0, oom=True), JobState.SUCCEEDED, Reason.SUCCEEDED_WITH_CHILD_OOM),
        (Exit(code=3), JobState.FAILED, Reason.EXITED),
        (Exit(code=137, signal=9, oom=True), JobState.FAILED, Reason.OUT_OF_MEMORY),
        (Exit(code=137, signal=9), JobState.FAILED, Reason.KILLED_BY_SIGNAL),
        (Exit(code=127), JobState.FAILED, Reason.COMMAND_NOT_FOUND),
        (Exit(code=126), JobState.FAILED, Reason.COMMAND_NOT_EXECUTABLE),
        (Exit(code=None, reason=ExitReason.VANISHED), JobState.FAILED, Reason.VANISHED),
        (Exit(code=None, reason=ExitReason.NODE_REBOOTED), JobState.FAILED, Reason.NODE_REBOOTED),
        (Exit(code=None, reason=ExitReason.ENGINE_STOPPED), JobState.FAILED, Reason.ENGINE_STOPPED),
        (Exit(code=None, reason=ExitReason.START_FAILED), JobState.FAILED, Reason.START_FAILED),
    ],
)
def test_each_end_has_its_state_and_reason(job, attempt, exit, state, reason):
    end = ending(job, attempt, exit)

    assert (end.state, end.reason) == (state, reason)


def test_a_job_that_gave_way_runs_again_whatever_its_retries_unless_it_is_cancelled(job, attempt):
    stopped, told = Exit(code=143, signal=15, reason=ExitReason.STOPPED), replace(attempt, stop_reason="preempted")
    never = replace(job, retries=0)

    gave_way = ending(never, told, stopped)
    cancelled = ending(replace(never, cancel_requested=True), told, stopped)

    assert gave_way.reason is Reason.PREEMPTED and may_retry(never, [told], gave_way)
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, Reason.CANCELLED)


def test_attempts_that_gave_way_or_never_began_use_up_no_retry(job, attempt):
    failed = ending(job, attempt, Exit(code=3))
    this, gave_way, never = (
        replace(attempt, reason=reason) for reason in (Reason.EXITED, Reason.PREEMPTED, Reason.IN_LINE)
    )

    assert not may_retry(job, [this, this], failed)
    assert may_retry(job, [gave_way, never, gave_way, this], failed)


def test_a_job_we_stopped_ended_for_the_reason_we_stopped_it(job, attempt):
    stopped = Exit(code=143, signal=15, reason=ExitReason.STOPPED)

    cancelled = ending(job, replace(attempt, stop_reason="cancelled"), stopped)
    timed_out = ending(job, replace(attempt, stop_reason="timed_out"), stopped)

    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, Reason.CANCELLED)
    assert (timed_out.state, timed_out.reason) == (JobState.FAILED, Reason.TIMED_OUT)


def test_a_job_that_ended_by_itself_before_the_stop_keeps_its_own_end(job, attempt):
    end = ending(job, replace(attempt, stop_reason="cancelled"), Exit(code=0))

    assert end.state is JobState.SUCCEEDED


def test_a_failure_is_tried_again_as_often_as_was_asked_for(job, attempt):
    failed = ending(job, attempt, Exit(code=1))

    assert may_retry(job, [attempt], failed)
    assert not may_retry(job, [attempt, attempt], failed)
    assert not may_retry(replace(job, cancel_requested=True), [attempt], failed)


def test_a_missing_command_is_not_tried_again(job, attempt):
    assert not may_retry(job, [attempt], ending(job, attempt, Exit(code=127)))


@pytest.mark.parametrize(
    ("causes", "exit", "again"),
    [
        ("exit:75", Exit(code=75), True),
        ("exit:75", Exit(code=74), False),
        ("exit:64-78,lost", Exit(code=78), True),
        ("exit:127", Exit(code=127), True),
        ("exit", Exit(code=127), False),
        ("oom", Exit(code=137, signal=9, oom=True), True),
        ("oom", Exit(code=137, signal=9), False),
        ("signal:KILL", Exit(code=137, signal=9), True),
        ("signal:SEGV", Exit(code=137, signal=9), False),
        ("exit:137", Exit(code=137, signal=9), False),
        ("exit:137", Exit(code=137), True),
        ("lost", Exit(code=None, reason=ExitReason.ENGINE_STOPPED), True),
        ("lost", Exit(code=1), False),
        ("exit,signal,oom,timeout,lost", Exit(code=0), False),
        ("exit,signal,oom,timeout,lost", Exit(code=None, reason=ExitReason.START_FAILED), False),
    ],
)
def test_a_failure_is_tried_again_after_the_causes_that_were_asked_for(job, attempt, causes, exit, again):
    asked, ended = replace(job, retry_on=causes), replace(attempt, exit_code=exit.code, signal=exit.signal)

    assert may_retry(asked, [ended], ending(asked, ended, exit)) is again


def test_a_job_at_its_time_limit_is_tried_again_only_where_that_was_asked_for(job, attempt):
    late = replace(attempt, stop_reason="timed_out")
    end = ending(job, late, Exit(code=143, signal=15, reason=ExitReason.STOPPED))

    assert not may_retry(job, [late], end)
    assert may_retry(replace(job, retry_on="timeout"), [late], end)


def test_every_reason_has_a_sentence_that_ends():
    assert set(SENTENCES) == set(Reason)
    assert all(text.endswith(".") for text in SENTENCES.values())
