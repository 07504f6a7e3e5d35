"""A log that is longer than its limit keeps its beginning and its end, and the job never notices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

LIMIT = 1024 * 1024
LINES = b"".join(b"%d\n" % number for number in range(1, 1_000_001))


def left_out(directory: Path) -> tuple[int, int]:
    """Return from where to where the log leaves something out, as is told beside it."""
    start, end = (directory / "log.left-out").read_bytes().split()
    return int(start), int(end)


def test_the_beginning_and_the_end_are_kept_at_their_offsets(start: Any) -> None:
    run = start("seq", "1000000", options=["--limit", str(LIMIT)]).end()

    begin, end = left_out(start.directory)
    assert run.record["log_bytes"] == len(LINES) == run.log_path.stat().st_size
    assert run.record["left_out_bytes"] == end - begin > 0
    assert run.log[:begin] == LINES[:begin]
    assert run.log[end:] == LINES[end:]
    assert len(LINES) - end + 8192 >= LIMIT * 7 // 16
    assert (run.code, run.record["dropped_bytes"]) == (0, 0)


def test_the_disk_gets_back_what_is_left_out(start: Any) -> None:
    run = start("head", "-c", "50000000", "/dev/urandom", options=["--limit", str(LIMIT)]).end()

    assert run.log_path.stat().st_blocks * 512 <= LIMIT * 1.5


def test_a_log_within_its_limit_leaves_nothing_out(start: Any) -> None:
    run = start("seq", "1000", options=["--limit", str(LIMIT)]).end()

    begin, end = left_out(start.directory)
    assert begin == end
    assert run.log == LINES[: len(run.log)]
    assert run.record["left_out_bytes"] == 0


def test_without_a_limit_everything_is_kept(start: Any) -> None:
    run = start("seq", "1000000").end()

    assert run.log == LINES
    assert not (start.directory / "log.left-out").exists()


def test_where_nothing_can_be_left_out_the_rest_is_dropped_and_counted(start: Any) -> None:
    (start.directory / "log.left-out").mkdir()

    run = start("seq", "1000000", options=["--limit", str(LIMIT)]).end()

    kept, told, rest = run.log.partition(b"\nhimalia: the log is as long as it may be here; what follows is not kept\n")
    assert (told != b"", rest, run.code) == (True, b"", 0)
    assert kept == LINES[: len(kept)]
    assert len(kept) + run.record["dropped_bytes"] == len(LINES)


def test_a_file_system_without_splice_has_the_same_limit(start: Any, launcher_on_a_bad_disk: Path) -> None:
    env = {**os.environ, "BAD_DISK": "splice"}

    run = start("seq", "1000000", options=["--limit", str(LIMIT)], binary=launcher_on_a_bad_disk, env=env).end()

    begin, end = left_out(start.directory)
    assert end > begin
    assert run.log[end:] == LINES[end:]


@pytest.mark.parametrize("limit", ["-1", "x", "", "1M"])
def test_a_limit_that_is_none_is_refused(start: Any, limit: str) -> None:
    run = start("true", options=["--limit", limit]).end()

    assert run.code == 125
    assert b"usage:" in run.stderr
