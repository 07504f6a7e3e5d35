"""Slurm, of Debian: its packages unpacked below `build`, one node with four places, nothing of it installed on the machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .workload import AT_ONCE, NOTEBOOK, SCRIPT, Seen, Started, first_time, until

STATE_SECONDS = 6.0  #: within which it writes what it knows of a job
PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "munge",
    "libmunge2",
    "libhwloc15",
    "libnuma1",
)
CONFIG = """
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={state}/munge.socket
CredType=cred/munge
PluginDir={root}/usr/lib/x86_64-linux-gnu/slurm-wlm
StateSaveLocation={state}/controller
SlurmdSpoolDir={state}/node
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=bench Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def install(build: Path) -> Path:
    """Return where its packages are unpacked; they are fetched where they are not."""
    root = build / "slurm"
    done = root / "done"
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        (root / "debs").mkdir(parents=True)
        subprocess.run(
            ["apt-get", "download", "-qq", *PACKAGES], cwd=root / "debs", check=True, stdout=subprocess.DEVNULL
        )
        for package in sorted((root / "debs").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
        done.touch()
    return root


class Slurm(Started):
    """munged, slurmctld and slurmd, with all their state in a directory of their own."""

    name = "Slurm"
    kinds = ("script", "notebook")

    def __init__(self, root: Path, folder: Path, ports: tuple[int, int], nbconvert: Path) -> None:
        self.root = root
        self.nbconvert = nbconvert  #: a `jupyter-nbconvert` that runs notebooks
        self.state = Path(tempfile.mkdtemp(prefix="himalia-bench-slurm-"))
        self.state.chmod(0o755)
        self.folder = self.state / "work"
        shutil.copytree(folder, self.folder)
        for name in ("controller", "node"):
            (self.state / name).mkdir()
        host = socket.gethostname().partition(".")[0]
        port, node_port = ports
        self.config = self.state / "slurm.conf"
        self.config.write_text(CONFIG.format(host=host, port=port, node_port=node_port, state=self.state, root=root))
        libraries = (
            f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu/slurm-wlm:{root}/lib/x86_64-linux-gnu"
        )
        self.environment = os.environ | {"SLURM_CONF": str(self.config), "LD_LIBRARY_PATH": libraries}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.outputs: dict[str, Path] = {}

    def start(self) -> None:
        """Start the three, each once the one before it answers."""
        key = self.state / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        names = {"key-file": key, "socket": self.state / "munge.socket", "pid-file": self.state / "munged.pid"}
        names |= {"log-file": self.state / "munged.log", "seed-file": self.state / "munge.seed"}
        self._start("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in names.items()))
        until(lambda: (self.state / "munge.socket").exists())
        self._start("slurmctld-wlm", "-D", "-i")
        self._start("slurmd-wlm", "-D", "-d", f"{self.root}/usr/sbin/slurmstepd-wlm")
        until(lambda: b"idle" in self._client("sinfo", "-h", "-o", "%T", check=False), 60, 0.2)

    def end(self) -> None:
        """End the three, and remove what they kept."""
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.state, ignore_errors=True)

    def submit(self, name: str, folder: Path | None = None) -> str:
        """Submit a script or a notebook; it runs where the directory is, which is not copied."""
        where = folder or self.folder
        python, run = "/usr/bin/python3", f"exec /usr/bin/python3 {name}"
        if name.endswith(".ipynb"):
            run = f"exec {self.nbconvert} --to notebook --execute --output-dir {self.state} --output ran-$SLURM_JOB_ID {name}"
        wrapped = ["--wrap", run, "-D", str(where), "-o", f"{self.state}/%j.out", "-n", "1"]
        assert Path(python).exists()
        return self._client("sbatch", "--parsable", *wrapped).decode().strip()

    def run(self, kind: str) -> Seen:
        """Run one: its first line is in a file as soon as it prints it; of a notebook, at its end."""
        called = time.time()
        job_id = self.submit(NOTEBOOK if kind == "notebook" else SCRIPT)
        taken = time.time()
        output = self.state / (f"{job_id}.out" if kind == "script" else f"ran-{job_id}.ipynb")
        until(lambda: output.exists() and output.stat().st_size)
        line = time.time()
        self.wait(job_id)
        ended = time.time()
        began = first_time(output.read_text())
        return Seen(taken=taken - called, began=began - called, line=line - called, ended=ended - called)

    def run_many(self, count: int = AT_ONCE) -> float:
        """Submit so many scripts at once."""
        called = time.time()
        jobs = [self.submit(SCRIPT) for _ in range(count)]
        for job_id in jobs:
            self.wait(job_id)
        return time.time() - called

    def submit_large(self, folder: Path) -> float:
        """Submit in a directory: nothing is copied, so a change of it reaches the job."""
        begun = time.monotonic()
        job_id = self.submit(SCRIPT, folder)
        seconds = time.monotonic() - begun
        self.wait(job_id)
        return seconds

    def killed(self) -> str:
        """Kill slurmctld while a job runs: as soon as its first line is there, and once it has written its state."""
        return f"{self._killed(0)}; {self._killed(STATE_SECONDS)}"

    def _killed(self, seconds: float) -> str:
        job_id = self.submit("long.py")
        output = self.state / f"{job_id}.out"
        until(lambda: output.exists() and output.stat().st_size)
        time.sleep(seconds)
        self.processes["slurmctld-wlm"].send_signal(signal.SIGKILL)
        self.processes["slurmctld-wlm"].wait()
        self._start("slurmctld-wlm", "-D")
        begun = time.monotonic()
        state = self.wait(job_id, 120)
        whole = "its whole output is there" if output.read_text().endswith("done\n") else "its output is cut"
        when = f"{seconds:.0f} s after the first line" if seconds else "at the first line"
        return f"slurmctld killed {when}: the job is told {state} after {time.monotonic() - begun:.0f} s, {whole}"

    def wait(self, job_id: str, most_seconds: float = 180.0) -> str:
        """Wait for a job's end as people do, by asking; return its state."""

        def over() -> str:
            command = [f"{self.root}/usr/bin/scontrol", "-o", "show", "job", job_id]
            asked = subprocess.run(command, env=self.environment, capture_output=True, text=True)
            if "Invalid job id" in asked.stderr:
                return "nothing: it is not known any more"
            state = next((word.partition("=")[2] for word in asked.stdout.split() if word.startswith("JobState=")), "")
            return state if state in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL") else ""

        return str(until(over, most_seconds, 0.02))

    def _start(self, name: str, *options: str) -> None:
        with (self.state / f"{name}.out").open("ab") as log:
            command = [f"{self.root}/usr/sbin/{name}", *options]
            self.processes[name] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def _client(self, name: str, *options: str, check: bool = True) -> bytes:
        command = [f"{self.root}/usr/bin/{name}", *options]
        return subprocess.run(command, env=self.environment, check=check, capture_output=True).stdout
