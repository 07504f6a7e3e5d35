"""Leases of servers that wait in line by themselves: no hub and no browser has to stand behind them.

Such a lease is *lasting*. Each start of its server finds it; one that is its turn is taken over, one that still waits
keeps its place. Beside it, its server may run without GPUs: then it lacks the GPUs alone, and gets CPUs and memory from
that one's lease (`leases.release`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from himalia.errors import Busy
from himalia.models import Outcome
from himalia.states import LeaseState

from . import leases
from .moves import note_ledger
from .records import LeaseRecord
from .tables import leases as table

OPEN = [str(LeaseState.WAITING), str(LeaseState.RESERVED)]
WITHOUT_GPUS = "0"
THEIR_TURN = select(table.c.id, table.c.restart_wanted).where(
    table.c.lasting & (table.c.state == str(LeaseState.RESERVED))
)


def add_once(db: Connection, values: dict[str, Any], wait: str = "") -> tuple[LeaseRecord, bool]:
    """Put one start of a server in line, or give it what its server waits for; the same start twice is the same lease.

    A start that was asked for because of a wait raises Busy where that is over: its person has left the line meanwhile.
    """
    known = leases.by_spawn(db, str(values["spawn_id"]))
    if known:
        return known, False
    user_id, server = str(values["user_id"]), str(values["holder"])
    wish = of_server(db, user_id, server)
    if wait and (wish is None or wish.id != wait):
        raise Busy("The wait that this start was for is over. Start the server again.")
    # A server has one start at a time: an earlier one that still waits belongs to a hub that died.
    for old in leases.live(db):
        mine = (old.kind, old.user_id, old.holder) == ("server", user_id, server)
        if mine and old.state is LeaseState.WAITING and not old.lasting:
            leases.release(db, old.id)
    if wish and wish.profile != values["profile"]:
        end(db, wish.id, Outcome.REPLACED)
        wish = None
    if wish is None:
        return leases.add(db, values), True
    if wish.state is LeaseState.WAITING and wish.meanwhile:
        return _add_beside(db, wish, values), True
    fresh = {name: values[name] for name in ("spawn_id", "image", "image_id", "teams")}
    db.execute(update(table).where(table.c.id == wish.id).values(fresh))
    return leases.get(db, wish.id), False


def stay(db: Connection, lease_id: str, options: dict[str, Any]) -> bool:
    """Let a lease wait by itself; return False when it does not wait (any more). No new options: the old ones hold."""
    waits = (table.c.id == lease_id) & (table.c.state == str(LeaseState.WAITING))
    chosen = {"options": options} if options else {}
    kept = db.execute(update(table).where(waits).values(lasting=True, **chosen)).rowcount
    if kept:
        note_ledger(db)
    return bool(kept)


def of_server(db: Connection, user_id: str, server: str) -> LeaseRecord | None:
    """Return what a server waits for, or what is kept for it."""
    return next((wish for wish in unended(db) if (wish.user_id, wish.holder) == (user_id, server)), None)


def unended(db: Connection) -> list[LeaseRecord]:
    """Return all that wait by themselves, or whose turn it is, in the order they came."""
    rows = select(table).where(table.c.lasting & table.c.state.in_(OPEN)).order_by(table.c.number)
    return [LeaseRecord.of(row) for row in db.execute(rows).mappings()]


def their_turn(db: Connection) -> list[tuple[str, bool]]:
    """Return (id, whether its running server is to be restarted) of those that have their share and no container yet."""
    return [(str(lease_id), bool(restart)) for lease_id, restart in db.execute(THEIR_TURN)]


def change(db: Connection, lease_id: str, **values: Any) -> bool:
    """Change one that has not ended, and tell it; return False when it has."""
    still = (table.c.id == lease_id) & table.c.lasting & table.c.state.in_(OPEN)
    changed = db.execute(update(table).where(still).values(**values)).rowcount
    if changed:
        note_ledger(db)
    return bool(changed)


def end(db: Connection, lease_id: str, outcome: Outcome, detail: str = "") -> bool:
    """End a wait and say how; return False when the server has started, or it was ended before."""
    found = leases.find(db, lease_id)
    if found is None or str(found.state) not in OPEN:
        return False
    return leases.release(db, lease_id, outcome=str(outcome), outcome_detail=detail)


def explain(db: Connection, lease_id: str, detail: str) -> None:
    """Say more of how a wait has ended."""
    ended = (table.c.id == lease_id) & (table.c.outcome != "")
    if db.execute(update(table).where(ended).values(outcome_detail=detail)).rowcount:
        note_ledger(db)


def _add_beside(db: Connection, wish: LeaseRecord, values: dict[str, Any]) -> LeaseRecord:
    """Add a start without GPUs; the CPUs and the memory that it holds are not waited for twice."""
    earlier = leases.find(db, wish.beside) if wish.beside else None
    if earlier is not None and earlier.state is not LeaseState.HELD:
        leases.release(db, earlier.id)  # of a hub that died
    made = leases.add(db, values | {"gpus": WITHOUT_GPUS})
    db.execute(update(table).where(table.c.id == wish.id).values(beside=made.id, cpus=0.0, memory_bytes=0))
    return made
