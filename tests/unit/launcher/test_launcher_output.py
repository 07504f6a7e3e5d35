"""What a job prints is in its log, byte for byte, and nothing that it does to its log harms anybody."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ODD_BYTES = {
    "every byte there is": bytes(range(256)) * 10,
    "invalid UTF-8": b"\xff\xfe\xc3( \xed\xa0\x80\n",
    "NUL": b"a\0b\0\0c",
    "carriage returns": b"\r 10%\r 20%\r100%\n",
    "no newline at the end": b"first\nsecond",
    "nothing": b"",
    "escape sequences": b"\x1b[31mred\x1b[0m\x1b]52;c;aGk=\x07\n",
}

PRINT_MANY_LINES = """
import os
import resource
for number in range(200_000):
    os.write(1, b"line %d of the output of a job\\n" % number)
"""


def test_what_a_job_prints_and_its_errors_are_in_one_log_in_order(start: Any) -> None:
    run = start.sh("echo one; echo two >&2; echo three").end()

    assert run.log == b"one\ntwo\nthree\n"
    assert run.record["log_bytes"] == len(run.log)
    assert run.stderr == b""


@pytest.mark.fault(37)
@pytest.mark.parametrize("name", ODD_BYTES)
def test_odd_bytes_are_kept_as_they_are(start: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "odd").write_bytes(ODD_BYTES[name])

    run = start("cat", str(tmp_path / "odd")).end()

    assert run.log == ODD_BYTES[name]
    assert run.record["dropped_bytes"] == 0


@pytest.mark.fault(37)
def test_a_line_of_50_megabytes_is_kept_whole(start: Any) -> None:
    run = start("head", "-c", "50000000", "/dev/zero").end()

    assert hashlib.sha256(run.log).digest() == hashlib.sha256(bytes(50_000_000)).digest()
    assert run.record["log_bytes"] == 50_000_000


def test_output_is_in_the_log_while_the_job_runs(start: Any, tmp_path: Path) -> None:
    run = start.sh(f"echo early; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo late")

    run.printed(b"early\n")
    assert not run.exit_path.exists()
    (tmp_path / "go").touch()

    assert run.end().log == b"early\nlate\n"


def test_writing_to_dev_stderr_does_not_truncate_the_log(start_as: Any) -> None:
    run = start_as("echo one; echo two > /dev/stderr; echo three > /dev/stdout; echo four").end()

    assert run.log == b"one\ntwo\nthree\nfour\n"


def test_a_log_that_is_there_is_continued(start: Any) -> None:
    (start.directory / "log").write_bytes(b"before\n")

    run = start.sh("echo after").end()

    assert run.log == b"before\nafter\n"
    assert run.record["log_bytes"] == len(b"before\nafter\n")


def test_a_file_system_without_splice_gets_the_same_bytes(start: Any, launcher_on_a_bad_disk: Path) -> None:
    env = {**os.environ, "BAD_DISK": "splice"}

    run = start("seq", "1", "200000", binary=launcher_on_a_bad_disk, env=env).end()

    assert run.log == b"".join(b"%d\n" % number for number in range(1, 200_001))


def test_a_job_reads_the_end_of_its_input_at_once(start: Any) -> None:
    run = start.sh("cat; readlink /proc/self/fd/0").end()

    assert run.log == b"/dev/null\n"


def test_a_job_gets_no_file_of_ours(start: Any) -> None:
    run = start("ls", "/proc/self/fd").end()

    # The 3 is the listing itself.
    assert run.log.split() == [b"0", b"1", b"2", b"3"]


def test_a_job_that_closes_its_output_goes_on_to_its_end(start: Any, tmp_path: Path) -> None:
    run = start.sh(f"echo one; exec >&- 2>&-; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; exit 4")

    run.printed(b"one")
    (tmp_path / "go").touch()

    assert (run.end().code, run.log) == (4, b"one\n")


def test_a_job_that_truncates_its_log_keeps_the_offsets_of_its_readers(start: Any) -> None:
    log = start.directory / "log"

    run = start.sh(f"echo one; until [ -s {log} ]; do :; done; : > {log}; echo two").end()

    assert run.code == 0
    assert run.log == bytes(4) + b"two\n"
    assert run.record["log_bytes"] == 8


@pytest.mark.parametrize("replace", ["ln -s {victim} {log}", "mkdir {log}", "mkfifo {log}", "true"])
def test_a_job_that_replaces_its_log_harms_only_itself(start: Any, tmp_path: Path, replace: str) -> None:
    victim, log = tmp_path / "victim", start.directory / "log"
    victim.write_text("mine\n")

    run = start.sh(f"echo one; rm {log}; {replace.format(victim=victim, log=log)}; echo two; exit 3").end()

    assert run.code == run.record["code"] == 3
    assert run.record["log_bytes"] == len("one\ntwo\n")
    assert victim.read_text() == "mine\n"


def test_small_lines_cost_at_most_half_more_than_a_pipe_that_is_thrown_away(start: Any) -> None:
    write_lines = [sys.executable, "-c", PRINT_MANY_LINES]
    carried, thrown_away = [], []

    for _ in range(4):
        (start.directory / "log").unlink(missing_ok=True)
        carried.append(cpu_seconds(start.command(*write_lines)))
        thrown_away.append(cpu_seconds(["sh", "-c", '"$@" | cat > /dev/null', "sh", *write_lines]))

    assert (start.directory / "log").read_bytes().count(b"\n") == 200_000
    assert min(carried) <= 1.5 * min(thrown_away)


def cpu_seconds(command: list[str]) -> float:
    """Run a command; return the processor time of it and its children, which a busy machine hardly changes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
