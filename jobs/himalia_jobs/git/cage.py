"""Git, cut off from all else: a uid of its own, no capability, its own directory, processes and time; bytes are bounded.

What it talks to and what it unpacks is a stranger's. It sees its directory as `/tmp`, no process but its own, none of
the machine's or anybody's settings of git, and can open nothing that is not everybody's.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from himalia.errors import TooLarge, Unavailable

from ..settings import PROGRAMS

ALONE = 65533  #: a user and a group that nothing else on the machine is
OLDEST = (2, 37)  #: the first one that can be told addresses
MEMORY_BYTES = 4 * 1024**3
SAID_BYTES = 16 * 1024  #: of what git says, the end
INSIDE = "/tmp"  # its own directory, mounted there
ENTER = 'mount --bind "$1" /tmp && cd /tmp && shift && exec "$@"'
APART = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
DROP = [
    "setpriv",
    f"--reuid={ALONE}",
    f"--regid={ALONE}",
    "--clear-groups",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
]
#: What git is told, whatever a repository or a server says.
SETTINGS = {
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "http.followRedirects": "false",
    "http.proxy": "",
    "http.sslVerify": "true",
    "http.lowSpeedLimit": "100",
    "http.lowSpeedTime": "30",
    "http.delegation": "none",
    "credential.helper": "",
    "core.askPass": "",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.bigFileThreshold": "32m",
    "core.packedGitWindowSize": "32m",
    "core.packedGitLimit": "256m",
    "core.deltaBaseCacheLimit": "32m",
    "pack.threads": "1",
    "fetch.unpackLimit": "1",  # one pack, whose size is bounded
    "fetch.recurseSubmodules": "false",
    "fetch.uriProtocols": "",
    "transfer.bundleURI": "false",
    "transfer.credentialsInUrl": "die",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


class GitFailed(Exception):
    """Git ended with an error; what it said is a stranger's."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class Cage:
    """A directory in which git runs, until a moment or until it is stopped."""

    def __init__(self, folder: Path, *, seconds: float, largest_bytes: int) -> None:
        self.folder = folder
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._largest_bytes = largest_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        make_folder(folder)

    def stop(self) -> None:
        """End what runs, and let nothing more begin."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                _end(self._process)

    def given(self, file: Path) -> str:
        """Return where git finds a copy of a file of ours."""
        shutil.copyfile(file, self.folder / file.name)
        (self.folder / file.name).chmod(0o444)
        return str((Path(INSIDE) if inside() else self.folder) / file.name)

    def run(self, *words: str, settings: Mapping[str, str] | None = None) -> bytes:
        """Run git to its end and return what it wrote, which must be little; raise GitFailed or HimaliaError."""
        with self.running(*words, settings=settings) as process:
            assert process.stdout is not None
            return process.stdout.read(SAID_BYTES)

    @contextmanager
    def running(
        self, *words: str, settings: Mapping[str, str] | None = None, asks: bool = False
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run git beside the block; with `asks`, it reads what the block writes. What is left of it ends with the block."""
        said = _Said()
        with self._started(words, settings or {}, asks=asks) as process:
            assert process.stderr is not None
            listener = threading.Thread(target=said.listen, args=(process.stderr,), name="git said", daemon=True)
            listener.start()
            late = threading.Timer(max(0.0, self._until - time.monotonic()), _end, [process])
            late.start()
            try:
                yield process
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        with suppress(BrokenPipeError):
                            pipe.close()
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its group is its own until it is reaped
            finally:
                late.cancel()
                _end(process)
                code = process.wait()
                listener.join()
        self._must_go_on()
        if code != 0 and self._is_full():
            raise TooLarge(
                "The repository is larger than a workspace may be. Clone it, and submit the part that you need."
            )
        if code != 0:
            raise GitFailed(said.text)

    @contextmanager
    def _started(
        self, words: tuple[str, ...], settings: Mapping[str, str], *, asks: bool
    ) -> Iterator[subprocess.Popen[bytes]]:
        command = enclosed(["git", *words], self.folder, self._largest_bytes, self._seconds)
        with self._lock:
            self._may_begin()
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(settings, inside()),
                stdin=subprocess.PIPE if asks else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self._process = process
        try:
            with process:
                yield process
        finally:
            with self._lock:
                self._process = None

    def _is_full(self) -> bool:
        """Tell whether a file is as large as one may be: git itself says only that it was cut off."""
        files = (os.path.join(place, name) for place, _, names in os.walk(self.folder) for name in names)
        return any(os.lstat(file).st_size >= self._largest_bytes for file in files)

    def _may_begin(self) -> None:
        if self._stopped:
            raise Stopped("The fetch was stopped. No job was made.")
        if time.monotonic() >= self._until:
            raise Unavailable(f"The fetch took longer than {self._seconds:g} seconds, and was stopped. Try again.")

    def _must_go_on(self) -> None:
        with self._lock:
            self._may_begin()


class Stopped(Unavailable):
    """A fetch was stopped by its person, or by the service's end."""

    code = "cancelled"


class _Said:
    """The end of what git says."""

    def __init__(self) -> None:
        self._kept = b""

    def listen(self, pipe: IO[bytes]) -> None:
        """Read all that comes, and keep the end."""
        with suppress(ValueError):  # closed meanwhile
            while block := os.read(pipe.fileno(), SAID_BYTES):
                self._kept = (self._kept + block)[-SAID_BYTES:]

    @property
    def text(self) -> str:
        """What was kept."""
        return self._kept.decode(errors="replace")


def inside() -> bool:
    """Tell whether git gets a view of its own on the machine: where the service is root, always."""
    return os.geteuid() == 0


def make_folder(folder: Path) -> None:
    """Make a directory that git alone writes to."""
    folder.mkdir(mode=0o700, parents=True)
    if inside():
        os.chown(folder, ALONE, ALONE)


def enclosed(command: list[str], folder: Path, largest_bytes: int, seconds: float) -> list[str]:
    """Return a command as it runs in the cage."""
    limits = [
        "prlimit",
        f"--fsize={largest_bytes}",
        f"--as={MEMORY_BYTES}",
        f"--cpu={int(seconds) + 1}",
        "--nofile=256",
        "--core=0",
    ]
    if not inside():
        return [*limits, *command]
    return [*APART, "--", "sh", "-c", ENTER, "himalia-git", str(folder), *DROP, *limits, *command]


def environment(settings: Mapping[str, str], view: bool = True) -> dict[str, str]:
    """Return all that git finds in its environment: settings go there, so that none is on a command line."""
    given = SETTINGS | dict(settings)
    told = {
        "PATH": PROGRAMS,
        "LC_ALL": "C",
        "HOME": f"{INSIDE}/none" if view else "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "https",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_DIR": "repository",
        "GIT_CONFIG_COUNT": str(len(given)),
    }
    for number, (key, value) in enumerate(given.items()):
        told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return told


@functools.cache
def why_not() -> str:
    """Return why nothing can be fetched on this machine; empty: it can."""
    missing = [name for name in ("git", "prlimit", "setpriv", "unshare") if shutil.which(name, path=PROGRAMS) is None]
    if missing:
        return f"{' and '.join(missing)} is not installed on the platform's machine."
    version = _output("git", "--version").split()
    numbers = tuple(int(part) for part in (version[2] if len(version) > 2 else "0").split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        return f"The platform's git is older than {'.'.join(map(str, OLDEST))}."
    if inside() and _output(*APART, "--", *DROP, "echo", "apart") != "apart\n":
        return "The platform's machine does not let git be kept apart (unshare or setpriv fails)."
    return ""


def _output(*command: str) -> str:
    done = subprocess.run(command, env={"PATH": PROGRAMS}, capture_output=True, text=True, timeout=20)
    return done.stdout


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and all it started: in a view of its own, they die with the first of them."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
