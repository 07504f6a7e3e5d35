"""A live platform whose GPUs are pretended hardware, on a real Docker Engine that has none: its sampler can be killed too."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from engine_gate import EngineGate, Step
from live_platform import LivePlatform
from nvml_hardware import Hardware
from pretended_gpus import pretending

GPUS = 4
PEOPLE = ("ada", "bob", "grace", "heidi", "ivan")
#: What a notebook server does that says nothing: it listens where one would, and answers everybody.
TINY_SERVER = """
import socket
listener = socket.create_server(("", 8888))
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
"""
HUB = f"""
c = get_config()
c.GPUSpawner.cmd = ["python3", "-I", "-S", "-c", {TINY_SERVER!r}]
c.Spawner.poll_interval = 2
"""
SETTINGS = """
[auth]
admins = ["root-admin"]

[limits]
cpus = 2
memory = "4G"
stop_grace = "1s"
disk_reserve = "64M"

[[profiles]]
name = "tiny"
cpus = 0.2
memory = "64M"

[[profiles]]
name = "gpu"
cpus = 0.2
memory = "64M"
gpus = "1"
"""


class CampaignPlatform(LivePlatform):
    """Proxy, hub, job service and sampler; whatever speaks to the Engine passes a gate."""

    def __init__(self, folder: Path, library: Path, at_step: Callable[[Step, int], bool]) -> None:
        super().__init__(folder, SETTINGS)
        own = folder / "jupyterhub_config.d"
        own.mkdir()
        (own / "campaign.py").write_text(HUB)
        self.hardware = Hardware(library, folder)
        self.hardware.set(*(Hardware.gpu(number) for number in range(GPUS)))
        self.gate = EngineGate(at_step)
        self._environment = pretending(self.hardware, self.gate, folder)

    def start(self) -> None:
        """Start everything."""
        with patch.dict(os.environ, self._environment):
            super().start()

    def pid(self, program: str) -> int:
        """Return the process id of `service`, `hub`, `proxy` or `sampler`; 0 while it does not run."""
        return self._sampler() if program == "sampler" else super().pid(program)

    def send(self, program: str, number: int) -> bool:
        """Send it a signal, whatever it is doing; return False when it does not run."""
        pid = self.pid(program)
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, number)
                return True
        return False

    def end(self) -> None:
        """End everything, and leave nothing in the Engine."""
        try:
            super().end()
        finally:
            self.gate.close()

    def _sampler(self) -> int:
        service = super().pid("service")
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{service}/task").glob("*/children"):
                for child in children.read_text().split():
                    if b"himalia_gpus.sampler" in Path(f"/proc/{child}/cmdline").read_bytes():
                        return int(child)
        return 0
