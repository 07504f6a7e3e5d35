"""The images that people may choose: looked for when the service starts, so that one that is missing is told before somebody wants it."""

from __future__ import annotations

import asyncio
import logging

from himalia.site import Site

from .engines.base import Engine
from .engines.errors import EngineError, ImageMissing

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0


class Offered:
    """Knows which of them are missing. What was found needs no look when the first job or notebook wants it."""

    def __init__(self, engine: Engine, site: Site) -> None:
        self._engine = engine
        self._references = references(site)
        self._wanted = asyncio.Event()
        self.missing: tuple[str, ...] = ()

    def changed(self) -> None:
        """Look again soon: the machine has other images."""
        self._wanted.set()

    async def run(self) -> None:
        """Look now, after each change, and every minute."""
        while True:
            self._wanted.clear()
            try:
                await self.look()
            except EngineError as error:
                log.debug("the images cannot be looked for: %s", error)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    async def look(self) -> None:
        """Look for all of them; what is missing, and what is there again, is logged once."""
        before, missing = self.missing, []
        for reference in self._references:
            try:
                await self._engine.resolve_image(reference)
            except ImageMissing:
                missing.append(reference)
        self.missing = tuple(missing)
        for reference in missing:
            if reference not in before:
                log.warning("%s", _sentence(reference))
        for reference in before:
            if reference not in missing:
                log.info("the image %s is there again", reference)

    def complaints(self) -> list[str]:
        """Return a sentence for each that is missing."""
        return [_sentence(reference) for reference in self.missing]


def references(site: Site) -> tuple[str, ...]:
    """Return the images that people may choose, each once."""
    named = [image.reference for image in site.images]
    named += [site.image_reference(profile.image) or profile.image for profile in site.profiles if profile.image]
    return tuple(dict.fromkeys(named))


def _sentence(reference: str) -> str:
    return (
        f"The image {reference} is not on this machine: nothing that wants it can start. Build ours with `make images`, "
        "fetch others with `docker pull`, or change [[images]]."
    )
