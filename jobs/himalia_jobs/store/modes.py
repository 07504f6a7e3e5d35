"""How administrators want GPUs to be given out."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, insert, select

from himalia.gpus import GPUMode
from himalia_gpus.modes import Wish

from .clock import now_text
from .moves import note_ledger
from .tables import gpu_modes

OF_NODE = select(gpu_modes).where(gpu_modes.c.node_id == bindparam("node_id"))  #: see `statements`


def wishes(db: Connection, node_id: str) -> dict[str, Wish]:
    """Return the wishes for a machine's GPUs, by UUID."""
    rows = db.execute(OF_NODE, {"node_id": node_id}).mappings()
    return {row["gpu"]: Wish(mode=GPUMode(row["mode"]), seats=row["seats"]) for row in rows}


def put(db: Connection, node_id: str, gpu: str, mode: GPUMode, seats: int, by: str) -> None:
    """Keep a wish, in the place of an earlier one."""
    remove(db, node_id, gpu)
    values = {"node_id": node_id, "gpu": gpu, "mode": str(mode), "seats": seats, "set_by": by, "set_at": now_text()}
    db.execute(insert(gpu_modes).values(values))
    note_ledger(db)


def remove(db: Connection, node_id: str, gpu: str) -> None:
    """Forget a wish."""
    gone = (gpu_modes.c.node_id == node_id) & (gpu_modes.c.gpu == gpu)
    if db.execute(delete(gpu_modes).where(gone)).rowcount:
        note_ledger(db)
