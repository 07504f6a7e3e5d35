"""Settings, people and writers change under those who hold GPUs: nothing is given out twice, nothing lost, and what is said is so."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from gpu_witness import GPUWitness
from live_platform import eventually, run, state
from own_service import SETTINGS, OwnService

from himalia.errors import FieldError
from himalia.ids import new_id
from himalia.reasons import Reason
from himalia.states import JobState

JOB_WRITERS, LEASE_WRITERS = 4, 4
LASTS = "echo begun; sleep 600"
WITH_ONE_GPU = """
[[profiles]]
name = "one"
cpus = 0.1
memory = "64M"
gpus = "1"
"""


@pytest.fixture(scope="module")
def own_for_all(tmp_path_factory):
    """A service for those who only ask."""
    service = OwnService(tmp_path_factory.mktemp("own"), settings=SETTINGS + WITH_ONE_GPU)
    try:
        service.start()
        yield service
    finally:
        service.end()


def holder(client, gpus: str = "2"):
    """Return a job that runs and holds GPUs."""
    job = run(client, LASTS, gpus=gpus, wait=False)
    eventually(lambda: state(job).state is JobState.RUNNING)
    return job


def holders(client) -> list[str | None]:
    """Return who holds each GPU."""
    return [slot.holder for slot in client.gpus().slots]


@pytest.mark.fault(65)
def test_lowered_limits_a_reservation_and_a_team_that_was_left_end_nothing_and_bind_whoever_comes_next(own):
    own.hub.hub.knows("ada", teams=("nlp",))
    ada, bob, eve = own.client("ada"), own.client("bob"), own.client("eve")
    assert run(ada, "ls /team/nlp").exit_code == 0
    job = holder(ada)
    before = holders(ada)
    own.stop()
    own.hub.hub.knows("ada", teams=())
    now = datetime.now(UTC)
    with own.config.open("a") as settings:
        settings.write(
            '[[quotas]]\nuser = "ada"\ngpus = 1\n'
            f'[[reservations]]\nname = "the paper"\ngpus = "2"\nusers = ["bob"]\n'
            f'start = "{now.isoformat()}"\nend = "{(now + timedelta(days=2)).isoformat()}"\n'
        )

    own.start()

    more, reserved, other = (run(client, "true", gpus="1", wait=False) for client in (ada, bob, eve))
    eventually(lambda: state(more).reason is Reason.AT_LIMIT)
    assert "1 GPU" in state(more).sentence
    eventually(lambda: state(reserved).reason is Reason.WAITS_FOR_GPUS)
    assert (state(job).state, holders(ada)) == (JobState.RUNNING, before)
    assert run(ada, "ls /team/nlp").exit_code == 2
    job.cancel().wait(60)
    assert reserved.wait(60).state is JobState.SUCCEEDED
    eventually(lambda: state(other).reason is Reason.WAITS_FOR_RESERVATION)
    assert "2 reserved (the paper) until" in state(other).sentence
    assert eventually(lambda: own.client().gpus().free == 2)


@pytest.mark.fault(62)
@pytest.mark.parametrize("gpus", ["3", "H200", "shared", "mig-1g.18gb", "80GB..:1"])
def test_gpus_that_are_not_there_are_refused_at_once_with_what_is(own_for_all, gpus):
    with pytest.raises(FieldError) as refused:
        run(own_for_all.client(), "true", gpus=gpus)

    assert refused.value.field == "gpus"
    assert any(word in refused.value.message for word in ("Simulated", "2 GPUs", "2 of"))


@pytest.mark.fault(61)
@pytest.mark.parametrize("gpus", ["-1", "1.5", "all", "1e3", "9" * 19, "NaN", "0x1", "1;2", "\u0661"])
def test_a_number_of_gpus_that_is_none_is_refused_with_the_field_named(own_for_all, gpus):
    with pytest.raises(FieldError) as refused:
        run(own_for_all.client(), "true", gpus=gpus)

    assert refused.value.field == "gpus"


@pytest.mark.fault(59)
def test_eight_writers_at_once_get_each_gpu_once(own_for_all):
    own = own_for_all
    taken: dict[str, str] = {}
    doubled: list[str] = []
    lock = threading.Lock()

    def submit(number: int) -> list[object]:
        client = own.client(f"writer-{number}")
        return [run(client, "true", gpus="1", wait=False) for _ in range(2)]

    def lease(number: int) -> int:
        for _ in range(5):
            own.hub.hub.knows(f"reader-{number}")
            wish = {"user": f"reader-{number}", "spawn_id": new_id(), "profile": "one"}
            made = own.spawner("POST", "leases", json=wish).json()
            while made["state"] == "waiting":
                seen = {"wait": "5", "seen": f"waiting/{made['position'] or ''}"}
                made = own.spawner("GET", f"leases/{made['id']}", params=seen).json()
            slots = [slot["uuid"] for slot in made["slots"]]
            with lock:
                doubled.extend(slot for slot in slots if slot in taken)
                taken.update(dict.fromkeys(slots, made["id"]))
            with lock:
                for slot in slots:
                    taken.pop(slot, None)
            assert own.spawner("DELETE", f"leases/{made['id']}").status_code == 204
        return number

    with GPUWitness(own.installation) as witness, ThreadPoolExecutor(JOB_WRITERS + LEASE_WRITERS) as threads:
        for number in range(JOB_WRITERS):
            own.client(f"writer-{number}")
        leasing = [threads.submit(lease, number) for number in range(LEASE_WRITERS)]
        jobs = [job for submit_all in threads.map(submit, range(JOB_WRITERS)) for job in submit_all]
        assert [job.wait(90).state for job in jobs] == [JobState.SUCCEEDED] * len(jobs)
        assert [one.result(90) for one in leasing] == list(range(LEASE_WRITERS))

    assert (witness.wrong, doubled) == ([], [])
    eventually(lambda: own.client().gpus().free == 2)
    assert witness.left() == {"containers": [], "volumes": []}
