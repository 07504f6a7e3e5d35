"""A Docker Engine of a test's own: on a machine that has its own network, mounts and processes, and is gone with its end.

What keeps the machine is one process; whoever ends it ends the Engine and every container, also when the test died.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import docker
from docker_relay import Relay
from live_platform import eventually
from quiet_network import enter_network

ROOT = Path(__file__).parents[2]
ENGINES = ROOT / "build" / "engines"
PLACE = Path("/var/lib")  #: a disk, not an overlay: the Engine's images are overlays themselves
#: Hides what the real machine has under /run.
PREPARE = "mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/lock && ip link set lo up"
#: The first process of the machine: nobody else reaps what is left behind, and an Engine takes a dead containerd for a living one.
KEEP = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)
APART = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
BUSYBOX = Path("/usr/bin/busybox")
BUSYBOX_IMAGE = "busybox:test"


class OwnEngine:
    """A machine with a dockerd, which tests stop, kill and start again; its containers may outlive it (`live-restore`)."""

    def __init__(
        self, *options: str, path: str = "", prepare: str = "true", daemon: Sequence[str] = ("dockerd",)
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="himalia-engine-", dir=PLACE))
        self.options = [*options, "--cgroup-parent", f"/{self.folder.name}"]
        self.path = path  #: programs of the test's own, which the Engine finds first
        self.daemon = daemon
        self.process: subprocess.Popen[bytes] | None = None
        self._client: docker.APIClient | None = None
        begin = ["sh", "-c", f'{PREPARE} && {prepare} && exec "$0" -ISc "$1"', sys.executable, KEEP]
        keeper = ["setpriv", "--pdeathsig", "KILL", *APART, *begin]
        self.keeper = subprocess.Popen(keeper, stdout=subprocess.PIPE)
        assert self.keeper.stdout is not None
        assert self.keeper.stdout.readline() == b"up\n", "the machine cannot be made"
        (self.pid,) = _children(self.keeper.pid)

    @property
    def host(self) -> str:
        """The address for a Docker client."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def inside(self) -> list[str]:
        """What begins a command on the machine's network, with the files of the real one."""
        return ["nsenter", "-t", str(self.pid), "--net"]

    def enter_network(self) -> None:
        """Take the thread that calls this to the machine's network, for good."""
        enter_network(self.pid)

    @property
    def client(self) -> docker.APIClient:
        """A client of the Engine."""
        if self._client is None:
            self._client = docker.APIClient(self.host, version="auto", timeout=60)
        return self._client

    def start(self) -> None:
        """Start the Engine, and wait until it answers."""
        program = [*self.daemon, "-H", self.host, "--bridge", "none", "--data-root", f"{self.folder}/data"]
        program += ["--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", *self.options]
        whole = ["nsenter", "-t", str(self.pid), "--net", "--mount", "--pid", *program]
        environment = os.environ | {"PATH": f"{self.path}:{os.environ['PATH']}".lstrip(":")}
        with (self.folder / "dockerd.log").open("ab") as log:
            self.process = subprocess.Popen(whole, stdout=log, stderr=log, env=environment)
        eventually(self._answers)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop the Engine as an administrator does, or kill it; wait until it is gone."""
        assert self.process is not None
        for pid in _children(self.process.pid):
            os.kill(pid, number)
        self.process.wait(60)
        self.process = None

    def miss_end(self, container: str, end: Callable[[], object]) -> None:
        """Let `end` end a container, and the Engine never hear of it: what would tell it dies before it can."""
        assert self.process is not None
        (engine,) = _children(self.process.pid)
        tellers = [pid for pid in _children(engine) if "containerd" in _command(pid)]
        (watcher,) = [pid for pid in _everybody() if "containerd-shim" in _command(pid) and container in _command(pid)]
        os.kill(watcher, signal.SIGSTOP)
        end()
        for pid in (*tellers, watcher):
            os.kill(pid, signal.SIGKILL)

    def log(self) -> str:
        """Return what the Engine has written."""
        return (self.folder / "dockerd.log").read_text(errors="replace")

    def add_busybox(self) -> None:
        """Give the Engine its smallest image: one static program under all its names."""
        self.client.import_image_from_data(busybox(), *BUSYBOX_IMAGE.split(":"))

    def end(self) -> None:
        """End the machine with all that is on it, and leave nothing."""
        if self._client is not None:
            self._client.close()
        self.keeper.kill()
        self.keeper.wait()
        if self.keeper.stdout is not None:
            self.keeper.stdout.close()
        if self.process is not None:
            self.process.wait(20)
        eventually(lambda: not Path(f"/proc/{self.pid}").exists())
        _remove_cgroups(self.folder.name)
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the Engine ended:\n{self.log()[-3000:]}"
        with socket.socket(socket.AF_UNIX) as asking:  # clients leave the socket of a connection that failed to chance
            try:
                asking.connect(f"{self.folder}/docker.sock")
                asking.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in asking.recv(64)
            except OSError:
                return False


def newer_engine(*options: str, suite: str = "trixie", cgroups: int = 1) -> OwnEngine:
    """Return an Engine of a newer Debian, with CDI: its specifications lie in `cdi` in the machine's folder."""
    root = ENGINES / suite
    assert (root / "usr/sbin/dockerd").exists(), f"there is no {root}: `make {root.relative_to(ROOT)}.stamp` makes it"
    # Without one to watch its specifications with, the Engine breaks off each start of a container with a device.
    eventually(_may_watch_files)
    machine = OwnEngine(*options, prepare=_prepared(root, cgroups), daemon=("chroot", str(root), "/usr/sbin/dockerd"))
    specifications = machine.folder / "cdi"
    specifications.mkdir()
    settings = machine.folder / "daemon.json"
    settings.write_text(json.dumps({"features": {"cdi": True}, "cdi-spec-dirs": [str(specifications)]}))
    machine.options += ["--config-file", str(settings)]
    return machine


def _may_watch_files() -> bool:
    """Tell whether root may have one more instance of inotify: all programs on a machine share a number of them."""
    descriptor = int(ctypes.CDLL(None).inotify_init())
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0


def _prepared(root: Path, cgroups: int) -> str:
    """Return what makes a directory the root of an Engine: a mount of its own, with all that a machine has."""
    groups = "/sys/fs/cgroup/unified" if cgroups == 2 else "/sys/fs/cgroup"
    steps = [
        f"mount --bind {root} {root}",
        f"mount -t proc proc {root}/proc",
        f"mount -t sysfs sysfs {root}/sys",
        f"mount --rbind {groups} {root}/sys/fs/cgroup",
        f"mount --rbind /dev {root}/dev",
        f"mount -t tmpfs -o mode=755 tmpfs {root}/run",
        f"mount --rbind /var/lib {root}/var/lib",
        f"mount --rbind /tmp {root}/tmp",
    ]
    return " && ".join(steps)


class Doorway(Relay):
    """Lets this machine reach a port of another one's loopback, at the same number."""

    def __init__(self, machine: OwnEngine, port: int) -> None:
        super().__init__()
        self.machine = machine
        self.port = port
        self.mend()

    def listen(self) -> socket.socket:
        """Listen here."""
        return socket.create_server(("127.0.0.1", self.port))

    def connect(self) -> socket.socket:
        """Connect there; only the relay's own thread comes here."""
        self.machine.enter_network()
        return socket.create_connection(("127.0.0.1", self.port))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _everybody() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


def busybox() -> bytes:
    """Return the smallest root of files that serves: one static program under all its names."""
    names = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        tar.add(BUSYBOX, "bin/busybox")
        for name in names:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            if name != "busybox":
                tar.addfile(link)
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(tmp)
    return whole.getvalue()


def _remove_cgroups(name: str) -> None:
    """Remove what a machine's Engine left of its control groups, once the last process is gone."""
    for top in (*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")):
        for folder in sorted((found for found in top.rglob("*") if found.is_dir()), reverse=True):
            _remove_cgroup(folder)
        _remove_cgroup(top)


def _remove_cgroup(folder: Path) -> None:
    def gone() -> bool:
        with contextlib.suppress(FileNotFoundError, OSError):
            folder.rmdir()
        return not folder.exists()

    eventually(gone, 10)
