"""What a process needs to see pretended GPUs and to ask a Docker Engine without any for them."""

from __future__ import annotations

import os
from pathlib import Path

from engine_gate import EngineGate
from nvml_hardware import Hardware


def uuid_of(number: int) -> str:
    """Return the UUID of a pretended GPU."""
    return str(Hardware.gpu(number)["uuid"])


def pretending(hardware: Hardware, gate: EngineGate, folder: Path) -> dict[str, str]:
    """Return the environment: the pretended driver, the way into containers, and an Engine that does not refuse."""
    hook = folder / "bin" / "nvidia-container-runtime-hook"  # its being there says that GPUs can be given
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    return {
        "DOCKER_HOST": gate.host,
        "PATH": f"{hook.parent}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": hardware.environment["LD_LIBRARY_PATH"],
        "FAKE_NVML_STATE": str(hardware.state),
    }
