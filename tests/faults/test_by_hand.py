"""What somebody does past Himalia, with real containers: a container that is paused, a log whose reader goes to sleep."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import docker
import pytest
from live_platform import eventually, output, run, state

from himalia.container import container_name
from himalia.states import JobState

LINES = 300_000
COUNTS = f"begun; i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo $i; done; echo ended"
TICKS = "echo begun; while :; do sleep 0.1; done"


@pytest.fixture
def paused(own):
    """Submits a job, and pauses its container once it runs."""
    with closing(docker.from_env()) as engine:

        def pause(**options):
            job = run(own.client(), TICKS, gpus="2", wait=False, **options)
            eventually(lambda: b"".join(job.log()) == b"begun\n")
            engine.containers.get(container_name(own.installation, f"{job.id}.1")).pause()
            return job

        yield pause


@pytest.mark.fault(28)
def test_a_job_whose_container_somebody_paused_can_be_cancelled_and_gives_its_gpus_back(own, paused):
    job = paused()

    job.cancel().wait(60)

    assert (job.state, job.view.reason) == (JobState.CANCELLED, "cancelled")
    assert run(own.client(), "echo mine", gpus="2").state is JobState.SUCCEEDED


@pytest.mark.fault(28)
def test_a_job_whose_container_somebody_paused_reaches_its_time_limit_all_the_same(own, paused):
    job = paused(timeout="5s")

    job.wait(90)

    assert (job.state, job.view.reason) == (JobState.FAILED, "timed_out")
    assert run(own.client(), "echo mine", gpus="2").state is JobState.SUCCEEDED


@pytest.mark.fault(30)
def test_a_reader_of_a_log_who_stops_reading_holds_up_neither_the_job_nor_its_end_nor_other_readers(own):
    ada = own.client()
    job = run(ada, "while [ ! -e /artifacts/go ]; do sleep 0.1; done; echo " + COUNTS, wait=False)
    eventually(lambda: state(job).state is JobState.RUNNING)
    with socket.create_connection(("127.0.0.1", own.port)) as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = f"/services/jobs/api/jobs/{job.id}/logs?follow=1"
        token = own.hub.hub.knows("ada")
        sleeper.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert sleeper.recv(12) == b"HTTP/1.1 200"
        (own.data / "jobs" / job.id / "1" / "artifacts" / "go").touch()
        begun = time.monotonic()

        job.wait(60)
        read = output(job)

        assert (job.state, read.count(b"\n")) == (JobState.SUCCEEDED, LINES + 2)
        assert time.monotonic() - begun < 60
        assert run(ada, "echo mine").state is JobState.SUCCEEDED
        ada.delete(job.id)
