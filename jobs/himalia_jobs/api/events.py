"""`events`: every change of one's jobs and of the ledger, as server-sent events that can be resumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tornado.iostream import StreamClosedError

from himalia.errors import FieldError
from himalia.models import Event, EventKind

from ..news import Change
from ..store import events
from ..store.clock import from_text, now_text
from ..store.records import JobRecord
from ..views import summary, told_to
from .base import HimaliaHandler

KEEP_ALIVE_SECONDS = 15.0
BATCH = 50  #: events that are gathered for somebody at once
PIECE_BYTES = 16 * 1024  #: about so much is held for who is slow to take it


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
            self.hold_little()
            await self._stream(int(last) if last else None)
        except StreamClosedError:
            return

    async def _stream(self, last: int | None) -> None:
        first, newest = await self.service.db.read(lambda db: (events.first_seq(db), events.last_seq(db)))
        if last is None or last > newest or last < first - 1:
            last = newest
            await self._send([_written(Event(seq=newest, at=from_text(now_text()), kind=EventKind.RESYNC))])
        line, looked = self.service.line_number, last
        while await self.may_go_on():
            seen = self.service.changes.number
            found, looked = await self.service.news.after(looked, self.person.owner_ids, self._concerns, BATCH)
            if found:
                last = int(found[-1]["seq"])
                await self._send(await self._told(found))
                continue
            if self.service.line_number != line:
                # Somebody else's start or cancel moves all behind them: no event of theirs, and none in the database.
                line = self.service.line_number
                await self._send([_written(Event(seq=last, at=from_text(now_text()), kind=EventKind.LEDGER))])
                continue
            if not await self.service.changes.wait(KEEP_ALIVE_SECONDS, seen, in_crowd=True):
                self.write(": keep-alive\n\n")
                await self.taken()

    def _concerns(self, change: Change) -> bool:
        """Tell whether an event is for who asks: who sees everybody's jobs is not told everybody's notices."""
        return bool(change["kind"] != EventKind.NOTICE or change["owner_id"] == self.person.id)

    async def _told(self, found: Sequence[Change]) -> list[str]:
        """Return the events as they are sent, with today's summaries; of several about one job only the last carries it."""
        newest = {_about(one): one["seq"] for one in found}
        kept = [one for one in found if newest[_about(one)] == one["seq"]]
        ids = [one["job_id"] for one in kept if one["kind"] == EventKind.JOB]
        records = await self.service.news.jobs(ids) if ids else {}
        return [self._text(one, records.get(one["job_id"])) for one in kept]

    def _text(self, one: Change, job: JobRecord | None) -> str:
        """Return an event as it is sent: one text for all who are told the same of it."""
        told = told_to(job, self.service.line, self.person) if job else None

        def write() -> str:
            return _written(
                Event(
                    seq=one["seq"],
                    at=from_text(one["at"]),
                    kind=EventKind(one["kind"]),
                    job_id=one["job_id"],
                    job=summary(job, told) if job else None,
                    detail=one["detail"] if one["kind"] == EventKind.INTERVENTION else "",
                )
            )

        return self.service.news.text((one["seq"], told), write)

    async def _send(self, batch: Iterable[str]) -> None:
        """Send events in pieces, each once the one before it is taken."""
        piece, size = [], 0
        for one in batch:
            piece.append(one)
            size += len(one)
            if size >= PIECE_BYTES:
                self.write("".join(piece))
                piece, size = [], 0
                await self.taken()
        if piece:
            self.write("".join(piece))
            await self.taken()


def _written(event: Event) -> str:
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"


def _about(one: Change) -> str:
    """Return what an event is about: of several about the same only the last is told. Each intervention is told."""
    about = one["seq"] if one["kind"] == EventKind.INTERVENTION else one["job_id"] or one["kind"]
    return str(about)
