"""What became of a job is told moment by moment, with how long each part took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from job_bodies import NOW, attempt, job_view

from himalia.models import AttemptView, JobView
from himalia.reasons import Reason
from himalia.states import JobState
from himalia.timeline import timeline


def after(seconds: float):
    return NOW + timedelta(seconds=seconds)


def ran(number: int, began: float, ended: float, **changes) -> AttemptView:
    """Return an attempt that was made a second before it ran."""
    times = {"created_at": after(began - 1), "started_at": after(began), "finished_at": after(ended)}
    return attempt("abcdefghijkl", number).model_copy(update=times | changes)


@pytest.fixture
def tried_again() -> JobView:
    """A job whose first attempt failed, and whose second reached its time limit after a warning."""
    first = ran(1, 4, 10, reason=Reason.EXITED, exit_code=75)
    second = ran(2, 21, 81, reason=Reason.TIMED_OUT, warned_at=after(76))
    return job_view(state=JobState.FAILED, reason=Reason.TIMED_OUT, finished_at=after(82), attempts=(first, second))


def test_a_job_that_was_tried_again_is_told_from_submit_to_end(tried_again):
    assert [(moment.what, moment.seconds) for moment in timeline(tried_again)] == [
        ("submitted by ada; in line", 3),
        ("attempt 1 is being started", 1),
        ("attempt 1 runs", 6),
        ("attempt 1 ended with exit code 75; until the next", 10),
        ("attempt 2 is being started", 1),
        ("attempt 2 runs", 55),
        ("attempt 2 is warned of its time limit", 5),
        ("attempt 2 ended (timed out); what it left is collected", 1),
        ("failed", None),
    ]


def test_a_job_that_pauses_says_when_it_stands_in_line_again():
    job = job_view(attempts=(ran(1, 1, 2, reason=Reason.OUT_OF_MEMORY),), retry_at=after(12))

    assert [(moment.what, moment.seconds) for moment in timeline(job)][-2:] == [
        ("attempt 1 ended out of memory", 10),
        ("in line again", None),
    ]


def test_what_goes_on_says_how_long_so_far_and_what_is_to_come_how_soon():
    job = job_view(attempts=(ran(1, 1, 2, reason=Reason.OUT_OF_MEMORY),), retry_at=after(12))
    *_, ended, again = timeline(job)

    assert [ended.lasted(after(5)), again.lasted(after(5)), again.lasted(after(15))] == ["10 s", "in 7 s", "3 s so far"]
    assert again.lasted(None) == ""


def test_show_says_when_a_job_that_pauses_tries_again(service, himalia):
    again = datetime.now(UTC) + timedelta(minutes=5)
    failed = ran(1, 1, 2, reason=Reason.EXITED, exit_code=75)
    service.add_job(id="abcdefghijkl", state=JobState.QUEUED, attempts=(failed,), retry_at=again)

    lines = himalia("show", "abc").out.decode().splitlines()

    assert f"tries again  {again.astimezone():%Y-%m-%d %H:%M:%S}" in lines
    assert lines[-1].endswith(("in line again (in 4 min)", "in line again (in 5 min)"))


def test_a_child_that_was_killed_for_want_of_memory_is_told_though_the_exit_code_is_0(service, himalia):
    ended = ran(1, 1, 2, reason=Reason.SUCCEEDED_WITH_CHILD_OOM, exit_code=0, oom=True)
    service.add_job(id="abcdefghijkl", state=JobState.SUCCEEDED, finished_at=after(3), attempts=(ended,))

    shown = himalia("show", "abc").out.decode()

    assert (
        "attempt 1 ended with exit code 0, and a process of it was killed for want of memory; what it left is collected (1 s)"
        in shown
    )


def test_show_prints_the_timeline_with_durations(service, himalia, tried_again):
    service.add_job(**tried_again.model_dump(exclude={"id"}), id="abcdefghijkl")

    lines = himalia("show", "abc").out.decode().splitlines()

    assert lines[-9].startswith("timeline ") and lines[-9].endswith("submitted by ada; in line (3 s)")
    assert lines[-1].endswith("  failed")
