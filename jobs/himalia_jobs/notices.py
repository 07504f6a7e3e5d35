"""Notices: what people are told in Lab with buttons, and what becomes of their answers.

Whoever has something to tell writes it with `store.notices.tell`, in the transaction that makes it true, and says once,
with `Notices.answered_by`, what an answer does. That happens in the answer's own transaction: a service that is killed
has either both or neither.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from himalia.errors import Busy, FieldError, NotFound
from himalia.models import NoticeView

from .bootclock import BootClock
from .person import Person
from .store import Database, notices
from .store.clock import from_text, from_text_or_none
from .store.records import NoticeRecord

SEEN = "seen"  #: closes what only tells

#: Makes an answer true; raises HimaliaError where it cannot be.
Answerer = Callable[[Connection, NoticeRecord, str], None]


class Notices:
    """What people are told, and may answer."""

    def __init__(self, db: Database, clock: BootClock) -> None:
        self.db = db
        self.clock = clock
        self._answerers: dict[str, Answerer] = {}

    def answered_by(self, kind: str, answerer: Answerer) -> None:
        """Let answers to this kind of notice be made true by a function, in their transaction."""
        self._answerers[kind] = answerer

    async def open_of(self, person: Person) -> list[NoticeView]:
        """Return what a person is told now, the oldest first."""
        now = self.clock.wall()
        return [view(notice) for notice in await self.db.read(lambda db: notices.open_of(db, person.id, now))]

    async def answer(self, person: Person, notice_id: str, answer: str) -> NoticeView:
        """Take a person's answer; the same one again changes nothing, and another one comes too late."""
        return view(await self.db.write(lambda db: self._answer(db, person, notice_id, answer)))

    def _answer(self, db: Connection, person: Person, notice_id: str, answer: str) -> NoticeRecord:
        notice = notices.find(db, notice_id, person.id)
        if notice is None:
            raise NotFound(f"There is no notice {notice_id} of yours.")
        possible = notice.actions or {SEEN: "Seen"}
        if answer not in possible:
            raise FieldError("answer", f"{answer!r} is no answer to this. Possible: {', '.join(possible)}.")
        if notice.answer == answer:
            return notice
        if not notices.is_open(notice, self.clock.wall()):
            raise Busy("This was answered, or is over. Reload to see what holds now.")
        make_true = self._answerers.get(notice.kind)
        if make_true is not None:
            make_true(db, notice, answer)
        return notices.write_answer(db, notice, answer)


def view(notice: NoticeRecord) -> NoticeView:
    """Return a notice as the API shows it."""
    return NoticeView(
        id=notice.id,
        kind=notice.kind,
        sentence=notice.sentence,
        actions=notice.actions,
        lease=notice.lease_id,
        job=notice.job_id,
        at=from_text(notice.created_at),
        expires_at=from_text_or_none(notice.expires_at),
        answer=notice.answer,
    )
