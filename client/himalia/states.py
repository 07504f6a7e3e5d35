"""The life of a job: its states, and which may follow which.

A state says where a job is. What its user wants (`cancel_requested`) and why it waits or ended (`reasons.Reason`) are other columns.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"  #: waits for its turn and for free CPUs, memory and GPUs
    STARTING = "starting"  #: has its lease; its container is being made
    RUNNING = "running"  #: its command runs
    COLLECTING = "collecting"  #: has ended; log and artifacts are sealed, the lease goes back
    SUCCEEDED = "succeeded"  #: ended with exit code 0
    FAILED = "failed"  #: ended otherwise, or can never run
    CANCELLED = "cancelled"  #: ended because somebody asked for it


NEXT_STATES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.STARTING, JobState.FAILED, JobState.CANCELLED}),
    JobState.STARTING: frozenset({JobState.RUNNING, JobState.COLLECTING, JobState.QUEUED}),
    JobState.RUNNING: frozenset({JobState.COLLECTING}),
    JobState.COLLECTING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.QUEUED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

FINAL_STATES = frozenset(state for state, following in NEXT_STATES.items() if not following)
LIVE_STATES = frozenset(NEXT_STATES) - FINAL_STATES
STARTED_STATES = frozenset({JobState.STARTING, JobState.RUNNING, JobState.COLLECTING})


def states_before(state: JobState) -> list[JobState]:
    """Return the states a job may come from."""
    return [before for before, following in NEXT_STATES.items() if state in following]


class LeaseState(StrEnum):
    """Where a lease is."""

    WAITING = "waiting"  #: in the queue
    RESERVED = "reserved"  #: has its share of a node; its container is expected before the deadline
    HELD = "held"  #: its container exists
    RELEASED = "released"  #: given back, or withdrawn from the queue
