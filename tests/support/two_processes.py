"""How two processes share the tests: a module stays in one, and so do all that use the platform of the whole run."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[2]
THERE = ("tests/browser/", "tests/integration/client/")
ASKED_FOR = re.compile(r"^(?:async )?def \w+\([^)]*\blive[,:)]", re.MULTILINE)


class Shared(LoadScopeScheduling):
    """Gives a process one group after the other, the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.partition("::")[0])


@cache
def group_of(module: str) -> str:
    """Return what a module's tests stay together with; a wrong guess costs a second platform, and nothing else."""
    if module.startswith("tests/unit/"):
        return module
    uses_it = module.startswith(THERE) or ASKED_FOR.search((ROOT / module).read_text())
    return "platform" if uses_it else module
