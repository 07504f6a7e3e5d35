"""The images that people may choose are looked for at the start, and one that is missing is told before somebody wants it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from himalia.site import Site
from himalia_jobs.engines.fake import FakeEngine, FakeMachine
from himalia_jobs.offered import Offered, references

pytestmark = pytest.mark.asyncio

SERVER, OURS, OTHER = "himalia/server:dev", "lab/ours:1", "lab/other:2"
SITE = Site.model_validate(
    {
        "images": [{"name": "server", "image": SERVER}, {"name": "ours", "image": OURS}],
        "profiles": [
            {"name": "small", "cpus": 1, "memory": "1G"},
            {"name": "named", "cpus": 1, "memory": "1G", "image": "ours"},
        ],
    }
)


class EngineThatCounts(FakeEngine):
    """Counts how often it is asked for images."""

    looks = 0

    async def resolve_image(self, reference, node_id="local"):
        """Count, and answer."""
        self.looks += 1
        return await super().resolve_image(reference)


@pytest.fixture
def machine():
    return FakeMachine(images={SERVER: "sha256:1"})


@pytest.fixture
def engine(machine):
    return EngineThatCounts(machine)


async def until(condition) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_each_image_that_can_be_chosen_is_named_once():
    assert references(SITE) == (SERVER, OURS)


async def test_one_that_is_missing_is_told_with_what_to_do_and_logged_once(engine, caplog):
    offered = Offered(engine, SITE)

    with caplog.at_level(logging.INFO):
        await offered.look()
        await offered.look()

    (told,) = offered.complaints()
    assert OURS in told
    assert "docker pull" in told
    assert [record.message for record in caplog.records].count(told) == 1


async def test_one_that_was_brought_here_is_no_complaint_any_more_as_soon_as_a_hint_comes(engine, machine):
    offered = Offered(engine, SITE)
    running = asyncio.create_task(offered.run())
    await until(lambda: offered.missing == (OURS,))

    machine.change_image(OURS, "sha256:2")
    offered.changed()
    await until(lambda: not offered.missing)

    running.cancel()
    assert offered.complaints() == []


async def test_an_engine_that_is_away_says_nothing_of_images(engine, machine):
    machine.reachable = False
    offered = Offered(engine, SITE)
    running = asyncio.create_task(offered.run())

    await until(lambda: engine.looks)
    assert offered.complaints() == []

    machine.reachable = True
    offered.changed()
    await until(lambda: offered.missing == (OURS,))
    running.cancel()
