"""What the Docker Engine's events tell of ends and images is what it says when it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from engine_images import ImagesContract
from engine_truth import TruthContract
from local_bench import LocalBench

# The Docker SDK leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest_asyncio.fixture
async def followed(bench: LocalBench) -> AsyncIterator[None]:
    """Let the engine hear what the Docker Engine tells."""

    async def follow() -> None:
        async for _ in bench.engine.watch():
            pass

    listening = asyncio.create_task(follow())
    async with asyncio.timeout(60):
        while not bench.engine._events.lives.complete:
            await bench.let_pass()
    yield
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.asyncio
@pytest.mark.usefixtures("followed")
class TestAsTold:
    """What is known by the Docker Engine's events alone keeps the contract as well."""

    test_code_signal_and_memory_are_told_apart = TruthContract.test_code_signal_and_memory_are_told_apart
    test_the_end_is_known_after_the_container_is_gone = TruthContract.test_the_end_is_known_after_the_container_is_gone
    test_an_image_is_what_its_name_means_now = ImagesContract.test_an_image_is_what_its_name_means_now
