"""How a job ends: its code, its signals, what it leaves behind."""

from __future__ import annotations

import ctypes
import platform
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

RT_SIGACTION = {"x86_64": 13, "aarch64": 134}[platform.machine()]
#: A process that leaves its session, its group and its parent, as daemons do; it keeps the job's output open.
DAEMON = """
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
def say(number, frame):
    os.write(1, b"daemon got %d\\n" % number)
    if number == signal.SIGTERM:
        os._exit(0)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, say)
os.write(1, b"daemon runs\\n")
while True:
    time.sleep(100)
"""
WAIT = "while :; do :; done"  # no child that a signal would end, which the shell would tell about


@pytest.mark.parametrize("code", [0, 1, 3, 77, 124, 125, 255])
def test_the_code_of_the_main_process_is_recorded_and_passed_on(start: Any, code: int) -> None:
    run = start.sh(f"exit {code}").end()

    assert run.code == run.record["code"] == code
    assert run.record["signal"] is None
    assert run.record["stopped"] is False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_a_main_process_that_a_signal_ends_gives_128_and_the_signal(start_as: Any, number: int) -> None:
    run = start_as(f"ulimit -c 0; kill -{int(number)} $$").end()

    assert run.code == run.record["code"] == 128 + number
    assert run.record["signal"] == number
    assert run.record["stopped"] is False


def test_the_record_is_one_line_with_everything_in_it(start: Any) -> None:
    run = start.sh("echo hello").end()

    assert list(run.record) == [
        "version", "code", "signal", "started", "finished", "log_bytes", "dropped_bytes", "left_out_bytes", "stopped",
        "oom_kills",
    ]  # fmt: skip
    assert run.record["version"] == 1
    assert run.record["started"].endswith("Z")
    started, finished = (datetime.fromisoformat(run.record[name]) for name in ("started", "finished"))
    assert started.timestamp() <= finished.timestamp() <= time.time()
    assert run.exit_path.read_bytes().count(b"\n") == 1
    assert sorted(path.name for path in start.directory.iterdir()) == ["exit.json", "log", "log.times"]


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "CONT"])
def test_a_signal_is_passed_on_to_the_job(start_as: Any, name: str) -> None:
    run = start_as(f"trap 'echo got {name}; exit 5' {name}; echo ready; {WAIT}").printed(b"ready")

    run.send(getattr(signal, f"SIG{name}")).end()

    assert run.log == f"ready\ngot {name}\n".encode()
    assert (run.code, run.record["stopped"]) == (5, False)


def test_a_signal_reaches_daemons_too(start_as: Any, tmp_path: Path) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    script = f"trap 'echo main got it' USR1; {sys.executable} {tmp_path}/daemon.py; {WAIT}"
    run = start_as(script).printed(b"daemon runs")

    run.send(signal.SIGUSR1).printed(b"main got it").printed(b"daemon got 10")

    run.send(signal.SIGTERM).end()
    assert b"daemon got 15" in run.log


def test_a_warning_goes_once_to_who_listens_and_harms_nobody_else(start_as: Any) -> None:
    deaf = f"sh -c 'echo deaf; {WAIT}' & trap 'echo warned' USR1; echo ready; wait; wait; echo on; {WAIT}"
    run = start_as(deaf).printed(b"deaf").printed(b"ready")

    run.send(signal.SIGUSR1).printed(b"warned").send(signal.SIGUSR1).send(signal.SIGTERM).end()

    assert run.log.count(b"warned") == 1
    assert b"on" not in run.log, "the process that did not listen was ended by the warning"


def test_a_job_that_does_not_listen_outlives_a_warning(start_as: Any) -> None:
    run = start_as(f"trap 'exit 7' USR2; echo ready; {WAIT}").printed(b"ready")

    run.send(signal.SIGUSR1).send(signal.SIGUSR2).end()

    assert run.code == 7


def test_a_stopped_job_may_say_goodbye_and_choose_its_code(start_as: Any) -> None:
    run = start_as(f"trap 'echo goodbye; exit 9' TERM; echo ready; {WAIT}").printed(b"ready")

    run.send(signal.SIGTERM).end()

    assert run.log == b"ready\ngoodbye\n"
    assert (run.code, run.record["signal"], run.record["stopped"]) == (9, None, True)


@pytest.mark.fault(29)
def test_a_job_that_ignores_term_is_killed_after_the_grace(start_as: Any) -> None:
    run = start_as(f"trap '' TERM; echo ready; {WAIT}", options=["--grace", "0.3"]).printed(b"ready")

    began = time.monotonic()
    run.send(signal.SIGTERM).end()

    assert 0.3 <= time.monotonic() - began < 3
    assert (run.code, run.record["code"], run.record["signal"]) == (137, 137, 9)
    assert run.record["stopped"] is True


def test_a_second_term_does_not_lengthen_the_grace(start: Any) -> None:
    run = start.sh(f"trap 'echo got' TERM; echo ready; {WAIT}", options=["--grace", "1"]).printed(b"ready")

    began = time.monotonic()
    run.send(signal.SIGTERM).printed(b"got\n").send(signal.SIGTERM).printed(b"got\ngot\n").end()

    assert time.monotonic() - began < 2
    assert run.code == 137


def test_output_that_never_stops_does_not_keep_a_signal_from_being_heard(start_as: Any) -> None:
    run = start_as("exec yes").printed(b"y\n")

    run.send(signal.SIGTERM).end()

    assert (run.code, run.record["stopped"]) == (143, True)
    assert run.record["log_bytes"] == run.log_path.stat().st_size


@pytest.mark.fault(36)
def test_a_child_that_keeps_the_output_open_does_not_keep_the_job_alive(start_as: Any) -> None:
    began = time.monotonic()
    run = start_as("sleep 1000 & echo done; exit 6").end()

    assert time.monotonic() - began < 2
    assert (run.code, run.log) == (6, b"done\n")


def test_what_is_left_behind_is_asked_to_end_and_its_last_words_are_kept(start_as: Any, tmp_path: Path) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    script = f"{sys.executable} {tmp_path}/daemon.py; until grep -q runs $LOG; do sleep 0.01; done; exit 2"

    run = start_as(f"LOG={tmp_path}/run/log; {script}").end()

    assert run.log == b"daemon runs\ndaemon got 15\n"
    assert (run.code, run.record["stopped"]) == (2, False)


def test_what_is_left_behind_and_ignores_term_is_killed(start_as: Any, tmp_path: Path) -> None:
    stubborn = "sh -c 'trap \"\" TERM; echo stubborn > {up}; while :; do sleep 0.01; done'"
    one, other = (tmp_path / name for name in ("one", "other"))
    start_both = f"{stubborn.format(up=one)} & setsid {stubborn.format(up=other)} &"

    began = time.monotonic()
    run = start_as(f"{start_both} until [ -s {one} -a -s {other} ]; do :; done", options=["--grace", "0.3"]).end()

    # The grace is shorter than the two seconds that leftovers get at most.
    assert 0.3 <= time.monotonic() - began < 1.9
    assert (run.code, run.record["signal"]) == (0, None)


@pytest.mark.fault(36)
def test_leftovers_get_two_seconds_however_long_the_grace_is(start: Any, tmp_path: Path) -> None:
    leftover = f"sh -c 'trap \"\" TERM; touch {tmp_path}/up; while :; do sleep 0.01; done'"

    began = time.monotonic()
    run = start.sh(f"{leftover} & until [ -e {tmp_path}/up ]; do :; done", options=["--grace", "600"]).end()

    assert 2 <= time.monotonic() - began < 4
    assert run.code == 0


def test_a_stopped_jobs_children_keep_the_rest_of_the_grace(start: Any, tmp_path: Path) -> None:
    child = f"sh -c 'trap \"sleep 2.3; echo saved; exit\" TERM; touch {tmp_path}/up; {WAIT}'"
    run = start.sh(f"{child} & until [ -e {tmp_path}/up ]; do :; done; echo ready; {WAIT}", options=["--grace", "60"])

    run.printed(b"ready").send(signal.SIGTERM).end()

    assert run.log == b"ready\nsaved\n"
    assert (run.code, run.record["stopped"]) == (143, True)


def test_a_term_after_the_main_process_has_ended_is_no_stop(start: Any, tmp_path: Path) -> None:
    child = f"sh -c 'trap \"\" TERM; touch {tmp_path}/up; while :; do sleep 0.01; done'"
    run = start.sh(f"echo pid $$; {child} & until [ -e {tmp_path}/up ]; do :; done", options=["--grace", "0.5"])
    main = int(run.printed(b"\n").log.split()[1])

    start.wait_until(lambda: not Path(f"/proc/{main}").exists(), "the main process has ended")
    run.send(signal.SIGTERM).end()

    assert (run.code, run.record["stopped"]) == (0, False)


@pytest.mark.fault(36)
def test_a_hundred_processes_that_are_left_behind_all_end(start: Any) -> None:
    run = start.sh("for n in $(seq 100); do setsid sleep 1000 & echo $!; done").end()

    left = [int(pid) for pid in run.log.split()]
    assert (run.code, len(left)) == (0, 100)
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]


@pytest.mark.fault(36)
def test_no_zombie_is_left_while_the_job_runs(start: Any) -> None:
    run = start.sh(f"for n in 1 2 3; do (sh -c 'exit 0' &); done; echo ready; {WAIT}").printed(b"ready")

    # The main process alone stays; the three were given to the launcher when their parents had ended.
    start.wait_until(lambda: len(run.children()) == 1, "the launcher has collected the orphans")

    run.send(signal.SIGTERM).end()


def test_a_job_that_kills_everything_in_its_container_is_recorded(start: Any, pid_1: tuple[str, ...]) -> None:
    run = start.sh("echo hello; sleep 1000 & kill -9 -1; kill -9 $$", before=pid_1).end()

    assert run.log == b"hello\n"
    assert (run.code, run.record["signal"]) == (137, 9)


def ignore_a_signal_of_the_c_library() -> None:
    """Ignore signal 32, which the C library keeps for itself: only the kernel can be asked."""
    struct_sigaction = (ctypes.c_uint64 * 4)(1, 0, 0, 0)  # SIG_IGN
    assert ctypes.CDLL(None).syscall(RT_SIGACTION, 32, struct_sigaction, None, 8) == 0


def test_a_job_starts_with_no_signal_blocked_or_ignored(start: Any) -> None:
    def ignore_some() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ignore_a_signal_of_the_c_library()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

    run = start("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status", prepare=ignore_some).end()

    assert run.log.split() == [b"SigBlk:", b"0" * 16, b"SigIgn:", b"0" * 16]
    assert run.code == 0
