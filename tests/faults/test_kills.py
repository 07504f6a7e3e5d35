"""A job survives everything around it: `kill -9` of service, hub, proxy and notebook server in its middle."""

from __future__ import annotations

import hashlib
import time

import httpx
import pytest
from live_platform import eventually, output, run, state

import himalia
from himalia.states import JobState

LINES = 200
COMMAND = [
    "python3",
    "-c",
    "import os, time\n"
    f"for n in range({LINES}):\n"
    "    print(n, 'x' * (n % 97), flush=True)\n"
    "    time.sleep(0.05)\n"
    "open('/artifacts/end', 'w').write('whole')\n",
]
HALF = b"the first half is over\n"
#: Prints and writes before and after it was told to go on, so that its middle lasts as long as a test wants.
IN_TWO_HALVES = [
    "python3",
    "-c",
    "import os, time\n"
    "for half in ('first', 'second'):\n"
    f"    for n in range({LINES}):\n"
    "        print(half, n, 'x' * (n % 97), flush=True)\n"
    "    os.makedirs(f'/artifacts/{half}')\n"
    "    open(f'/artifacts/{half}/large', 'wb').write(half.encode() * 100_000)\n"
    "    print(f'the {half} half is over', flush=True)\n"
    "    while not os.path.exists('/tmp/go'):\n"
    "        time.sleep(0.05)\n"
    "open('/artifacts/end', 'w').write('whole')\n",
]
EXPECTED = b"".join(f"{n} {'x' * (n % 97)}\n".encode() for n in range(LINES))


def kernel_state(live, person, kernel: str) -> str:
    """Return what a notebook's kernel does, as its server says; empty when it is gone."""
    try:
        answer = person.get(f"user/{person.name}/api/kernels/{kernel}")
    except httpx.TransportError:
        return ""
    return str(answer.json().get("execution_state", "")) if answer.status_code == 200 else ""


@pytest.mark.fault(96)
@pytest.mark.fault(97)
@pytest.mark.fault(5)
def test_a_job_survives_the_death_of_service_hub_proxy_and_its_notebook_server(live, client, tmp_path):
    grace = live.person("grace")
    grace.start_server("cpu")
    kernel = grace.post(f"user/{grace.name}/api/kernels", {"name": "python3"}).json()["id"]
    server = container_of(live, "server", "grace")
    undisturbed = run(client("grace"), IN_TWO_HALVES, wait=False)
    let_it_end(live, undisturbed)
    undisturbed.wait(60)
    job = run(client("grace"), IN_TWO_HALVES, wait=False)
    eventually(lambda: output_so_far(job).endswith(HALF))

    for program in ("service", "hub", "proxy"):
        live.kill(program)
        eventually(lambda: all_answer(live))
    assert eventually(lambda: kernel_state(live, grace, kernel))
    assert server.id in [found.id for found in live.containers("server")]
    server.kill()
    eventually(lambda: server.id not in [found.id for found in live.containers("server")])

    assert state(job).state is JobState.RUNNING
    let_it_end(live, job)
    again = himalia.job(job.id, client("grace")).wait(60)
    assert (again.state, again.exit_code, len(again.view.attempts)) == (JobState.SUCCEEDED, 0, 1)
    assert hashlib.sha256(output(again)).digest() == hashlib.sha256(output(undisturbed)).digest()
    left = contents(again, tmp_path / "again")
    assert left == contents(undisturbed, tmp_path / "undisturbed")
    assert set(left) == {"end", "first/large", "second/large"}


def container_of(live, kind: str, name: str):
    """Return the running container of a server or a job."""
    return eventually(lambda: next((c for c in live.containers(kind) if name in c.attrs["Names"][0]), None))


def let_it_end(live, job) -> None:
    """Tell a job of two halves to go on."""
    assert container_of(live, "job", job.id).exec_run(["touch", "/tmp/go"]).exit_code == 0


def contents(job, folder) -> dict[str, bytes]:
    """Return the artifacts of a job, by their names."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in job.download(folder)}


def all_answer(live) -> bool:
    """Tell whether service, hub and proxy answer again, the two through the proxy."""
    try:
        through = httpx.get(f"{live.url}/services/jobs/api/health").status_code
        return answers(live) and (httpx.get(f"{live.url}/hub/health").status_code, through) == (200, 200)
    except httpx.TransportError:
        return False


def answers(live) -> bool:
    """Tell whether the service answers again."""
    try:
        return live.ask("GET", "health").status_code == 200
    except httpx.TransportError:
        return False


def test_a_job_goes_on_when_the_server_it_was_submitted_from_dies(live, client):
    heidi = live.person("heidi")
    heidi.start_server("cpu")
    job = run(client("heidi"), COMMAND, wait=False)
    eventually(lambda: state(job).state is JobState.RUNNING)
    container = next(found for found in live.containers("server") if "heidi" in found.attrs["Names"][0])

    container.kill()

    job.wait(60)
    assert (job.state, output(job)) == (JobState.SUCCEEDED, EXPECTED)
    eventually(lambda: not [found for found in live.containers("server") if found.id == container.id])


@pytest.mark.fault(6)
def test_a_job_that_ends_while_the_service_is_down_is_told_truly(live, client):
    ada = client("ada")
    job = run(ada, "sleep 1; echo done; exit 7", wait=False)
    eventually(lambda: state(job).state is JobState.RUNNING)
    name = next(found.attrs["Names"][0] for found in live.containers("job") if job.id in found.attrs["Names"][0])

    with live.stopped("service"):
        eventually(lambda: name not in [found.attrs["Names"][0] for found in live.containers("job")])

    eventually(lambda: answers(live))
    job.wait(60)
    assert (job.state, job.exit_code, output(job)) == (JobState.FAILED, 7, b"done\n")


@pytest.mark.fault(27)
def test_a_container_removed_by_hand_ends_its_job_and_gives_its_share_back(live, client):
    job = run(client("ada"), "echo here; sleep 600", gpus="4", wait=False)
    eventually(lambda: output_so_far(job) == b"here\n")
    container = next(found for found in live.containers("job") if job.id in found.attrs["Names"][0])
    begun = time.monotonic()

    container.remove(force=True)

    job.wait(60)
    assert time.monotonic() - begun < 20
    assert job.state is JobState.FAILED
    assert job.view.reason in ("vanished", "killed_by_signal")
    assert output(job) == b"here\n"
    assert eventually(lambda: client("ada").gpus().free == 4)


def output_so_far(job) -> bytes:
    """Return what a job has printed."""
    return b"".join(job.log())
