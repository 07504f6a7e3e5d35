"""jupyter-scheduler, as its own extension of a Jupyter server has it: notebooks only, each in a process beside the server."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from .workload import AT_ONCE, NOTEBOOK, Seen, Started, first_time, until

PACKAGES = ("jupyter-scheduler==2.12.*", "jupyter-server==2.*", "ipykernel")
WORKED_SECONDS = 2.0  #: that a notebook runs before its server is killed
OVER = ("COMPLETED", "FAILED")  #: one that has not begun is told STOPPED


def install(build: Path) -> Path:
    """Return a virtual environment with it, made where there is none."""
    venv = build / "jupyter-scheduler"
    done = venv / "done"
    if not done.exists():
        shutil.rmtree(venv, ignore_errors=True)
        python = os.path.realpath(sys.executable)
        subprocess.run([python, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-qq", "--disable-pip-version-check", *PACKAGES], check=True)
        done.touch()
    return venv


class JupyterScheduler(Started):
    """A Jupyter server of its own; its root is a directory below `folder`."""

    name = "jupyter-scheduler"
    kinds = ("notebook",)

    def __init__(self, venv: Path, folder: Path, port: int) -> None:
        self.venv = venv
        self.state = Path(tempfile.mkdtemp(prefix="himalia-bench-scheduler-"))
        self.root = self.state / "root"
        shutil.copytree(folder, self.root)
        self.port = port
        self.token = secrets.token_hex(16)
        self.process: subprocess.Popen[bytes] | None = None
        url = f"http://127.0.0.1:{port}/scheduler"
        self.http = httpx.Client(
            base_url=url, headers={"Authorization": f"token {self.token}"}, timeout=120, trust_env=False
        )

    def end(self) -> None:
        """End the server, and remove what it kept."""
        self.http.close()
        self.stop(signal.SIGTERM)
        shutil.rmtree(self.state, ignore_errors=True)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        names = ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "HOME")
        own = {name: str(self.state / name.lower()) for name in names}
        for folder in own.values():
            Path(folder).mkdir(exist_ok=True)
        path = f"{self.venv / 'bin'}:{os.environ['PATH']}"
        command = [
            self.venv / "bin" / "jupyter-server",
            "--allow-root",
            "--no-browser",
            f"--ServerApp.root_dir={self.root}",
        ]
        command += [
            f"--ServerApp.port={self.port}",
            f"--IdentityProvider.token={self.token}",
            "--ServerApp.port_retries=0",
        ]
        with (self.state / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=os.environ | own | {"PATH": path}, stdout=log, stderr=log)
        until(self._answers, pause_seconds=0.1)

    def stop(self, number: int) -> None:
        """End the server, and nothing else."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def submit(self, path: str, *, folder: bool = False) -> str:
        """Submit a notebook below the root, with its directory or alone."""
        body = {
            "name": "bench",
            "input_uri": path,
            "runtime_environment_name": "python",
            "output_formats": ["ipynb"],
            "package_input_folder": folder,
        }
        answer = self.http.post("/jobs", json=body)
        answer.raise_for_status()
        return str(answer.json()["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as it is told."""
        found: dict[str, Any] = self.http.get(f"/jobs/{job_id}").raise_for_status().json()
        return found

    def run(self, kind: str) -> Seen:
        """Run a notebook: nothing of its output can be read before its end."""
        called = time.time()
        job_id = self.submit(NOTEBOOK)
        taken = time.time()
        self.ended(job_id, 0.02)
        ended = time.time()
        began = first_time(self.output(job_id))
        return Seen(taken=taken - called, began=began - called, line=ended - called, ended=ended - called)

    def ended(self, job_id: str, pause_seconds: float) -> None:
        """Wait for a job's end, asking so often."""
        until(lambda: self.job(job_id)["status"] in OVER, pause_seconds=pause_seconds)

    def run_many(self, count: int = AT_ONCE) -> float:
        """Submit so many notebooks: all run at once, since it has no queue."""
        called = time.time()
        jobs = [self.submit(NOTEBOOK) for _ in range(count)]
        for job_id in jobs:
            self.ended(job_id, 0.1)
        return time.time() - called

    def submit_large(self, folder: Path) -> float:
        """Submit a directory, which is copied before the answer."""
        target = self.root / "large"
        if not target.exists():
            shutil.copytree(folder, target)
        begun = time.monotonic()
        job_id = self.submit(f"large/{NOTEBOOK}", folder=True)
        seconds = time.monotonic() - begun
        self.ended(job_id, 0.1)
        return seconds

    def killed(self) -> str:
        """Kill the Jupyter server while a notebook runs, and start it again."""
        job_id = self.submit("long.ipynb")
        until(lambda: self.job(job_id)["status"] == "IN_PROGRESS", pause_seconds=0.05)
        time.sleep(WORKED_SECONDS)
        self.stop(signal.SIGKILL)
        self.start()
        begun = time.monotonic()
        try:
            until(lambda: self.job(job_id)["status"] in OVER, 45, 0.2)
        except TimeoutError:
            return f"Jupyter server killed: the job is told {self.job(job_id)['status']} 45 s later"
        return f"Jupyter server killed: the job is told {self.job(job_id)['status']} after {time.monotonic() - begun:.0f} s"

    def output(self, job_id: str) -> str:
        """Return the notebook as it was run."""
        folders = list(self.state.glob(f"**/scheduler_staging_area/{job_id}*"))
        (ran,) = [file for folder in folders for file in folder.glob("*.ipynb") if file.name != NOTEBOOK]
        return ran.read_text()

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.state / "server.log").read_text()[-2000:]
        try:
            return self.http.get("/jobs/count").status_code == 200
        except httpx.TransportError:
            return False
