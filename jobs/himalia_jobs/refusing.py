"""A service that must not work: it listens, answers 503 with the sentence and what to do, and touches nothing."""

from __future__ import annotations

import asyncio

from himalia.errors import HimaliaError

from .settings import Settings


class Refusing:
    """Stands in the service's place for the handlers."""

    def __init__(self, settings: Settings, refusal: HimaliaError) -> None:
        self.settings = settings
        self.refusal = refusal

    @property
    def installation(self) -> str:
        """The id of the installation."""
        return self.settings.installation

    def must_work(self) -> None:
        """Raise the sentence that says why the service does not work."""
        raise self.refusal

    async def complaints(self) -> list[str]:
        """Return what is wrong."""
        return [self.refusal.message]

    async def run(self) -> None:
        """Do nothing, until cancelled."""
        await asyncio.Event().wait()
