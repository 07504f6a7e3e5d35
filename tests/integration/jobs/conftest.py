"""The Docker Engine of this machine, with a service of a test's own on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from local_bench import LocalBench

from himalia.ids import new_id
from himalia_spawner.platform.engine import belongings, remove_belongings


@pytest.fixture(scope="module")
def installation() -> Iterator[str]:
    """The id of an installation that leaves nothing behind."""
    installation = new_id()
    yield installation
    remove_belongings(installation, belongings(installation))


@pytest_asyncio.fixture
async def bench(installation: str, tmp_path: Path) -> AsyncIterator[LocalBench]:
    """The Docker Engine of this machine, with a service of epoch 1."""
    bench = LocalBench(installation, tmp_path)
    try:
        await bench.engine.open(1)
        yield bench
    finally:
        await bench.end()
