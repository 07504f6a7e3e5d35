"""A round of the queue is one transaction: leases, slots, attempts and states are written together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rows import server_lease

from himalia.gpus import Slot, SlotHealth
from himalia.reasons import Reason
from himalia.site import Limits
from himalia.states import JobState, LeaseState
from himalia.units import GiB
from himalia_jobs.engines.base import Node
from himalia_jobs.store import jobs, leases
from himalia_jobs.turn import take_turn

LIMITS = Limits(cpus=4, memory=8 * GiB)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def node(gpus: int = 2) -> Node:
    found = tuple(
        Slot(uuid=f"GPU-{n}", index=n, model="Simulated", memory_bytes=24 * GiB, simulated=True) for n in range(gpus)
    )
    return Node(node_id="local", name="here", boot_id="b", cpus=4, memory_bytes=16 * GiB, slots=found)


def turn(db, machine, closed=None, limits=LIMITS):
    db.write_now(lambda c: leases.write_slots(c, "local", machine.slots))
    return db.write_now(lambda c: take_turn(c, [machine], limits, closed, now=NOW))


def test_a_queued_job_gets_a_lease_an_attempt_and_its_slots(db, add_job):
    job = add_job(gpus="2")

    decided = turn(db, node())

    assert decided.started == (f"{job.id}.1",)
    assert db.read_now(lambda c: jobs.get(c, job.id)).state is JobState.STARTING
    (lease,) = db.read_now(leases.live)
    assert (lease.state, lease.holder) == (LeaseState.RESERVED, f"{job.id}.1")
    assert [slot.uuid for slot in db.read_now(leases.slots_by_lease)[lease.id]] == ["GPU-0", "GPU-1"]


def test_a_second_job_waits_with_its_reason_until_the_first_gives_back(db, add_job):
    first = add_job(gpus="2")
    second = add_job(gpus="1", user="bob")
    decided = turn(db, node())
    assert decided.waits[second.id].reason is Reason.WAITS_FOR_GPUS
    assert db.read_now(lambda c: jobs.get(c, second.id)).reason is Reason.WAITS_FOR_GPUS

    (lease,) = db.read_now(leases.live)
    db.write_now(lambda c: leases.release(c, lease.id))

    assert turn(db, node()).started == (f"{second.id}.1",)
    assert first.id != second.id


def test_cpus_and_memory_are_never_given_out_twice(db, add_job):
    for _ in range(10):
        add_job(cpus=1.5, memory_bytes=2 * GiB)

    decided = turn(db, node())

    assert len(decided.started) == 2
    assert len(decided.waits) == 8


def test_a_slot_that_is_given_out_cannot_be_given_out_again(db, add_job):
    machine = node(1)
    db.write_now(lambda c: leases.write_slots(c, "local", machine.slots))
    base = {
        "kind": "server",
        "node_id": "local",
        "user_id": "u",
        "user": "ada",
        "holder": "",
        "profile": "small",
        "cpus": 1.0,
        "memory_bytes": 1,
        "gpus": "1",
        "teams": {},
    }
    for lease_id in ("a" * 12, "b" * 12):
        db.write_now(lambda c, lease_id=lease_id: leases.add(c, base | {"id": lease_id}))

    assert db.write_now(lambda c: leases.take_slots(c, "a" * 12, machine.slots))
    assert not db.write_now(lambda c: leases.take_slots(c, "b" * 12, machine.slots))


def test_a_gpu_that_is_gone_stays_with_who_holds_it(db, add_job):
    add_job(gpus="1")
    turn(db, node(1))

    db.write_now(lambda c: leases.write_slots(c, "local", ()))

    assert len(db.read_now(leases.all_slots)) == 1


def test_a_server_in_line_is_reserved_like_a_job(db, add_job):
    values = server_lease(id="a" * 12, user="ada")
    db.write_now(lambda c: leases.add(c, values))

    assert turn(db, node()).started == ()
    assert db.read_now(lambda c: leases.get(c, "a" * 12)).state is LeaseState.RESERVED


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"cpus": 3.0}, "3 CPUs are more than this platform has: 2."),
        ({"memory_bytes": 6 * GiB}, "6.0 GB of memory is more than this platform gives out: 4.0 GB."),
        ({"gpus": "3"}, "3 GPUs are asked for, and only 2 are here."),
        ({"gpus": "H200:1"}, "No GPU here is an H200."),
    ],
)
def test_a_job_that_can_never_run_any_more_ends_with_the_sentence(db, add_job, asked, said):
    job = add_job(**asked)
    other = add_job(user="bob")

    decided = turn(db, node(), limits=Limits(cpus=2, memory=4 * GiB))

    ended = db.read_now(lambda c: jobs.get(c, job.id))
    assert (ended.state, ended.reason) == (JobState.FAILED, Reason.CANNOT_RUN)
    assert ended.detail.startswith(said)
    assert ended.finished_at
    assert decided.started == (f"{other.id}.1",)
    assert (decided.changed, set(decided.waits)) == (True, set())


@pytest.mark.parametrize("state", ["unreachable", "cordoned", "draining", "gone"])
def test_a_job_waits_for_a_machine_that_is_not_there_now_however_much_it_asks(db, add_job, state):
    job = add_job(cpus=99.0)

    turn(db, replace(node(), state=state))

    assert db.read_now(lambda c: jobs.get(c, job.id)).state is JobState.QUEUED


def test_a_job_waits_while_nothing_is_known_of_any_machine(db, add_job):
    job = add_job(cpus=99.0)
    silent = (Reason.WAITS_FOR_ENGINE, "The Docker Engine does not answer.")

    turn(db, node(), closed=silent)
    db.write_now(lambda c: take_turn(c, [], LIMITS, None, now=NOW))

    assert db.read_now(lambda c: jobs.get(c, job.id)).state is JobState.QUEUED


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_job_waits_for_real_gpus_that_are_ill_or_not_seen(db, add_job, count):
    job = add_job(gpus="H200:2")
    real = tuple(
        Slot(uuid=f"GPU-{n}", index=n, model="NVIDIA H200", memory_bytes=141 * GiB, health=SlotHealth.SUSPECT)
        for n in range(count)
    )

    turn(db, replace(node(), slots=real))

    waiting = db.read_now(lambda c: jobs.get(c, job.id))
    assert (waiting.state, waiting.reason) == (JobState.QUEUED, Reason.WAITS_FOR_GPUS)


def test_a_simulated_gpu_that_is_ill_ends_no_job(db, add_job):
    job = add_job(gpus="2")
    machine = node()
    ill = replace(machine, slots=tuple(slot.model_copy(update={"health": SlotHealth.GONE}) for slot in machine.slots))

    turn(db, ill)

    assert db.read_now(lambda c: jobs.get(c, job.id)).state is JobState.QUEUED


def test_a_server_that_can_never_run_any_more_leaves_the_line(db, add_job):
    lease = server_lease(id="a" * 12, user="ada", profile="large", cpus=99.0, gpus="0")
    db.write_now(lambda c: leases.add(c, lease))

    assert turn(db, node()).changed

    assert db.read_now(lambda c: leases.get(c, "a" * 12)).state is LeaseState.RELEASED
