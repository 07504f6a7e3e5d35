"""`events`: every change of one's jobs and of the ledger, as server-sent events that can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import RowMapping
from tornado.iostream import StreamClosedError

from himalia.errors import FieldError
from himalia.models import Event, EventKind

from ..store import events, jobs
from ..store.clock import from_text, now_text
from ..views import summary
from .base import HimaliaHandler

KEEP_ALIVE_SECONDS = 15.0
BATCH = 50  #: events that are held for somebody at once


class EventsHandler(HimaliaHandler):
    """`GET events`, resumable by `Last-Event-ID`."""

    async def get(self) -> None:
        """Stream events until the asker goes."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        last = self.request.headers.get("Last-Event-ID", "") or self.argument("after")
        if last and not (last.isascii() and last.isdigit() and len(last) < 20):
            raise FieldError("Last-Event-ID", "It must be the `seq` of an event.")
        try:
            with self.service.changes.listening():
                await self._stream(int(last) if last else None)
        except StreamClosedError:
            return

    async def _stream(self, last: int | None) -> None:
        first, newest = await self.service.db.read(lambda db: (events.first_seq(db), events.last_seq(db)))
        if last is None or last > newest or last < first - 1:
            last = newest
            await self._send([Event(seq=newest, at=from_text(now_text()), kind=EventKind.RESYNC)])
        line = self.service.line_number
        while await self.may_go_on():
            seen = self.service.changes.number
            found = await self.service.db.read(
                partial(events.after, seq=last, owner_ids=self.person.owner_ids, limit=BATCH)
            )
            if found:
                last = int(found[-1]["seq"])
                await self._send(await self._events([row for row in found if self._concerns(row)]))
                await self.service.changes.turn()
                continue
            if self.service.line_number != line:
                # Somebody else's start or cancel moves all behind them: no event of theirs, and none in the database.
                line = self.service.line_number
                await self._send([Event(seq=last, at=from_text(now_text()), kind=EventKind.LEDGER)])
                continue
            if not await self.service.changes.wait(KEEP_ALIVE_SECONDS, seen):
                self.write(": keep-alive\n\n")
                await self.taken()
            await self.service.changes.turn()

    def _concerns(self, row: RowMapping) -> bool:
        """Tell whether an event is for who asks: who sees everybody's jobs is not told everybody's notices."""
        return bool(row["kind"] != EventKind.NOTICE or row["owner_id"] == self.person.id)

    async def _events(self, found: Sequence[RowMapping]) -> list[Event]:
        """Return the events with today's summaries; of several about one job only the last carries it."""
        newest = {_about(row): row["seq"] for row in found}
        kept = [row for row in found if newest[_about(row)] == row["seq"]]
        ids = [row["job_id"] for row in kept if row["kind"] == EventKind.JOB]
        records = await self.service.db.read(lambda db: {job_id: jobs.find(db, job_id) for job_id in ids})
        line, person = self.service.line, self.person
        return [
            Event(
                seq=row["seq"],
                at=from_text(row["at"]),
                kind=EventKind(row["kind"]),
                job_id=row["job_id"],
                job=summary(record, line, person) if (record := records.get(row["job_id"])) else None,
                detail=row["detail"] if row["kind"] == EventKind.INTERVENTION else "",
            )
            for row in kept
        ]

    async def _send(self, batch: Sequence[Event]) -> None:
        self.write("".join(f"id: {one.seq}\nevent: {one.kind}\ndata: {one.model_dump_json()}\n\n" for one in batch))
        del batch  # who is slow to take it holds its text alone
        await self.taken()


def _about(row: RowMapping) -> str:
    """Return what an event is about: of several about the same only the last is told. Each intervention is told."""
    about = row["seq"] if row["kind"] == EventKind.INTERVENTION else row["job_id"] or row["kind"]
    return str(about)
