"""FakeEngine: the engine contract in memory, for tests of everything that uses an engine.

    machine = FakeMachine()
    machine.programs[("python3", "train.py")] = Program(output=b"done", artifacts={"model.txt": b"42"})
    engine = FakeEngine(machine)

The machine outlives the engine: a second `FakeEngine` on it is the service after a crash. `Faults` decides, from a seed or
from a plan, which messages between the two are lost, delayed or doubled.
"""

from __future__ import annotations

from .containers import FakeContainer, FakeEntry, Program
from .engine import FakeEngine
from .faults import Fault, Faults
from .logs import FakeLogs
from .machine import BEGINNING, FakeMachine

__all__ = [
    "BEGINNING",
    "FakeContainer",
    "FakeEngine",
    "FakeEntry",
    "FakeLogs",
    "FakeMachine",
    "Fault",
    "Faults",
    "Program",
]
