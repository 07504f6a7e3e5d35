"""All checks that apply here; other parts add theirs by the entry point group `himalia.doctor`."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ..settings import platform_config
from .check import Check, Outcome
from .connection import connection_checks, is_connected

GROUP = "himalia.doctor"


def all_checks(config: Path | None = None) -> list[Check]:
    """Return the checks of the platform's machine, if this is one, and those of the connection.

    An entry point is a function of the operator's file (None: there is none yet) that returns checks.
    """
    file = config or platform_config()
    machine = [] if file is None and is_connected() else _machine_checks(file)
    return machine + connection_checks(machine=bool(machine))


def _machine_checks(file: Path | None) -> list[Check]:
    found: list[Check] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            checks = entry.load()
        except ImportError as error:  # a laptop has the client alone
            found += [_not_installed(entry, error)] if file is not None else []
            continue
        found += checks(file)
    return found


def _not_installed(entry: EntryPoint, error: ImportError) -> Check:
    outcome = Outcome(
        ok=False,
        message=f"This is a platform's machine, but the part `{entry.name}` cannot be loaded: {error}.",
        advice="Install it: pip install -U 'himalia[hub,jobs]'.",
    )
    return Check(name=entry.name, run=lambda: outcome)
