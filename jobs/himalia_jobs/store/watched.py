"""How long the GPUs of leases have been idle, what was told of it, and who asked for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from himalia.ids import new_id
from himalia.states import LeaseState

from .clock import now_text
from .records import Record
from .tables import asks, leases, watched


@dataclass(frozen=True, kw_only=True)
class WatchedRecord(Record):
    """A lease that is watched."""

    lease_id: str
    user_id: str
    idle_seconds: float
    clock: float
    boot_id: str
    stamp: str
    first_clock: float
    warned_idle: float | None
    warned_age: float | None
    warnings: int
    kept: int
    kept_until: float
    end_reason: str | None
    end_then: str | None
    end_sentence: str
    ended_at: str | None


@dataclass(frozen=True, kw_only=True)
class AskRecord(Record):
    """Somebody asked a holder to give a GPU back."""

    id: str
    lease_id: str
    asker_id: str
    asker: str
    asked_at: str
    gpu: str
    holder: str
    answer: str | None


def everything(db: Connection) -> dict[str, WatchedRecord]:
    """Return all that is watched, by lease."""
    rows = db.execute(select(watched)).mappings()
    return {row["lease_id"]: WatchedRecord.of(row) for row in rows}


def find(db: Connection, lease_id: str) -> WatchedRecord | None:
    """Return what is known of a lease."""
    row = db.execute(select(watched).where(watched.c.lease_id == lease_id)).mappings().first()
    return WatchedRecord.of(row) if row else None


def add(db: Connection, **values: Any) -> None:
    """Begin to watch a lease."""
    db.execute(insert(watched).values(**values))


def change(db: Connection, lease_id: str, **values: Any) -> None:
    """Change what is known of a lease."""
    db.execute(update(watched).where(watched.c.lease_id == lease_id).values(**values))


def decide_end(db: Connection, lease_id: str, *, reason: str, then: str, sentence: str) -> bool:
    """Write that a server is to be ended; return False when that was decided before."""
    open_ = (watched.c.lease_id == lease_id) & watched.c.end_reason.is_(None)
    written = db.execute(
        update(watched).where(open_).values(end_reason=reason, end_then=then, end_sentence=sentence)
    ).rowcount
    return bool(written)


def forget(db: Connection, lease_ids: Iterable[str]) -> None:
    """Watch these no longer."""
    gone = list(lease_ids)
    db.execute(delete(watched).where(watched.c.lease_id.in_(gone)))
    db.execute(delete(asks).where(asks.c.lease_id.in_(gone)))


def over(db: Connection) -> list[str]:
    """Return the watched leases that went back."""
    live = select(leases.c.id).where(leases.c.state != str(LeaseState.RELEASED))
    return list(db.execute(select(watched.c.lease_id).where(watched.c.lease_id.not_in(live))).scalars())


def last_end(db: Connection, user_id: str, server: str) -> str:
    """Return why the last start of a server was ended by us, in words; nothing where it ended otherwise."""
    last = (
        select(leases.c.id)
        .where((leases.c.user_id == user_id) & (leases.c.kind == "server") & (leases.c.holder == server))
        .order_by(leases.c.number.desc())
        .limit(1)
    )
    ended = watched.c.lease_id.in_(last) & watched.c.ended_at.is_not(None)
    return str(db.execute(select(watched.c.end_sentence).where(ended)).scalar() or "")


def add_ask(db: Connection, lease_id: str, asker_id: str, asker: str, gpu: str, holder: str) -> AskRecord:
    """Write that somebody asks a holder, whose name is put in words that the asker may read."""
    ask_id = new_id()
    who = {"asker_id": asker_id, "asker": asker, "holder": holder}
    db.execute(insert(asks).values(id=ask_id, lease_id=lease_id, asked_at=now_text(), gpu=gpu, **who))
    return AskRecord.of(db.execute(select(asks).where(asks.c.id == ask_id)).mappings().one())


def asks_of(db: Connection, lease_id: str) -> list[AskRecord]:
    """Return who asked for what a lease holds, the first first."""
    rows = db.execute(select(asks).where(asks.c.lease_id == lease_id).order_by(asks.c.asked_at)).mappings()
    return [AskRecord.of(row) for row in rows]


def answer_asks(db: Connection, lease_id: str, answer: str) -> list[AskRecord]:
    """Write the holder's answer to all who ask and have none, and return them."""
    waiting = [ask for ask in asks_of(db, lease_id) if ask.answer is None]
    db.execute(update(asks).where(asks.c.id.in_([ask.id for ask in waiting])).values(answer=answer))
    return waiting
