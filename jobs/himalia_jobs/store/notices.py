"""What people are told, and what they answered."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from himalia.ids import new_id

from .clock import from_text, now_text, to_text
from .moves import note_notice
from .records import NoticeRecord
from .tables import notices

KEPT = timedelta(days=30)  #: how long one that is over is still known


def tell(
    db: Connection,
    *,
    user_id: str,
    kind: str,
    sentence: str,
    key: str = "",
    actions: dict[str, str] | None = None,
    lease_id: str | None = None,
    job_id: str | None = None,
    expires_at: datetime | None = None,
) -> NoticeRecord:
    """Tell somebody something, in Lab; `actions` are the buttons, as answer: words.

    What has a `key` is told once: telling it again gives the one that is there, answered or not.
    """
    known = find_key(db, key) if key else None
    if known is not None:
        return known
    notice_id = new_id()
    db.execute(
        insert(notices).values(
            id=notice_id,
            key=key or notice_id,
            user_id=user_id,
            kind=kind,
            sentence=sentence,
            actions=actions or {},
            lease_id=lease_id,
            job_id=job_id,
            created_at=now_text(),
            expires_at=expires_at and to_text(expires_at),
        )
    )
    note_notice(db, user_id)
    return get(db, notice_id)


def get(db: Connection, notice_id: str) -> NoticeRecord:
    """Return a notice that is known to exist."""
    return NoticeRecord.of(db.execute(select(notices).where(notices.c.id == notice_id)).mappings().one())


def find(db: Connection, notice_id: str, user_id: str) -> NoticeRecord | None:
    """Return a person's notice."""
    mine = (notices.c.id == notice_id) & (notices.c.user_id == user_id)
    row = db.execute(select(notices).where(mine)).mappings().first()
    return NoticeRecord.of(row) if row else None


def find_key(db: Connection, key: str) -> NoticeRecord | None:
    """Return the notice that was told under a key."""
    row = db.execute(select(notices).where(notices.c.key == key)).mappings().first()
    return NoticeRecord.of(row) if row else None


def open_of(db: Connection, user_id: str, now: datetime) -> list[NoticeRecord]:
    """Return what a person has been told and that is not over, the oldest first."""
    rows = db.execute(select(notices).where((notices.c.user_id == user_id) & _is_open(now)).order_by(notices.c.number))
    return [NoticeRecord.of(row) for row in rows.mappings()]


def standing_of_jobs(db: Connection, kind: str) -> list[NoticeRecord]:
    """Return what was told of jobs in a kind of notices, and was not taken back, whether it was answered or not."""
    theirs = (notices.c.kind == kind) & notices.c.job_id.is_not(None) & notices.c.withdrawn_at.is_(None)
    return [NoticeRecord.of(row) for row in db.execute(select(notices).where(theirs)).mappings()]


def is_open(notice: NoticeRecord, now: datetime) -> bool:
    """Tell whether a notice can still be answered."""
    over = notice.expires_at is not None and from_text(notice.expires_at) <= now
    return notice.answered_at is None and notice.withdrawn_at is None and not over


def write_answer(db: Connection, notice: NoticeRecord, answer: str) -> NoticeRecord:
    """Write what somebody answered."""
    db.execute(update(notices).where(notices.c.id == notice.id).values(answer=answer, answered_at=now_text()))
    note_notice(db, notice.user_id)
    return get(db, notice.id)


def withdraw(db: Connection, key: str) -> bool:
    """Take back what was told under a key: it is over; return False when it was answered, or taken back before."""
    stands = (notices.c.key == key) & notices.c.answered_at.is_(None) & notices.c.withdrawn_at.is_(None)
    row = db.execute(select(notices.c.user_id).where(stands)).first()
    if row is None:
        return False
    db.execute(update(notices).where(stands).values(withdrawn_at=now_text()))
    note_notice(db, row.user_id)
    return True


def withdraw_all(db: Connection, beginning: str) -> None:
    """Take back all that was told under keys that begin so."""
    for key in (
        db.execute(select(notices.c.key).where(notices.c.key.startswith(beginning, autoescape=True))).scalars().all()
    ):
        withdraw(db, key)


def withdraw_of_lease(db: Connection, lease_id: str, kinds: list[str], *, but: str = "") -> None:
    """Take back what was told of a lease in some kinds of notices, but for one: it has ended."""
    mine = (notices.c.lease_id == lease_id) & notices.c.kind.in_(kinds) & (notices.c.id != but)
    for key in db.execute(select(notices.c.key).where(mine)).scalars().all():
        withdraw(db, key)


def withdraw_of_job(db: Connection, job_id: str, kinds: list[str]) -> None:
    """Take back what was told of a job in some kinds of notices."""
    its = (notices.c.job_id == job_id) & notices.c.kind.in_(kinds)
    for key in db.execute(select(notices.c.key).where(its)).scalars().all():
        withdraw(db, key)


def trim(db: Connection, now: datetime) -> None:
    """Forget what has been over for long."""
    long_ago = to_text(now - KEPT)
    over = [notices.c.answered_at < long_ago, notices.c.withdrawn_at < long_ago, notices.c.expires_at < long_ago]
    db.execute(delete(notices).where(or_(*over)))


def _is_open(now: datetime) -> ColumnElement[bool]:
    fresh = or_(notices.c.expires_at.is_(None), notices.c.expires_at > to_text(now))
    return notices.c.answered_at.is_(None) & notices.c.withdrawn_at.is_(None) & fresh
