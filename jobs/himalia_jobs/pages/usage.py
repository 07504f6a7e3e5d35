"""The page of GPU hours."""

from __future__ import annotations

from datetime import timedelta

from himalia.models import UsageBy

from ..api.usage import UsageBase
from .base import PageHandler

TITLES = {UsageBy.USER: "Person", UsageBy.TEAM: "Team", UsageBy.PROJECT: "Project"}


class UsagePage(PageHandler, UsageBase):
    """`GET /services/jobs/usage`."""

    async def get(self) -> None:
        """Show GPU hours by month."""
        view = await self.usage()
        most = max((row.gpu_hours for row in view.rows), default=0.0)
        last = f"{view.until - timedelta(microseconds=1):%Y-%m}"
        self.page("usage.html", view=view, titles=TITLES, most=most, last=last, here="usage")
