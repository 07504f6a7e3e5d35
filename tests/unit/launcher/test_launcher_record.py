"""The end of a job is recorded, whatever becomes of the disk and of the run directory, which belongs to the job."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GAP = b"\nhimalia: some output is missing here: the disk of the log was full\n"
MB = 1_000_000

#: Run a launcher on a small disk of its own, and bring home what it left there.
ON_A_SMALL_DISK = """
disk="$1"; shift
mount -t tmpfs -o size=2m small "$disk"
code=0; "$@" || code=$?
mkdir "$disk.left"; cp -r "$disk/." "$disk.left"
exit $code
"""


@pytest.fixture
def start_on_a_small_disk(start: Any, private_mounts: tuple[str, ...]) -> Callable[[str], Any]:
    """Start a script whose log lies on a disk of 2 MB, mounted for it alone."""

    def start_script(script: str) -> Any:
        return start.sh(script, before=[*private_mounts, "sh", "-ec", ON_A_SMALL_DISK, "sh", str(start.directory)])

    return start_script


def left(run: Any) -> Any:
    """Return the run, with what was brought home from the small disk."""
    home = run.log_path.parent.with_name("run.left")
    run.log_path, run.exit_path = home / "log", home / "exit.json"
    return run


def test_a_full_disk_neither_blocks_the_job_nor_loses_its_end(start_on_a_small_disk: Any) -> None:
    run = left(start_on_a_small_disk(f"head -c {5 * MB} /dev/zero; exit 3").end())

    assert run.code == run.record["code"] == 3
    assert MB < run.record["log_bytes"] < 2 * 1024 * 1024
    assert run.record["log_bytes"] == len(run.log)
    assert run.record["log_bytes"] + run.record["dropped_bytes"] == 5 * MB


def test_a_job_that_fills_the_disk_itself_is_recorded(start_on_a_small_disk: Any, start: Any) -> None:
    fill = f"cat /dev/zero > {start.directory}/filler 2>/dev/null"

    run = left(start_on_a_small_disk(f"echo before; {fill}; yes | head -c 100000; exit 5").end())

    assert run.code == run.record["code"] == 5
    assert run.log.startswith(b"before\n")
    assert run.record["dropped_bytes"] > 0


@pytest.mark.parametrize("times", [1, 3])
def test_output_goes_on_when_there_is_room_again_and_each_gap_is_told(
    start_on_a_small_disk: Any, start: Any, times: int
) -> None:
    filler = f"{start.directory}/filler"
    # More than the pipe holds: when it is written, the launcher has dropped some of it.
    lose = f"cat /dev/zero > {filler} 2>/dev/null; head -c {MB} /dev/zero; rm {filler}; echo after"
    # The disk must not be full again while the end of this gap is still in the pipe.
    kept = f'until [ "$(grep -ac after {start.directory}/log)" -ge $n ]; do :; done'

    before_all = f"echo before; until [ -s {start.directory}/log ]; do :; done"
    run = left(start_on_a_small_disk(f"{before_all}; for n in $(seq {times}); do {lose}; {kept}; done").end())

    before, *after = run.log.split(GAP)
    assert before.startswith(b"before\n")
    assert len(after) == times
    assert all(b"after\n" in part for part in after)
    output = len(run.log) - times * len(GAP)
    assert output + run.record["dropped_bytes"] == len(b"before\n") + times * (MB + len(b"after\n"))
    assert run.record["log_bytes"] == len(run.log)


def test_no_room_for_the_record_at_the_start_gives_125_and_says_what_to_do(
    start: Any, private_mounts: tuple[str, ...]
) -> None:
    fill_first = ON_A_SMALL_DISK.replace("code=0;", 'cat /dev/zero > "$disk/filler" 2>/dev/null || true; code=0;')
    fill_first = fill_first.replace('mkdir "$disk.left"; cp -r "$disk/." "$disk.left"', "")

    run = start("true", before=[*private_mounts, "sh", "-ec", fill_first, "sh", str(start.directory)]).end()

    assert run.code == 125
    assert b"No space left on device; make room on the disk" in run.stderr


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EIO"])
def test_a_disk_that_takes_nothing_costs_the_output_and_not_the_job(
    start: Any, launcher_on_a_bad_disk: Path, name: str
) -> None:
    env = {**os.environ, "BAD_DISK": str(getattr(errno, name))}

    run = start.sh(f"head -c {MB} /dev/zero; exit 4", binary=launcher_on_a_bad_disk, env=env).end()

    assert run.code == run.record["code"] == 4
    assert (run.record["log_bytes"], run.record["dropped_bytes"]) == (0, MB)


def test_a_limit_on_file_sizes_costs_the_output_and_not_the_job(start: Any) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    run = start.sh(f"head -c {MB} /dev/zero; exit 4", prepare=limit).end()

    assert run.code == run.record["code"] == 4
    assert (run.record["log_bytes"], run.record["dropped_bytes"]) == (100_000, MB - 100_000)


def make_link(path: Path, victim: Path) -> None:
    """Put a symbolic link there."""
    path.symlink_to(victim)


def make_hard_link(path: Path, victim: Path) -> None:
    """Put a hard link there."""
    path.hardlink_to(victim)


def make_directory(path: Path, victim: Path) -> None:
    """Put a directory there."""
    path.mkdir()


def make_fifo(path: Path, victim: Path) -> None:
    """Put a fifo there."""
    os.mkfifo(path)


ODD_THINGS = [make_link, make_hard_link, make_directory, make_fifo]


@pytest.mark.parametrize("make", ODD_THINGS)
@pytest.mark.parametrize("name", ["log", "exit.json.part"])
def test_an_odd_thing_in_place_of_a_file_stops_the_start(start: Any, tmp_path: Path, name: str, make: Any) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    make(start.directory / name, victim)

    run = start("touch", str(tmp_path / "ran")).end()

    assert run.code == 125
    assert b"a link, a directory or a device lies there; remove it and start the job again" in run.stderr
    assert name.encode() in run.stderr
    assert victim.read_text() == "mine\n"
    assert not (tmp_path / "ran").exists()


def test_a_log_that_cannot_be_opened_is_recorded_too(start: Any) -> None:
    (start.directory / "log").mkdir()

    run = start("true").end()

    assert run.record["code"] == 125


def test_a_run_directory_that_is_not_there_gives_125_and_a_sentence(start: Any, tmp_path: Path) -> None:
    start.directory = tmp_path / "nowhere"

    run = start("true").end()

    assert run.code == 125
    assert f"himalia: the directory {tmp_path}/nowhere cannot be opened: No such file".encode() in run.stderr


@pytest.mark.parametrize("put", ["true", "ln -s {victim} {part}", "ln {victim} {part}", "mkfifo {part}"])
def test_a_job_that_removes_the_reserved_record_is_recorded_all_the_same(start: Any, tmp_path: Path, put: str) -> None:
    victim, part = tmp_path / "victim", start.directory / "exit.json.part"
    victim.write_text("mine\n")

    run = start.sh(f"rm {part}; {put.format(victim=victim, part=part)}; exit 3").end()

    assert run.code == run.record["code"] == 3
    assert run.exit_path.is_file()
    assert not run.exit_path.is_symlink()
    assert victim.read_text() == "mine\n"
    assert not part.exists()


def test_a_record_that_the_job_made_up_is_replaced(start: Any, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")

    run = start.sh(f"ln -s {victim} {start.directory}/exit.json; exit 3").end()

    assert not run.exit_path.is_symlink()
    assert run.record["code"] == 3
    assert victim.read_text() == "mine\n"


@pytest.mark.parametrize("spoil", ["mkdir {exit}", "rm {exit}.part; mkdir {exit}.part", "rm -r {run}"])
def test_a_job_that_makes_its_record_impossible_keeps_its_exit_status(start: Any, spoil: str) -> None:
    run = start.sh(spoil.format(exit=start.directory / "exit.json", run=start.directory) + "; exit 3").end()

    assert run.code == 3
    assert b"himalia: the exit record exit.json cannot be written: " in run.stderr


def test_the_record_gets_its_name_only_when_it_is_on_the_disk(start: Any, launcher_on_a_bad_disk: Path) -> None:
    env = {**os.environ, "BAD_DISK": "tell"}

    run = start("true", binary=launcher_on_a_bad_disk, env=env).end()

    assert run.stderr.split() == [b"fdatasync", b"fsync", b"renameat", b"fsync"]
