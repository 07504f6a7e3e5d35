"""Beside its log a job's launcher writes when which byte came, a line a second at the most."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest


def entries(directory: Path) -> list[tuple[int, float]]:
    """Return what the list says: offsets, and seconds since 1970."""
    lines = (directory / "log.times").read_bytes().splitlines(keepends=True)
    assert all(len(line) == 32 for line in lines)
    return [(int(offset), int(milliseconds) / 1000) for offset, milliseconds in map(bytes.split, lines)]


def test_the_first_byte_has_its_time(start: Any) -> None:
    before = time.time()

    start.sh("echo one").end()

    [(offset, at)] = entries(start.directory)
    assert offset == 0
    assert before - 0.01 <= at <= time.time() + 0.01


def test_what_comes_within_a_second_has_one_entry_and_what_comes_later_its_own(start: Any, tmp_path: Path) -> None:
    script = f"echo one; echo two; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; printf three; echo four"
    run = start.sh(script).printed(b"two\n")
    [(_, first)] = entries(start.directory)
    start.wait_until(lambda: time.time() > first + 1.1, "a second later")
    (tmp_path / "go").touch()
    run.end()

    assert [offset for offset, _ in entries(start.directory)] == [0, len(b"one\ntwo\n")]
    assert entries(start.directory)[1][1] >= first + 1


def test_a_job_that_prints_nothing_has_no_times(start: Any) -> None:
    start.sh("exec >&- 2>&-; exit 0").end()

    assert [offset for offset, _ in entries(start.directory)] in ([], [0])


def test_a_million_lines_have_few_entries(start: Any) -> None:
    start("seq", "1000000").end()

    assert 1 <= len(entries(start.directory)) <= 30


@pytest.mark.parametrize("odd", ["link", "directory"])
def test_something_odd_in_the_place_of_the_times_harms_no_job(start: Any, tmp_path: Path, odd: str) -> None:
    (tmp_path / "other").write_bytes(b"kept")
    place = start.directory / "log.times"
    {"link": lambda: place.symlink_to(tmp_path / "other"), "directory": place.mkdir}[odd]()

    run = start.sh("echo one").end()

    assert (run.code, run.log, (tmp_path / "other").read_bytes()) == (0, b"one\n", b"kept")
