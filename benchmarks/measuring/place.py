"""A platform for one benchmark: an installation of its own, which leaves nothing behind."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

SUPPORT = Path(__file__).resolve().parents[2] / "tests" / "support"

if TYPE_CHECKING:
    from live_platform import LivePlatform

    import himalia


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


@contextmanager
def one_person(settings: str) -> Iterator[tuple[himalia.Client, str]]:
    """Start such a platform; yield the client of somebody who is logged in there, and a directory to submit."""
    with own_platform(settings) as platform, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text("print('hello')\n")
        with closing(platform.client("ada")) as client:
            yield client, folder
