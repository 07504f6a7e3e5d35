"""What happens while `himalia submit` packs and sends: files that change or go, a connection that is cut, images that are not there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from service_relay import ServiceRelay

from himalia.units import MiB


@pytest.fixture
def relay(live, shell) -> Iterator[ServiceRelay]:
    """Stands between the terminal and the service."""
    url = httpx.URL(live.service_url)
    relay = ServiceRelay(url.host, url.port or 80)
    shell.env["HIMALIA_API_URL"] = f"http://127.0.0.1:{relay.port}{url.path}"
    yield relay
    relay.cut()


def hashed_then(change: Callable[[], None]) -> Callable[[str], None]:
    """Do something once all files are hashed, and none is sent."""

    def before(line: str) -> None:
        if line.startswith("POST ") and line.split()[1].endswith("/snapshots"):
            change()

    return before


@contextmanager
def written_to(file: Path) -> Iterator[None]:
    """Write to a file all the time."""
    ended = threading.Event()

    def write() -> None:
        with file.open("r+b") as stream:
            while not ended.is_set():
                os.pwrite(stream.fileno(), os.urandom(8), 0)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def jobs_of(shell) -> set[str]:
    return {job["id"] for job in shell.json("jobs", "--all")}


def test_a_file_that_is_written_all_the_time_is_named_and_nothing_is_submitted(shell, code):
    growing = code / "growing.log"
    growing.write_bytes(bytes(64 * MiB))
    before = jobs_of(shell)

    with written_to(growing):
        done = shell("submit", "--profile", "tiny", "--", "true")

    assert (done.returncode, done.stdout, jobs_of(shell)) == (125, "", before)
    assert done.stderr.splitlines()[-1] == (
        "himalia: growing.log changes while it is read. Wait until it is written, or leave it out in .himaliaignore."
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.unlink, "train.py went away while it was read. Submit again."),
        (lambda file: file.write_text("print('another')\n"), "train.py changed while it was sent. Submit again."),
        (
            lambda file: file.unlink() or file.symlink_to("/etc/passwd"),
            "train.py became a link while it was read. Submit again.",
        ),
    ],
    ids=["gone", "rewritten", "a link"],
)
def test_a_file_that_changes_between_reading_and_sending_is_named_and_the_next_submit_works(
    shell, code, relay, change, said
):
    before = jobs_of(shell)
    # No other test may have sent the same: what the service has is not sent.
    (code / "train.py").write_text(f"print({os.urandom(8).hex()!r})\n")
    relay.before = hashed_then(lambda: change(code / "train.py"))

    done = shell("submit", "--profile", "tiny", "--", "true")

    assert (done.returncode, done.stdout, jobs_of(shell)) == (125, "", before)
    assert done.stderr.splitlines()[-1] == f"himalia: {said}"
    relay.before = lambda line: None
    (code / "train.py").unlink(missing_ok=True)
    (code / "train.py").write_text("print('mended')\n")
    assert shell("submit", "--profile", "tiny", "--", "python3", "train.py").stdout == "mended\n"


@pytest.mark.fault(66)
def test_an_upload_whose_connection_is_cut_goes_on_by_itself(shell, code, relay):
    data = os.urandom(8 * MiB)
    for number in range(4):
        (code / f"{number}.bin").write_bytes(data[number * 2 * MiB :][: 2 * MiB])
    relay.cut_after = 5 * MiB
    sent: list[str] = []
    relay.before = sent.append

    done = shell("submit", "--profile", "tiny", "--", "sh", "-c", "cat *.bin | wc -c")

    assert (done.returncode, done.stdout) == (0, f"{8 * MiB}\n"), done.stderr
    assert relay.cuts == 1
    assert len([line for line in sent if line.startswith("PUT ")]) == 2
    assert "Traceback" not in done.stderr


def test_an_upload_that_never_gets_through_ends_in_a_sentence(shell, code, relay):
    (code / "data.bin").write_bytes(os.urandom(MiB))
    before = jobs_of(shell)

    def cut_every_one(line: str) -> None:
        relay.cut_after = 1000 if line.startswith("PUT ") else None

    relay.before = cut_every_one

    done = shell("submit", "--profile", "tiny", "--", "true")

    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.splitlines()[-1].startswith("himalia: ")
    assert "Traceback" not in done.stderr
    relay.before = lambda line: None
    assert jobs_of(shell) == before


def test_an_image_that_is_offered_and_not_on_the_machine_is_refused_with_what_to_do(shell, live):
    before = jobs_of(shell)

    with live.without_spare() as image:
        done = shell("submit", "--profile", "tiny", "--image", image, "--", "true")

    assert (done.returncode, done.stdout, jobs_of(shell)) == (125, "", before)
    said = done.stderr.splitlines()[-1]
    assert said.startswith("himalia: The image") and "is not on this machine" in said and "administrator" in said
    assert shell("submit", "--profile", "tiny", "--image", "spare", "--", "true").returncode == 0
