"""A platform for one benchmark: an installation of its own, which leaves nothing behind."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

TESTS = Path(__file__).resolve().parents[2] / "tests"

if TYPE_CHECKING:
    from live_platform import LivePlatform
    from own_service import OwnService

    import himalia


def places(count: int, *, cpus: float, memory_mib: int) -> str:
    """Return the settings of an installation in which so many jobs run at once, all of one profile, and no more."""
    return f"""
[limits]
cpus = {count * cpus:g}
memory = "{count * memory_mib}M"
[[profiles]]
name = "small"
cpus = {cpus:g}
memory = "{memory_mib}M"
"""


@contextmanager
def own_platform(settings: str) -> Iterator[LivePlatform]:
    """Start proxy, hub and job service as the tests do; `settings` are tables of himalia.toml."""
    sys.path.append(str(TESTS / "support"))
    from live_platform import LivePlatform

    with tempfile.TemporaryDirectory(prefix="himalia-bench-") as folder:
        platform = LivePlatform(Path(folder), f"[auth]\n{settings}")
        try:
            platform.start()
            yield platform
        finally:
            platform.end()


@contextmanager
def own_service(settings: str) -> Iterator[OwnService]:
    """Start a job service alone, with a hub that is a fake; it can be stopped, killed and started again."""
    sys.path += [str(TESTS / "support"), str(TESTS / "fakes")]
    from own_service import OwnService

    with tempfile.TemporaryDirectory(prefix="himalia-bench-") as folder:
        service = OwnService(Path(folder), settings=settings)
        try:
            service.start()
            yield service
        finally:
            service.end()


@contextmanager
def someone(platform: LivePlatform, name: str = "ada") -> Iterator[tuple[himalia.Client, str]]:
    """Yield the client of somebody who is logged in at a platform, and a directory to submit."""
    with tempfile.TemporaryDirectory() as folder, closing(platform.client(name)) as client:
        (Path(folder) / "train.py").write_text("print('hello')\n")
        yield client, folder


@contextmanager
def one_person(settings: str) -> Iterator[tuple[himalia.Client, str]]:
    """Start such a platform for one person."""
    with own_platform(settings) as platform, someone(platform) as found:
        yield found
