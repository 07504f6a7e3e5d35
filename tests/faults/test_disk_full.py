"""The data disk is full: what asks for room is told, nothing is lost, and all goes on when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from live_platform import eventually, output, run, state
from own_service import OwnService

from himalia.errors import DiskFull
from himalia.states import JobState


@pytest.fixture
def own(tmp_path, small_disk):
    """A service whose data lies on a small disk."""
    service = OwnService(tmp_path, small_disk / "data")
    try:
        service.start()
        yield service
    finally:
        (small_disk / "ballast").unlink(missing_ok=True)
        service.end()


def fill(disk, leave: int = 0) -> None:
    """Fill the disk but for so many bytes."""
    free = os.statvfs(disk)
    with (disk / "ballast").open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize - leave)


def in_a_terminal(own, folder, *words):
    """Run `himalia` in a directory, as ada."""
    environment = {"HIMALIA_API_URL": own.url, "HIMALIA_TOKEN": own.hub.hub.knows("ada"), "HOME": str(own.folder)}
    command = [str(Path(sys.executable).with_name("himalia")), *words]
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.fault(78)
def test_an_upload_without_room_is_told_and_works_when_there_is_room(own, small_disk, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "large").write_bytes(os.urandom(4_000_000))
    ada = own.client()
    before = run(ada, "echo before")
    fill(small_disk, leave=1_000_000)

    with pytest.raises(DiskFull, match="no room"):
        run(ada, "true", code)
    typed = in_a_terminal(own, code, "submit", "--", "true")

    assert (typed.returncode, typed.stdout) == (125, "")
    assert "no room" in typed.stderr
    assert "Traceback" not in typed.stderr
    assert output(before) == b"before\n"
    assert not list((own.data / "blobs").rglob(".drafts/*"))
    (small_disk / "ballast").unlink()
    assert run(ada, "stat -c %s large", code).state is JobState.SUCCEEDED


@pytest.mark.fault(42)
def test_nothing_starts_on_a_disk_below_its_reserve_and_the_line_says_why(own, small_disk):
    ada = own.client()
    fill(small_disk, leave=4_000_000)
    waiting = run(ada, "echo mine", wait=False)

    assert eventually(lambda: state(waiting).reason == "waits_for_disk")
    assert "disk" in state(waiting).sentence
    (small_disk / "ballast").unlink()

    assert (waiting.wait(60).state, output(waiting)) == (JobState.SUCCEEDED, b"mine\n")


@pytest.mark.fault(42)
def test_a_job_that_fills_the_disk_ends_as_it_ended_and_the_service_goes_on(own, small_disk):
    ada = own.client()
    job = run(ada, "echo begun; dd if=/dev/zero of=/artifacts/all bs=1M count=500; echo code $?; exit 3", wait=False)

    job.wait(90)

    assert (job.state, job.exit_code) == (JobState.FAILED, 3)
    assert output(job).startswith(b"begun\n")
    assert ada.jobs()
    ada.delete(job.id)
    assert (run(ada, "echo fine").state, own.complaints()) == (JobState.SUCCEEDED, "")


@pytest.mark.fault(15)
def test_a_submit_on_a_disk_without_any_room_is_told_and_nothing_is_lost(own, small_disk):
    ada = own.client()
    kept = run(ada, "echo kept")
    fill(small_disk)

    for _ in range(200):  # the write-ahead log has some room left
        try:
            ada.http.json("POST", "projects", body={"name": f"p{_}", "description": "d" * 9_000})
        except DiskFull as full:
            told = full
            break

    assert "Nothing is lost" in told.message
    assert output(kept) == b"kept\n"
    (small_disk / "ballast").unlink()
    assert run(ada, "echo again").state is JobState.SUCCEEDED
