"""Fixtures of the launcher's tests.

launcher                the launcher, compiled once
launcher_on_a_bad_disk  the same, on a disk that refuses, or tells what it is asked (bad_disk.c)
start                   starts launchers as plain processes, in a run directory of the test's own
start_as                starts scripts twice: as a plain process, and as pid 1 of a namespace of its own
pid_1                   what to run the launcher with so that it is pid 1
private_mounts          what to run the launcher with so that it may mount, and nobody else sees it
open_directory          a directory that other users can reach, unlike pytest's own
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SOURCES = sorted((HERE.parents[2] / "jobs" / "launcher").glob("*.c"))
DEADLINE_SECONDS = 30.0

#: Who is not root makes namespaces as root of a user namespace.
AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until something is true; fail when it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds} s in vain: {what}")
        threading.Event().wait(0.005)


def children(pid: int) -> list[int]:
    """Return the children of a process, those that have ended and were not collected too."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on."""
    return [found for child in children(pid) for found in (child, *descendants(child))]


@dataclass(kw_only=True)
class Run:
    """A launcher that runs, and what it leaves."""

    process: subprocess.Popen[bytes]
    log_path: Path
    exit_path: Path
    stderr: bytes = b""

    @property
    def log(self) -> bytes:
        """What the log holds now."""
        return self.log_path.read_bytes() if self.log_path.exists() else b""

    @property
    def record(self) -> dict[str, Any]:
        """The exit record."""
        loaded: dict[str, Any] = json.loads(self.exit_path.read_text())
        return loaded

    @property
    def code(self) -> int:
        """The launcher's own exit status."""
        assert self.process.returncode is not None
        return self.process.returncode

    def printed(self, text: bytes) -> Run:
        """Wait until the job has printed something."""
        wait_until(lambda: text in self.log, f"{text!r} in the log")
        return self

    def send(self, number: int) -> Run:
        """Send the launcher a signal."""
        os.kill(self.launcher_pid(), number)
        return self

    def launcher_pid(self) -> int:
        """Return the launcher's pid: behind `unshare`, the child's."""
        pid = self.process.pid
        if Path(f"/proc/{pid}/comm").read_text().strip() != "unshare":
            return pid
        return children(pid)[0]

    def children(self) -> list[int]:
        """Return the processes whose parent the launcher is."""
        return children(self.launcher_pid())

    def end(self) -> Run:
        """Wait until the launcher has ended."""
        _, self.stderr = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self


@dataclass(kw_only=True)
class Starter:
    """Starts launchers in one run directory."""

    binary: Path
    directory: Path
    runs: list[Run] = field(default_factory=list)

    def __call__(
        self,
        *command: str,
        options: Sequence[str] = (),
        before: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
        binary: Path | None = None,
    ) -> Run:
        """Start the launcher with a command; `before` names programs to run it with, such as `unshare`."""
        launcher = self.command(*command, options=options, binary=binary)
        return self.run([*before, *launcher], env=env, prepare=prepare)

    def command(self, *command: str, options: Sequence[str] = (), binary: Path | None = None) -> list[str]:
        """Return the command line of the launcher."""
        log, exit_ = self.directory / "log", self.directory / "exit.json"
        return [str(binary or self.binary), "--log", str(log), "--exit", str(exit_), *options, "--", *command]

    def run(
        self, words: Sequence[str], env: Mapping[str, str] | None = None, prepare: Callable[[], None] | None = None
    ) -> Run:
        """Start a whole command line that has the launcher somewhere in it."""
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            preexec_fn=prepare,
        )
        run = Run(process=process, log_path=self.directory / "log", exit_path=self.directory / "exit.json")
        self.runs.append(run)
        return run

    wait_until = staticmethod(wait_until)

    def sh(self, script: str, **how: Any) -> Run:
        """Start a shell script under the launcher."""
        return self("sh", "-c", script, **how)

    def stop_all(self) -> None:
        """Kill what a test that failed has left running."""
        for run in self.runs:
            if run.process.poll() is None:
                for pid in [*descendants(run.process.pid), run.process.pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            run.process.communicate()


def compile_launcher(folder: Path, *more: str) -> Path:
    """Compile the launcher as its Makefile does."""
    binary = folder / "himalia-launcher"
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", str(binary), *map(str, SOURCES), *more],
        check=True,
    )
    return binary


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher."""
    return compile_launcher(tmp_path_factory.mktemp("launcher"))


@pytest.fixture(scope="session")
def launcher_on_a_bad_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher, linked with a disk that does as `BAD_DISK` says (see bad_disk.c)."""
    wraps = [f"-Wl,--wrap={name}" for name in ("splice", "pwrite", "fdatasync", "fsync", "renameat")]
    return compile_launcher(tmp_path_factory.mktemp("bad-disk"), str(HERE / "bad_disk.c"), *wraps)


@pytest.fixture
def start(launcher: Path, tmp_path: Path) -> Iterator[Starter]:
    """Start launchers in a run directory of the test's own."""
    directory = tmp_path / "run"
    directory.mkdir()
    starter = Starter(binary=launcher, directory=directory)
    yield starter
    starter.stop_all()


@pytest.fixture(scope="session")
def pid_1() -> tuple[str, ...]:
    """What to run the launcher with so that it is pid 1 of a namespace of its own."""
    return ("unshare", *AS_ROOT, "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture(scope="session")
def private_mounts() -> tuple[str, ...]:
    """What to run a shell with so that it may mount, and nobody else sees it."""
    return ("unshare", *AS_ROOT, "--mount", "--")


@pytest.fixture(params=["a plain process", "pid 1"])
def start_as(request: pytest.FixtureRequest, start: Starter, pid_1: tuple[str, ...]) -> Callable[..., Run]:
    """Start scripts twice: under a launcher that is a plain process, and under one that is pid 1."""
    before = pid_1 if request.param == "pid 1" else ()

    def start_script(script: str, **how: Any) -> Run:
        return start.sh(script, before=before, **how)

    return start_script


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users can reach, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="himalia-launcher-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)
