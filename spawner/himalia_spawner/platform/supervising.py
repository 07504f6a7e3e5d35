"""The PyPI package `supervisor` for machines without systemd: its settings, starting it, speaking to it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from himalia.errors import LocalError

from .place import Place
from .programs import Program

START_DEADLINE_SECONDS = 20.0
STOP_DEADLINE_SECONDS = 60.0
AGAIN_SECONDS = 0.1
LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """How one of the processes is."""

    name: str
    running: bool
    failing: bool  #: it ended as soon as it was started, and is tried again and again
    words: str  #: such as "pid 4711, uptime 0:01:02"
    pid: int


def settings_text(place: Place, wanted: Iterable[Program]) -> str:
    """Return supervisord's settings for this installation."""
    user = "user=root\n" if os.geteuid() == 0 else ""
    parts = [
        f"[supervisord]\nlogfile={_plain(place.log_dir / 'supervisord.log')}\nlogfile_maxbytes={LOG_BYTES}\n"
        f"pidfile={_plain(place.run_dir / 'supervisord.pid')}\nchildlogdir={_plain(place.log_dir)}\n"
        f"directory={_plain(place.site.data)}\n{user}",
        f"[unix_http_server]\nfile={_plain(place.socket)}\nchmod=0700\n",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
        f"[supervisorctl]\nserverurl=unix://{_plain(place.socket)}\n",
    ]
    environment = ",".join(f'{name}="{_plain(value)}"' for name, value in place.environment.items())
    for program in wanted:
        parts.append(
            f"[program:{program.name}]\ncommand={_plain(shlex.join(program.command))}\n"
            f"environment={environment}\ndirectory={_plain(place.site.data)}\n"
            # `up` starts them, in order. One that ends is started again, however often.
            "autostart=false\nautorestart=true\nstartsecs=1\nstartretries=1000000\n"
            "stopsignal=TERM\nstopwaitsecs=20\nstopasgroup=true\nkillasgroup=true\n"
            f"redirect_stderr=true\nstdout_logfile={_plain(place.log_dir / program.name)}.log\n"
            f"stdout_logfile_maxbytes={LOG_BYTES}\nstdout_logfile_backups=3\n"
        )
    return "\n".join(parts)


class Supervisor:
    """The supervisor of one installation."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def answers(self) -> bool:
        """Tell whether it runs."""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def begin(self, wanted: Iterable[Program]) -> None:
        """Write its settings and start it; return once it answers."""
        place = self.place
        for folder in (place.run_dir, place.log_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = place.run_dir / "supervisord.conf"
        settings.write_text(settings_text(place, wanted))
        subprocess.run([sys.executable, "-m", "supervisor.supervisord", "-c", settings], check=True)
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                raise LocalError(f"The supervisor did not start. Its log: {place.log_dir / 'supervisord.log'}.")
            time.sleep(AGAIN_SECONDS)

    def start(self, name: str) -> None:
        """Start a process unless it runs."""
        if not self.state(name).running:
            self._call("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Stop a process, and return once it is gone."""
        if self.state(name).running:
            self._call("stopProcess", name, True)

    def state(self, name: str) -> ProcessState:
        """Return how a process is."""
        found = self._call("getProcessInfo", name)
        running = found["statename"] in ("RUNNING", "STARTING", "BACKOFF")
        words = str(found["description"] or found["statename"].lower())
        failing = found["statename"] == "BACKOFF"
        return ProcessState(name=name, running=running, failing=failing, words=words, pid=int(found["pid"]))

    def end(self) -> None:
        """Stop the processes, last one first, and the supervisor; return once it is gone."""
        pid = self._call("getPID")
        for name in ("hub", "proxy", "service"):
            self.stop(name)
        self._call("shutdown")
        deadline = time.monotonic() + STOP_DEADLINE_SECONDS
        while _lives(pid):
            if time.monotonic() > deadline:
                raise LocalError(f"The supervisor (pid {pid}) does not end. Look at {self.place.log_dir}.")
            time.sleep(AGAIN_SECONDS)

    def _call(self, method: str, *arguments: Any) -> Any:
        """Call a method of supervisord; each call has a connection of its own, as a failed one spoils it."""
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.place.socket}")
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        finally:
            transport.close()


def _plain(value: object) -> str:
    """Return a value as supervisord's settings take it: a percent sign would begin a variable."""
    return str(value).replace("%", "%%")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
