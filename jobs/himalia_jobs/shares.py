"""The memory of shared GPUs, watched: whose seat uses more than its share, and who is told.

Nothing fences it: a seat's share is a promise about numbers. So holder and neighbours are told, and nobody is ended
unless the operator's file says so (`[gpus] over_share`), and then jobs alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Connection

from himalia.gpus import SEAT_MARK, Slot, SlotKind
from himalia.reasons import Reason
from himalia.site import Gpus
from himalia.states import LeaseState
from himalia.units import format_size

from .engines.gpus import GPUState, GPUUse
from .store import Database, jobs, leases, notices
from .store.moves import note_job
from .store.records import LeaseRecord

log = logging.getLogger(__name__)

KIND = "over_share"  #: of the notice
NEIGHBOUR = "A neighbour"
SHORT_ID = 4


class Clock(Protocol):
    """Tells the time, by a clock that no change of the date moves."""

    def now(self) -> float:
        """Return the seconds since the machine was started."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """What a holder of a seat uses of its GPU's memory; none: the driver does not tell."""

    lease: LeaseRecord
    slot: Slot
    used_bytes: int | None
    containers: frozenset[str] = frozenset()  #: names of those that run for it

    @property
    def over(self) -> bool:
        """Whether it uses more than its share."""
        return self.used_bytes is not None and self.used_bytes > self.slot.share_bytes


class Shares:
    """Knows what the holders of seats use, as seen last, and tells who uses too much."""

    def __init__(self, db: Database, settings: Gpus, clock: Clock, look_at: Callable[[str], None]) -> None:
        self.db = db
        self.settings = settings
        self.clock = clock
        self.look_at = look_at  #: called with the id of a job that is to be ended
        self.seats: Mapping[str, Seat] = {}  #: by the UUID of the seat
        self._since: dict[str, float] = {}  #: since when the holder of a lease uses too much
        self._told: dict[str, str] = {}  #: by lease: what its holder reads

    async def look(self, use: GPUUse) -> None:
        """Do one round over what was seen on the GPUs."""
        standing = await self.db.read(lambda db: _seats(db, use))
        self.seats = {seat.slot.uuid: seat for seat in standing}
        now = self.clock.now()
        over = [seat for seat in standing if seat.over]
        self._since = {seat.lease.id: self._since.get(seat.lease.id, now) for seat in over}
        before, self._told = self._told, self._words(standing, over)
        fresh = {lease_id: words for lease_id, words in self._told.items() if lease_id not in before}
        ended = [seat.lease for seat in over if self._is_to_end(seat.lease, now)]
        if fresh or ended or before.keys() - self._told.keys():
            changed = {seat.lease.id: seat.lease for seat in standing}
            gone = before.keys() - self._told.keys()
            await self.db.write(lambda db: _write(db, changed, fresh, gone, ended))
        for lease in ended:
            self.look_at(lease.holder.partition(".")[0])

    def sentence(self, lease_id: str) -> str:
        """Return what the holder of a lease is told about memory; empty: nothing."""
        return self._told.get(lease_id, "")

    def of_seat(self, slot: Slot, state: GPUState) -> tuple[GPUState, Seat | None]:
        """Return what is shown of a seat: what its holder uses; processes that are nobody's stand with the first one."""
        seat = self.seats.get(slot.uuid)
        own = seat.containers if seat else frozenset()
        known = {name for one in self.seats.values() if one.slot.gpu == slot.gpu for name in one.containers}
        first = slot.uuid.endswith(f"{SEAT_MARK}1")
        users = tuple(
            user for user in state.users or () if user.container in own or (first and user.container not in known)
        )
        return replace(state, users=users, memory_used_bytes=seat.used_bytes if seat else None), seat

    def _is_to_end(self, lease: LeaseRecord, now: float) -> bool:
        too_long = now - self._since[lease.id] >= self.settings.over_share_grace
        return self.settings.over_share == "end" and lease.kind == "job" and too_long

    def _words(self, seats: Sequence[Seat], over: Sequence[Seat]) -> dict[str, str]:
        """Return what each holder reads: of its own use, else of its neighbours'."""
        told = {}
        for seat in seats:
            beside = [one for one in over if one.slot.gpu == seat.slot.gpu and one.lease.id != seat.lease.id]
            if seat.over:
                told[seat.lease.id] = self._own_words(seat)
            elif beside:
                told[seat.lease.id] = _of_a_neighbour(max(beside, key=lambda one: one.used_bytes or 0))
        return told

    def _own_words(self, seat: Seat) -> str:
        job = seat.lease.holder[:SHORT_ID]
        what = "Your notebook" if seat.lease.kind == "server" else f"The job {job}…"
        used, share = format_size(seat.used_bytes or 0), format_size(seat.slot.share_bytes)
        ends = self.settings.over_share == "end" and seat.lease.kind == "job"
        then = " It is ended if that stays so." if ends else " Nobody is ended for it."
        return (
            f"{what} uses {used} of the memory of GPU {seat.slot.index}, more than its share of {share}. Nothing fences the "
            f"memory of a shared GPU: its neighbours may run out of it. Use less, or ask for more.{then}"
        )


def _of_a_neighbour(over: Seat) -> str:
    used, share = format_size(over.used_bytes or 0), format_size(over.slot.share_bytes)
    return (
        f"{NEIGHBOUR} on GPU {over.slot.index} uses {used} of its memory, more than its share of {share}. Nothing fences "
        "the memory of a shared GPU: there may be less left than you asked for."
    )


def _seats(db: Connection, use: GPUUse) -> list[Seat]:
    """Return what the holders of seats use."""
    held = leases.slots_by_lease(db)
    standing = {lease.id: lease for lease in leases.live(db) if lease.state is LeaseState.HELD}
    return [
        _seat(use, standing[lease_id], slot)
        for lease_id, slots in held.items()
        for slot in slots
        if slot.kind is SlotKind.SEAT and slot.node_id == use.node_id and lease_id in standing
    ]


def _seat(use: GPUUse, lease: LeaseRecord, slot: Slot) -> Seat:
    """Return what the processes of a lease's container use of a GPU, as far as the driver tells."""
    state = next((gpu for gpu in use.gpus if gpu.uuid == slot.device), None)
    names = frozenset(holder.name for holder in use.holders if holder.ours and holder.lease_id == lease.id)
    used = None
    if state is not None and state.users is not None and names:
        used = sum(user.memory_bytes or 0 for user in state.users if user.container in names)
    return Seat(lease=lease, slot=slot, used_bytes=used, containers=names)


def _write(
    db: Connection,
    seats: Mapping[str, LeaseRecord],
    fresh: Mapping[str, str],
    gone: Iterable[str],
    ended: Sequence[LeaseRecord],
) -> None:
    """Tell who has something to read now, or not any more; and end jobs that the operator's file does not bear with."""
    for lease_id, words in fresh.items():
        lease = seats[lease_id]
        job_id = lease.holder.partition(".")[0] if lease.kind == "job" else None
        log.warning("lease %s of %s: %s", lease_id, lease.user, words)
        if job_id and jobs.find(db, job_id):
            note_job(db, job_id, detail=words)
        if lease.user_id:
            key = f"{KIND}/{lease_id}/{'beside' if words.startswith(NEIGHBOUR) else 'own'}"
            notices.tell(
                db, user_id=lease.user_id, kind=KIND, sentence=words, key=key, lease_id=lease_id, job_id=job_id
            )
    for lease_id in gone:
        lease_now = leases.find(db, lease_id)
        job_id = lease_now.holder.partition(".")[0] if lease_now and lease_now.kind == "job" else None
        if job_id and jobs.find(db, job_id):
            note_job(db, job_id)
    for lease in ended:
        jobs.stop_attempt(db, lease.id, Reason.OVER_SHARE)
