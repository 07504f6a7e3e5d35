"""Jobs in real containers that write more than they may: each is ended with its place named, and nobody else notices."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from live_platform import eventually, output, run, state
from own_service import OwnService

from himalia.errors import DiskFull
from himalia.states import JobState
from himalia.units import MiB

LIMIT = 20 * MiB
SETTINGS = """
[limits]
disk_reserve = "8M"
log_size = "1M"
stop_grace = "30s"
[disk]
storage = "10M"
look = "2s"
[[profiles]]
name = "tiny"
cpus = 0.2
memory = "128M"
disk = "20M"
disk_files = 2000
"""
SLOWLY = "for n in $(seq 400); do head -c 1000000 /dev/zero >> /artifacts/all; sleep 0.1; done"
DELETED = "import os,time; f=open('gone','wb'); os.unlink('gone'); f.write(b'x'*30_000_000); f.flush(); time.sleep(600)"
THIRTY = "head -c 30000000 /dev/zero >"
#: What is too much, and how the sentence names the place.
TOO_MUCH = {
    f"{THIRTY} large; sleep 600": "in the workspace",
    f"{THIRTY} /artifacts/large; trap '' TERM; while :; do sleep 1; done": "in /artifacts",
    f"{THIRTY} ~/large; sleep 600": "in its home",
    f"{THIRTY} /tmp/large; sleep 600": "in /tmp and elsewhere in its container",
    f"{THIRTY} /himalia/run/large; sleep 600": "in /himalia",
    f'exec python3 -c "{DELETED}"': "in files that are deleted and still open",
}


@pytest.fixture
def own(tmp_path) -> Iterator[OwnService]:
    """A service whose jobs may write 20 MB and 2,000 files, and whose storages may take 10 MB."""
    service = OwnService(tmp_path, settings=SETTINGS)
    try:
        service.start()
        yield service
    finally:
        service.end()


@pytest.mark.fault(42)
@pytest.mark.fault(43)
def test_wherever_a_job_writes_too_much_it_is_ended_with_the_place_named_and_others_go_on(own):
    ada, bob = own.client(), own.client("bob")
    other = run(bob, "head -c 5000000 /dev/zero > /artifacts/mine; sleep 5; stat -c %s /artifacts/mine", wait=False)
    started = {run(ada, f"echo begun; {command}", wait=False): place for command, place in TOO_MUCH.items()}

    for job, place in started.items():
        job.wait(120)
        assert (job.state, job.view.reason) == (JobState.FAILED, "disk_limit"), job.view.sentence
        assert f"of the 20.0 MB that it may, mostly {place}. It was ended for that;" in job.view.sentence
        assert output(job) == b"begun\n"
    assert (other.wait(120).state, output(other)) == (JobState.SUCCEEDED, b"5000000\n")
    assert run(ada, "echo fine").state is JobState.SUCCEEDED


@pytest.mark.fault(40)
def test_a_job_that_fills_its_artifacts_is_told_before_then_ended_and_what_it_wrote_is_kept(own):
    ada = own.client()
    job = run(ada, SLOWLY, wait=False)

    job.wait(120)

    (kept,) = job.artifacts()
    print(f"stopped at {kept.size_bytes / LIMIT:.2f} x its limit", file=sys.stderr)
    assert (job.state, job.view.reason) == (JobState.FAILED, "disk_limit")
    assert LIMIT <= kept.size_bytes < 400_000_000
    assert "mostly in /artifacts" in job.view.sentence


def test_a_job_that_nears_its_limit_reads_so_while_it_runs(own):
    ada = own.client()
    job = run(ada, "head -c 19500000 /dev/zero > /artifacts/large; sleep 600", wait=False)

    assert eventually(lambda: "above that it is ended" in state(job).sentence)

    assert [notice.job for notice in ada.notices()] == [job.id]
    job.cancel()
    assert job.wait(60).state is JobState.CANCELLED


@pytest.mark.fault(41)
def test_a_job_that_makes_too_many_files_is_ended_and_can_be_deleted(own):
    ada = own.client()
    job = run(ada, "cd /artifacts; seq 5000 | xargs touch; sleep 600", wait=False)

    job.wait(120)

    assert (job.state, job.view.reason) == (JobState.FAILED, "disk_limit")
    assert "of the 2,000 files that it may" in job.view.sentence
    assert len(list(job.artifacts())) > 2000
    ada.delete(job.id)
    assert not (own.data / "jobs" / job.id).exists()


@pytest.mark.fault(42)
def test_a_full_storage_ends_nobody_takes_no_new_job_and_does_again_when_something_was_deleted(own):
    ada, bob = own.client(), own.client("bob")
    job = run(
        ada,
        "head -c 15000000 /dev/zero > /storage/large; until [ -e /storage/go ]; do sleep 0.5; done; rm /storage/large",
        wait=False,
    )
    eventually(lambda: any(place.level == "full" for place in ada.me().disk))

    with pytest.raises(DiskFull, match="Your /storage is full: 14.3 MB of 10.0 MB"):
        run(ada, "true")

    assert run(bob, "true").state is JobState.SUCCEEDED
    (storage,) = [folder for folder in (own.data / "storage").iterdir() if (folder / "large").exists()]
    (storage / "go").touch()
    assert job.wait(60).state is JobState.SUCCEEDED
    eventually(lambda: all(place.level == "ok" for place in ada.me().disk))
    assert run(ada, "true").state is JobState.SUCCEEDED
