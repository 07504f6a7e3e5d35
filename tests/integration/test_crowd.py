"""A crowd at one small machine: whatever comes at once, nothing is given out twice and nothing is left over."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from container_checker import ContainerChecker
from live_platform import DEADLINE_SECONDS, eventually, run, state

from himalia.states import FINAL_STATES, JobState

PEOPLE = ("ada", "bob", "grace", "heidi", "ivan")
WITH_NOTEBOOK = PEOPLE[:4]
JOBS_EACH = 10
GPUS = 4
CROWD_SECONDS = 150.0


def wishes(memory_bytes: int) -> list[dict[str, object]]:
    """Return what each person asks for: one and two GPUs, none, many CPUs, a third of the memory."""
    one = {"gpus": "1", "cpus": 0.1, "memory": "64M"}
    kinds: list[dict[str, object]] = [one, one, one, one, one | {"gpus": "2"}, one | {"gpus": "2"}]
    kinds += [one | {"cpus": 0.9}, one | {"memory": memory_bytes // 3}]
    kinds += [one | {"gpus": "0", "cpus": 0.9}, one | {"gpus": "0", "memory": memory_bytes // 3}]
    assert len(kinds) == JOBS_EACH
    return kinds


@pytest.mark.timeout(240)
def test_a_crowd_gets_every_gpu_once_and_leaves_nothing(live, client):
    root = client("root-admin")
    node = root.gpus().nodes[0]
    people = {name: (live.person(name), client(name)) for name in PEOPLE}
    blocker = run(client("root-admin"), "sleep 600", gpus=str(GPUS), cpus=0.1, memory="64M", wait=False)
    eventually(lambda: state(blocker).state is JobState.RUNNING)

    def submit_all(name):
        return [run(people[name][1], "true", wait=False, **wish) for wish in wishes(node.memory_bytes)]

    def use_a_notebook(name):
        person = people[name][0]
        person.start_server("gpu")
        answer = person.get(f"user/{name}/api/status")
        person.stop_server()
        return answer.status_code

    with (
        ContainerChecker(live.place.installation, cpus=node.cpus, memory_bytes=node.memory_bytes) as checker,
        ThreadPoolExecutor(len(PEOPLE) + len(WITH_NOTEBOOK)) as threads,
    ):
        notebooks = [threads.submit(use_a_notebook, name) for name in WITH_NOTEBOOK]
        submits = [threads.submit(submit_all, name) for name in PEOPLE]
        try:
            jobs = [job for submit in submits for job in submit.result(DEADLINE_SECONDS)]
            last = eventually(lambda: last_in_line(root, checker, jobs))
        finally:
            blocker.cancel()
        begun = time.monotonic()
        assert [notebook.result(CROWD_SECONDS) for notebook in notebooks] == [200] * len(WITH_NOTEBOOK)
        left = CROWD_SECONDS - (time.monotonic() - begun)
        eventually(lambda: all(summary.state in FINAL_STATES for summary in root.jobs()), left)
        seconds = time.monotonic() - begun

    print(f"\n{len(jobs)} jobs and {len(notebooks)} notebooks in {seconds:.0f} s; the containers were looked at")
    print(f"{checker.looks} times: at most {checker.most_slots} GPUs and {checker.most_cpus:g} CPUs at once")
    print(f"the last of {last.position} in line was told: {last.sentence}")
    assert checker.wrong == []
    assert checker.looks > 4 * len(jobs)
    assert checker.most_slots == GPUS
    assert [state(job).state for job in jobs] == [JobState.SUCCEEDED] * len(jobs)
    nothing_is_left(live, root)


def last_in_line(root, checker, jobs):
    """Return the last waiter, once all who cannot start wait; what it was told must be what the containers show."""
    queue = root.gpus().queue
    without_gpus = [job for job in jobs if job.view.gpus == "0"]
    if len(queue) != len(jobs) + len(WITH_NOTEBOOK) - len(without_gpus):
        return None
    share = checker.look()
    if len(share.slots) != GPUS:
        return None
    last = queue[-1]
    assert [waiter.position for waiter in queue] == list(range(1, len(queue) + 1))
    assert last.position == len(queue)
    assert last.sentence.startswith(f"{last.position}th in line. Waiting for {last.gpus} ")
    assert all(f"GPU {index} (" in last.sentence for index in range(min(GPUS, 4)))
    return last


def nothing_is_left(live, root):
    """No container, no volume, no lease; the job service counts everything as free."""
    assert eventually(lambda: not live.containers(everything=True))
    volumes = live.docker.volumes.list(filters={"label": f"himalia={live.place.installation}"})
    assert volumes == []
    eventually(lambda: root.gpus().free == GPUS)
    ledger = root.gpus()
    assert (ledger.queue, [slot.holder for slot in ledger.slots]) == ((), [None] * GPUS)
    assert (ledger.nodes[0].cpus_free, ledger.nodes[0].memory_free_bytes) == (
        ledger.nodes[0].cpus,
        ledger.nodes[0].memory_bytes,
    )
