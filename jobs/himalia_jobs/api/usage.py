"""`usage`: GPU hours, as JSON and as a table for spreadsheets."""

from __future__ import annotations

import csv
import io
import re

from himalia.errors import FieldError
from himalia.models import UsageBy, UsageRow, UsageView

from .base import HimaliaHandler

MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
MOST_MONTHS = 36
FORMULA = ("=", "+", "-", "@", "\t", "\r")  #: what spreadsheets run
COLUMNS = tuple(UsageRow.model_fields)


class UsageBase(HimaliaHandler):
    """Reads what is asked for: `by=user|team|project`, `from=` and `to=` months; this month where none is named."""

    async def usage(self) -> UsageView:
        """Return what is asked for."""
        by = self.argument("by", UsageBy.USER)
        if by not in set(UsageBy):
            raise FieldError("by", f"Write by= with one of: {', '.join(UsageBy)}.")
        last = self._month("to") or f"{self.service.clock.wall():%Y-%m}"
        first = self._month("from") or last
        if first > last:
            raise FieldError("from", f"{first} is later than {last}.")
        if (int(last[:4]) - int(first[:4])) * 12 + int(last[5:]) - int(first[5:]) >= MOST_MONTHS:
            raise FieldError("from", f"Ask for {MOST_MONTHS} months at most.")
        return await self.service.accounting.usage(self.person, UsageBy(by), first, last)

    def _month(self, name: str) -> str:
        month = self.argument(name)
        if month and not MONTH.fullmatch(month):
            raise FieldError(name, f"{month[:20]!r} is no month. Write it like 2030-01.")
        return month


class UsageHandler(UsageBase):
    """`GET usage`."""

    async def get(self) -> None:
        """Show the GPU hours of the asker and their teams; everybody's to administrators."""
        self.answer(await self.usage())


class UsageTableHandler(UsageBase):
    """`GET usage.csv`."""

    async def get(self) -> None:
        """Send the same rows as a table."""
        view = await self.usage()
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        name = f"gpu-hours-{view.by}-{view.since:%Y-%m}.csv"
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.finish(as_table(view.rows))


def as_table(rows: tuple[UsageRow, ...]) -> str:
    """Return rows as CSV; what a spreadsheet would run as a formula is text."""
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(COLUMNS)
    for row in rows:
        lines.writerow(_cell(getattr(row, column)) for column in COLUMNS)
    return written.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
