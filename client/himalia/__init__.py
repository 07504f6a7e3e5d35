"""Himalia: notebooks and batch jobs on the GPUs that a team already owns.

import himalia
job = himalia.submit(".", command=["python", "train.py"], profile="small")
job.wait()
job.download(to="out")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import VERSION as __version__

if TYPE_CHECKING:
    from .client import Client
    from .errors import HimaliaError
    from .sdk import Job, job, jobs, profiles, submit

#: Loaded when they are first used: `import himalia` alone takes a few milliseconds.
_HOMES = {
    "Client": "client",
    "HimaliaError": "errors",
    "Job": "sdk",
    "job": "sdk",
    "jobs": "sdk",
    "profiles": "sdk",
    "submit": "sdk",
}

__all__ = ["Client", "HimaliaError", "Job", "__version__", "job", "jobs", "profiles", "submit"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'himalia' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
