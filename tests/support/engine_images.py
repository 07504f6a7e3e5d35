"""The contract of all engines (`himalia_jobs.engines.base`) on images: what a name means now, whoever changed it.

A module that tests an engine has a fixture `bench` and a class of its own: `class TestImages(ImagesContract)`.
"""

from __future__ import annotations

import asyncio

import pytest
from engine_bench import eventually

from himalia.ids import new_id
from himalia_jobs.engines.base import EngineEventKind
from himalia_jobs.engines.errors import ImageMissing


@pytest.mark.asyncio
class ImagesContract:
    """Images come and go past the engine."""

    @pytest.mark.fault(31)
    async def test_an_image_is_what_its_name_means_now(self, bench):
        name = _new_name()
        assert await _is_missing(bench, name)

        await bench.change_image(name, there=True)
        found = [await bench.engine.resolve_image(name) for _ in range(2)]
        await bench.change_image(name, there=False)

        assert [image.image_id for image in found] == [bench.image_id] * 2
        await eventually(bench, lambda: _is_missing(bench, name))

    async def test_a_hint_tells_of_other_images(self, bench):
        hints, name = [], _new_name()

        async def listen() -> None:
            async for hint in bench.engine.watch():
                hints.append(hint.kind)

        async def was_hinted() -> bool:
            await bench.change_image(name, there=True)
            await bench.change_image(name, there=False)
            await asyncio.sleep(0)
            return EngineEventKind.IMAGES in hints

        ear = asyncio.create_task(listen())
        await eventually(bench, was_hinted)
        ear.cancel()
        await asyncio.gather(ear, return_exceptions=True)


def _new_name() -> str:
    return f"himalia/contract:{new_id()}"


async def _is_missing(bench, name) -> bool:
    try:
        await bench.engine.resolve_image(name)
    except ImageMissing:
        return True
    return False
