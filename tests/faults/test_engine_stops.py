"""The Docker Engine is stopped or killed, with containers in it: jobs wait, the API answers, and each end is the true one."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from live_platform import eventually, output, run, state
from own_engine import BUSYBOX_IMAGE, OwnEngine
from own_service import SETTINGS, OwnService

from himalia.container import Label
from himalia.errors import Unavailable
from himalia.states import JobState

pytestmark = pytest.mark.fault(26)

IMAGES = f"""
[[images]]
name = "{BUSYBOX_IMAGE}"
"""
UNTIL_TOLD = "echo begun; while [ ! -e /artifacts/go ]; do sleep 0.1; done; echo ended"
#: How often an Engine is killed while it starts jobs.
CAMPAIGN = bool(os.environ.get("HIMALIA_CAMPAIGN"))
KILLS = 40 if CAMPAIGN else 2
SEED = random.randrange(2**16) if CAMPAIGN else 7
WAYS_TO_GO = (signal.SIGTERM, signal.SIGKILL)


@pytest.fixture(scope="module")
def engine():
    """An Engine that tests may stop; its containers end with it."""
    yield from with_busybox(OwnEngine())


@pytest.fixture(scope="module")
def lasting_engine():
    """An Engine that tests may stop; its containers go on."""
    yield from with_busybox(OwnEngine("--live-restore"))


def with_busybox(machine):
    """Start an Engine and give it an image; end it with the tests."""
    try:
        machine.start()
        machine.add_busybox()
        yield machine
    finally:
        machine.end()


@pytest.fixture
def own(tmp_path, request):
    """A service on the Engine that the test names."""
    machine = request.getfixturevalue(request.param)
    service = OwnService(tmp_path, settings=SETTINGS + IMAGES, machine=machine)
    try:
        service.start()
        yield service
    finally:
        service.end()


def begun(ada):
    """Return a job that holds both GPUs and runs until it is told to end."""
    job = run(ada, UNTIL_TOLD, gpus="2", wait=False)
    eventually(lambda: (state(job).state, b"".join(job.log())) == (JobState.RUNNING, b"begun\n"))
    return job


def tell(own, job) -> None:
    """Tell a job to end; it is told by a file, for there may be no Engine."""
    (own.data / "jobs" / job.id / "1" / "artifacts" / "go").touch()


def all_see_that_it_is_gone(own, ada, running, waiting) -> None:
    """Assert what everybody sees while there is no Engine."""
    assert eventually(lambda: "The Docker Engine does not answer" in own.complaints())
    assert eventually(lambda: state(waiting).reason == "waits_for_engine")
    assert "Nothing is lost" in state(waiting).sentence
    # An Engine that is stopped may still tell how its containers ended.
    assert state(running).state in (JobState.RUNNING, JobState.COLLECTING)
    assert b"".join(running.log()) == b"begun\n"
    assert {running.id, waiting.id} <= {job.id for job in ada.jobs()}
    assert len(ada.gpus().slots) == 2
    with pytest.raises(Unavailable):
        run(ada, "true", wait=False)


@pytest.mark.parametrize("own", ["engine"], indirect=True)
def test_jobs_end_with_an_engine_that_is_stopped_or_killed_and_the_line_goes_on(own, engine, tmp_path):
    ada = own.client()
    done = run(ada, "echo x > /artifacts/x; echo done")
    for number in WAYS_TO_GO:
        running, waiting = begun(ada), run(ada, "echo mine", gpus="1", wait=False)

        engine.stop(number)

        all_see_that_it_is_gone(own, ada, running, waiting)
        assert output(done) == b"done\n"
        assert done.download(tmp_path / str(number))[0].read_text() == "x\n"
        engine.start()
        running.wait(60)
        assert (running.state, running.view.reason) == (JobState.FAILED, "engine_stopped")
        assert "The Docker Engine was stopped while it ran" in running.view.sentence
        assert output(running) == b"begun\n"
        assert (waiting.wait(60).state, output(waiting)) == (JobState.SUCCEEDED, b"mine\n")
        assert own.complaints() == ""
        assert ada.gpus().free == 2


@pytest.mark.parametrize("own", ["lasting_engine"], indirect=True)
def test_jobs_go_on_and_end_by_themselves_while_an_engine_with_live_restore_is_gone(own, lasting_engine):
    ada = own.client()
    running, waiting = begun(ada), run(ada, "echo mine", gpus="1", wait=False)
    for number in WAYS_TO_GO:
        lasting_engine.stop(number)
        all_see_that_it_is_gone(own, ada, running, waiting)
        lasting_engine.start()
        assert eventually(lambda: own.complaints() == "")
        assert (state(running).state, state(waiting).state) == (JobState.RUNNING, JobState.QUEUED)

    lasting_engine.stop(signal.SIGKILL)
    tell(own, running)
    assert eventually(lambda: b"".join(running.log()) == b"begun\nended\n")
    lasting_engine.start()

    assert (running.wait(60).state, running.exit_code, output(running)) == (JobState.SUCCEEDED, 0, b"begun\nended\n")
    assert (waiting.wait(60).state, output(waiting)) == (JobState.SUCCEEDED, b"mine\n")


@pytest.mark.fault(25)
@pytest.mark.parametrize("own", ["lasting_engine"], indirect=True)
def test_a_job_whose_end_the_engine_misses_ends_as_it_did_and_gives_its_gpus_back(own, lasting_engine):
    ada = own.client()
    job = begun(ada)
    (container,) = lasting_engine.client.containers(filters={"label": f"{Label.JOB}={job.id}"})
    record = own.data / "jobs" / job.id / "1" / "run" / "exit.json"

    lasting_engine.miss_end(container["Id"], lambda: (tell(own, job), eventually(record.exists)))

    assert (job.wait(120).state, job.exit_code, output(job)) == (JobState.SUCCEEDED, 0, b"begun\nended\n")
    assert "it missed its end" in own.log()
    assert run(ada, "echo mine", gpus="2").state is JobState.SUCCEEDED
    assert lasting_engine.client.containers(all=True, filters={"label": Label.INSTALLATION}) == []


@pytest.mark.fault(21)
@pytest.mark.parametrize("own", ["lasting_engine"], indirect=True)
def test_a_service_that_starts_without_an_engine_says_so_and_works_when_it_is_back(own, lasting_engine):
    job = begun(own.client())
    own.stop()
    lasting_engine.stop()

    own.start(ready=False)

    assert "The Docker Engine does not answer" in own.complaints()
    assert "start it" in own.complaints()
    lasting_engine.start()
    eventually(lambda: own.complaints() == "")
    tell(own, job)
    assert (job.wait(60).state, output(job)) == (JobState.SUCCEEDED, b"begun\nended\n")


@pytest.mark.parametrize("own", ["engine", "lasting_engine"], indirect=True)
def test_an_engine_killed_while_it_starts_jobs_starts_none_twice_and_loses_none(own):
    machine = own.machine
    ada = own.client()
    chance = random.Random(SEED)
    note = "echo $HIMALIA_ATTEMPT >> /storage/begun; echo begun; sleep 0.2; echo ended"
    jobs = [run(ada, note, gpus="1", wait=False) for _ in range(4 + KILLS)]

    for _ in range(KILLS):
        begun = len(begun_in(own))
        deadline = time.monotonic() + 2 * chance.random()
        eventually(lambda begun=begun, deadline=deadline: len(begun_in(own)) > begun or time.monotonic() > deadline)
        machine.stop(signal.SIGKILL)
        machine.start()

    ends = [job.wait(120) for job in jobs]
    assert {job.view.reason for job in ends} <= {"exited", "engine_stopped"}, f"seed {SEED}"
    whole = [job for job in ends if job.view.reason == "exited"]
    assert {(job.state, job.exit_code, output(job)) for job in whole} == {(JobState.SUCCEEDED, 0, b"begun\nended\n")}
    assert len(begun_in(own)) == len(set(begun_in(own)))
    left = machine.client.containers(all=True, filters={"label": Label.INSTALLATION})
    assert (own.complaints(), ada.gpus().free, left) == ("", 2, [])


def begun_in(own) -> list[str]:
    """Return the attempts whose command began, once for each time that it did."""
    return [line for file in (own.data / "storage").glob("*/begun") for line in file.read_text().splitlines()]
