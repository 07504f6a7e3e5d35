"""What holders answer, made true in the answer's own transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from himalia.errors import Busy
from himalia.site import Site

from ..notices import Notices
from ..runner import write_cancel
from ..store import leases, notices, watched
from ..store.records import LeaseRecord, NoticeRecord
from ..store.watched import WatchedRecord
from . import told
from .asking import answer_askers
from .keeper import GivingBack
from .words import End, Then
from .writing import ASKED, IDLE, JOB_IDLE, OF_LEASES

ENDS: dict[str, Then] = {told.STOP: "stop", told.RESTART: "restart"}


class Answers:
    """Takes what people answer to what they are told of their servers and jobs."""

    def __init__(self, site: Site, giving_back: GivingBack) -> None:
        self.site = site
        self.giving_back = giving_back

    def of(self, board: Notices) -> None:
        """Let answers to these notices come here."""
        board.answered_by(IDLE, self._idle)
        board.answered_by(JOB_IDLE, self._idle)
        board.answered_by(ASKED, self._asked)

    def _idle(self, db: Connection, notice: NoticeRecord, answer: str) -> None:
        record, lease = _of(db, notice)
        if answer != told.KEEP:
            self._end(db, notice, record, lease, answer)
        elif notice.kind == IDLE or self.site.idle.jobs_then == "end":
            use = self.giving_back.uses.get(record.lease_id)
            idle = use.idle_seconds if use is not None else record.idle_seconds
            until = idle + self.site.idle.keep_for
            watched.change(db, record.lease_id, warned_idle=None, kept=record.kept + 1, kept_until=until)

    def _asked(self, db: Connection, notice: NoticeRecord, answer: str) -> None:
        if answer == told.KEEP:
            answer_askers(db, notice, released=False)
            return
        record, lease = _of(db, notice)
        askers = answer_askers(db, notice, released=True)
        self._end(db, notice, record, lease, answer, asker=" and ".join(askers))

    def _end(
        self,
        db: Connection,
        notice: NoticeRecord,
        record: WatchedRecord,
        lease: LeaseRecord,
        answer: str,
        asker: str = "",
    ) -> None:
        if notice.job_id is not None:
            write_cancel(db, notice.job_id, lease.user)
            return
        now: datetime = self.giving_back.clock.wall()
        then = ENDS[answer]
        sentence = told.server_end(lease.holder, End.RELEASED, then, now, seconds=0, asker=asker)
        watched.decide_end(db, record.lease_id, reason=End.RELEASED, then=then, sentence=sentence)
        notices.withdraw_of_lease(db, record.lease_id, OF_LEASES, but=notice.id)


def _of(db: Connection, notice: NoticeRecord) -> tuple[WatchedRecord, LeaseRecord]:
    """Return the lease that a notice is about; raise Busy where it is over or about to be."""
    record = watched.find(db, notice.lease_id or "")
    lease = leases.find(db, notice.lease_id or "")
    if record is None or lease is None or record.end_reason is not None:
        raise Busy("It has ended, or is being ended.")
    return record, lease
