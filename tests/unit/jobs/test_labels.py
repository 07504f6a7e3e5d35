"""A job whose log says why it failed has a label, a sentence that says what to do, and no try that cannot help."""

from __future__ import annotations

from pathlib import Path

import pytest
from mortal_service import MortalService, running, ticks

from himalia.log_policies import LogPolicy
from himalia.queueing import Queue
from himalia.reasons import Reason
from himalia.states import JobState
from himalia_jobs.engines.fake import FakeMachine, Program
from himalia_jobs.labelling import LOOKED_AT_BYTES, NOT_AGAIN
from himalia_jobs.store import Database, jobs
from himalia_jobs.views import attempt_view, words

pytestmark = pytest.mark.asyncio
FULL = b"Traceback\nRuntimeError: CUDA out of memory. Tried to allocate 2 GiB\n"
TOLD = "The memory of its GPU was full. Use smaller batches, or ask for a GPU with more memory."
RUN = ("run",)


@pytest.fixture
def service(db: Database, machine: FakeMachine, tmp_path: Path) -> MortalService:
    """A service whose site knows one more policy."""
    return MortalService(db, machine, tmp_path, queue=Queue())


async def ended(service: MortalService, add_job, program: Program, **job: object):
    """Run a command to its end; return the job and its last attempt."""
    service.machine.programs[RUN] = program
    added = add_job(**running(RUN, **job))
    await service.start()
    await ticks(service, 3)
    found = service.job(added.id)
    return found, await service.db.read(lambda db: jobs.last_attempt(db, added.id))


async def test_a_job_whose_log_says_why_it_failed_says_what_to_do(service, add_job):
    job, attempt = await ended(service, add_job, Program(code=1, output=FULL))

    assert (job.state, job.reason) == (JobState.FAILED, Reason.EXITED)
    assert words(job, None) == f"Exit code 1. {TOLD}"
    assert attempt_view(attempt).label == "gpu-out-of-memory"


async def test_no_retry_is_spent_on_what_would_end_the_same_way(service, add_job):
    job, _ = await ended(service, add_job, Program(code=1, output=FULL), retries=3)

    assert (job.state, service.machine.starts) == (JobState.FAILED, [f"{job.id}.1"])
    assert words(job, None) == f"Exit code 1. {TOLD} {NOT_AGAIN}"


async def test_a_job_that_another_try_can_help_is_tried_again_and_says_why(service, add_job):
    output = b"Temporary failure in name resolution"
    job, attempt = await ended(service, add_job, Program(code=1, output=output), retries=1)

    assert (job.state, job.reason, attempt.label) == (JobState.QUEUED, Reason.WAITS_FOR_RETRY, "network")
    assert "could not reach an address on the network" in job.detail


@pytest.mark.parametrize("causes", ["exit:75", "exit:70-79", "oom,exit:75"])
async def test_who_names_the_exit_code_is_tried_again_whatever_a_shipped_policy_says(service, add_job, causes):
    job, attempt = await ended(service, add_job, Program(code=75, output=FULL), retries=3, retry_on=causes)

    assert (job.state, job.reason, attempt.label) == (JobState.QUEUED, Reason.WAITS_FOR_RETRY, "gpu-out-of-memory")
    assert TOLD in words(job, None)


async def test_who_names_the_signal_is_tried_again_and_who_names_another_is_not(service, add_job):
    crash = Program(code=139, signal=11, output=FULL)

    meant, _ = await ended(service, add_job, crash, retries=3, retry_on="signal:SEGV")
    other, _ = await ended(service, add_job, crash, retries=3, retry_on="signal,signal:BUS")

    assert (meant.state, other.state) == (JobState.QUEUED, JobState.FAILED)


async def test_a_sites_own_policy_holds_also_against_who_names_the_exit_code(service, add_job):
    own = LogPolicy(name="gpu-out-of-memory", patterns=("out of memory",), sentence="Ask the desk.", retry=False)
    service.site = service.site.model_copy(update={"log_policies": (own,)})

    job, _ = await ended(service, add_job, Program(code=75, output=FULL), retries=3, retry_on="exit:75")

    assert job.state is JobState.FAILED
    assert words(job, None) == f"Exit code 75. Ask the desk. {NOT_AGAIN}"


@pytest.mark.parametrize(
    "program",
    [
        Program(code=0, output=FULL),
        Program(code=137, signal=9, oom=True, output=FULL),
        Program(code=1, output=FULL + b"x" * LOOKED_AT_BYTES),
        Program(code=1),
    ],
    ids=["it succeeded", "the platform knows why", "long before the end", "it said nothing"],
)
async def test_only_the_end_of_a_failed_jobs_log_counts(service, add_job, program):
    job, attempt = await ended(service, add_job, program)

    assert attempt.label is None
    assert TOLD not in words(job, None)


async def test_a_sites_own_policy_labels_too(service, add_job):
    own = LogPolicy(name="licence", patterns=("no licence",), sentence="All licences are taken.", retry=False)
    service.site = service.site.model_copy(update={"log_policies": (own,)})

    _, attempt = await ended(service, add_job, Program(code=1, output=b"no licence\n"))

    assert attempt.label == "licence"
