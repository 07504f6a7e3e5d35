"""What a person is told in Lab about their places in line: that it is their turn, and that it has passed."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from himalia.errors import Busy
from himalia.models import Outcome
from himalia.models.waiting import OUTCOME_SENTENCES
from himalia.moments import stamp

from .store import notices, wishes
from .store.records import LeaseRecord, NoticeRecord

READY, OVER = "gpu_ready", "wait_over"
RESTART, LATER, DROP = "restart", "later", "drop"
ACTIONS = {RESTART: "Restart now", LATER: "Later", DROP: "No longer needed"}
KEPT = "{} free for your {}: restart it to get {}. Running kernels end. Kept for you until {}."
TOLD_FOR = timedelta(days=1)  #: that a wait has ended
NOT_NEWS = frozenset({Outcome.CANCELLED, Outcome.REPLACED, Outcome.GONE})


def gpus_are_kept(db: Connection, wish: LeaseRecord, until: datetime) -> None:
    """Tell that a restart gives the GPUs, and until when."""
    notices.tell(
        db,
        user_id=wish.user_id,
        kind=READY,
        key=_key(wish.id),
        sentence=kept_sentence(wish, until),
        actions=ACTIONS,
        lease_id=wish.id,
        expires_at=until,
    )


def kept_sentence(wish: LeaseRecord, until: datetime) -> str:
    """Return the sentence for a server whose GPUs are kept for it."""
    one = wish.gpus.rpartition(":")[2] == "1"
    server = f"server {wish.holder}" if wish.holder else "server"
    return KEPT.format("A GPU is" if one else "GPUs are", server, "it" if one else "them", stamp(until))


def is_told(db: Connection, wait_id: str) -> bool:
    """Tell whether the person has been told that it is their turn."""
    return notices.find_key(db, _key(wait_id)) is not None


def nothing_more(db: Connection, wait_id: str) -> None:
    """Take back what was told of a turn that is taken, or over."""
    notices.withdraw(db, _key(wait_id))


def is_over(db: Connection, wish: LeaseRecord, outcome: Outcome, detail: str, now: datetime) -> None:
    """Take back that it is their turn, and tell how the wait has ended, unless its person ended it."""
    nothing_more(db, wish.id)
    if outcome in NOT_NEWS:
        return
    server = f"server {wish.holder}" if wish.holder else "server"
    notices.tell(
        db,
        user_id=wish.user_id,
        kind=OVER,
        key=f"{OVER} {wish.id}",
        sentence=f"Your {server} waits no more for {wish.profile}. {OUTCOME_SENTENCES[outcome]} {detail}".strip(),
        lease_id=wish.id,
        expires_at=now + TOLD_FOR,
    )


def answered(db: Connection, notice: NoticeRecord, answer: str) -> None:
    """Make an answer true: restart, leave the line, or nothing: it stays kept until the time that was told."""
    wait_id = notice.lease_id or ""
    if answer == DROP:
        wishes.end(db, wait_id, Outcome.CANCELLED)
    elif answer == RESTART and not wishes.change(db, wait_id, restart_wanted=True):
        raise Busy("It is not kept for you any more. Ask again on the hub's page.")


def _key(wait_id: str) -> str:
    return f"{READY} {wait_id}"
