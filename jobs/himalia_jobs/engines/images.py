"""Which images the Docker Engine has: looked up once, and again after an event that tells of a change."""

from __future__ import annotations

import math
import time

from docker.errors import APIError

from .base import Image
from .calls import DockerCalls, is_missing, said
from .errors import EngineError, ImageMissing
from .told import Lives

QUICK_SECONDS = 10.0
SEEN_SECONDS = 60.0  #: after an image was seen it is not looked for before a start: its making tells as well


class Images:
    """Remembers what was found for as long as the Engine's events are heard and none of them tells of another image."""

    def __init__(self, docker: DockerCalls, lives: Lives) -> None:
        self._docker = docker
        self._lives = lives
        self._found: dict[str, tuple[int, Image]] = {}  #: by what was asked for, with the number of the change before
        self.seen: dict[str, float] = {}  #: when each was seen last, by its id

    async def resolve(self, reference: str) -> Image:
        """Return the id of an image; raise ImageMissing."""
        number, known = self._found.get(reference, (0, None))
        now = self._lives.images
        if known is not None and number == now and self._lives.complete:
            return known
        try:
            found = await self._docker("inspect_image", reference, timeout=QUICK_SECONDS)
        except APIError as error:
            if is_missing(error):
                raise ImageMissing(f"the image {reference} is not on this machine") from error
            raise EngineError(said(error)) from error
        image = Image(reference=reference, image_id=str(found["Id"]), size_bytes=int(found.get("Size") or 0))
        self.seen[image.image_id] = time.monotonic()
        self._found[reference] = (now, image)
        return image

    async def see(self, image_id: str) -> None:
        """Raise ImageMissing for an image that is not there, unless it was a moment ago."""
        if time.monotonic() - self.seen.get(image_id, -math.inf) > SEEN_SECONDS:
            await self.resolve(image_id)
