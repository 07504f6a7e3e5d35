"""A platform for one benchmark: an installation of its own, which leaves nothing behind."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

SUPPORT = Path(__file__).resolve().parents[2] / "tests" / "support"

if TYPE_CHECKING:
    from live_platform import LivePlatform


@contextmanager
def own_platform(settings: str) -> Iterator[LivePlatform]:
    """Start proxy, hub and job service as the tests do; `settings` are tables of himalia.toml."""
    sys.path.append(str(SUPPORT))
    from live_platform import LivePlatform

    with tempfile.TemporaryDirectory(prefix="himalia-bench-") as folder:
        platform = LivePlatform(Path(folder), f"[auth]\n{settings}")
        try:
            platform.start()
            yield platform
        finally:
            platform.end()
