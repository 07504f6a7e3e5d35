"""What must hold for the ledger at every moment, with a machine in memory as the witness.

No slot is given out twice, no holder was touched, what is said of a slot is so, and at the end everything is free again.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis.stateful import RuleBasedStateMachine, invariant
from mortal_service import MortalService
from service_at_work import empty_database

from himalia.gpu_modes import GPUModeSetting
from himalia.gpus import SEAT_MARK, GPUMode, Slot, SlotHealth, SlotHold, SlotKind, overlap
from himalia.reasons import Reason
from himalia.states import JobState, LeaseState
from himalia.units import GiB
from himalia_gpus.readings import slice_of
from himalia_gpus.request import parse_request
from himalia_jobs.engines.base import Node
from himalia_jobs.engines.fake import FakeMachine, Program
from himalia_jobs.gpu_modes import in_modes
from himalia_jobs.policy import Pool, Room
from himalia_jobs.runner import request_cancel
from himalia_jobs.situation import free_rooms
from himalia_jobs.store import Database, jobs, leases, people, projects, slots
from himalia_jobs.store.schema import open_database
from himalia_jobs.verdicts import IDLE_BYTES

WHOLE = tuple(Slot(uuid=f"GPU-{n}", index=n, model="H200", memory_bytes=141 * GiB) for n in range(4))
CUT = tuple(slice_of(WHOLE[3], f"MIG-{n}", "3g.71gb", 71 * GiB) for n in range(2))
GPUS = (*WHOLE[:3], *CUT)  #: as the machine has them: the last one is cut
UUIDS = tuple(slot.gpu for slot in WHOLE)
MODES = (
    GPUModeSetting(gpu="1", mode=GPUMode.AUTO, seats=2),
    GPUModeSetting(gpu="2", mode=GPUMode.SHARED, seats=3),
)
MOST_SEATS = 4
PARENTS = {slot.uuid: slot.parent for slot in CUT}
LASTS, ENDS = ("lasts",), ("ends",)


class LedgerTruth(RuleBasedStateMachine):
    """A ledger on a machine in memory, and what must hold for it."""

    def __init__(self) -> None:
        super().__init__()
        # Ids decide the order among equals: the same history has the same ids.
        self.ids = patch("himalia.ids.secrets", random.Random(0))
        self.ids.start()
        self.folder = Path(tempfile.mkdtemp(prefix="himalia-history-"))
        shutil.copy(empty_database(), self.folder / "himalia.sqlite")
        self.db = open_database(self.folder / "himalia.sqlite")
        self.machine = FakeMachine(slots=GPUS, cpus=64.0, memory_bytes=512 * GiB)
        self.machine.programs = {LASTS: Program(seconds=None), ENDS: Program(seconds=3.0)}
        self.service = MortalService(self.db, self.machine, self.folder, memory=500 * GiB, modes=MODES)
        self.loop = asyncio.new_event_loop()
        self.by_hand: set[str] = set()  #: containers that were started past Himalia
        self.leftover: dict[str, str] = {}  #: GPUs with memory that a holder left, and the lease that had it
        self.told: dict[str, SlotHold] = {}  #: lasting holds that must be in force
        self.person = self.db.write_now(lambda db: people.user_id(db, "ada", "2026-01-01"))
        self.project = self.db.write_now(lambda db: projects.ensure(db, self.person, "user:ada", "work"))
        self.run(self.service.start())
        self.looked = False  #: whether the last thing that happened was a look at everything

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Let the service do something; what was known is not newest any more."""
        self.looked = False
        return self.loop.run_until_complete(what)

    def teardown(self) -> None:
        """End everything, and check that all is free again."""
        try:
            self.end_all()
        finally:
            self.ids.stop()
            self.db.close()
            self.loop.close()
            shutil.rmtree(self.folder)

    # What must hold after every step.

    @invariant()
    def no_slot_is_double(self) -> None:
        """Of the containers that Himalia started, no two have one slot, nor one the whole and another a part of it."""
        taken = [
            uuid for found in self.machine.running() if found.name not in self.by_hand for uuid in found.seen.slots
        ]
        doubled = [pair for pair in combinations(sorted(taken), 2) if overlap(*pair, PARENTS)]
        assert not doubled, f"{doubled} at once"

    @invariant()
    def no_gpu_is_double_in_the_ledger(self) -> None:
        """No two leases have one slot, a GPU is not whole and shared, and its memory is promised once.

        What somebody started by hand is held as well, with an equal part of the memory that nobody promised it.
        """
        by_lease = self.db.read_now(leases.slots_by_lease)
        held = [slot for slots in by_lease.values() for slot in slots]
        promised = [slot for lease in self.live() if lease.user_id for slot in by_lease.get(lease.id, ())]
        doubled = [pair for pair in combinations(sorted(slot.uuid for slot in held), 2) if overlap(*pair, PARENTS)]
        assert not doubled, f"{doubled} at once"
        for gpu in WHOLE:
            seats = [slot for slot in held if slot.gpu == gpu.uuid and slot.kind is SlotKind.SEAT]
            assert len(seats) <= MOST_SEATS
            shares = [slot.share_bytes for slot in seats if slot in promised]
            assert sum(shares) <= gpu.memory_bytes, "more memory than there is"

    @invariant()
    def a_released_lease_has_no_slots(self) -> None:
        """Slots are held by leases that stand."""
        standing = {lease.id for lease in self.live()}
        assert set(self.db.read_now(leases.slots_by_lease)) <= standing

    @invariant()
    def what_was_told_lasts(self) -> None:
        """What an administrator took out stays out."""
        for record in self.by_uuid().values():
            assert record.gpu not in self.told or record.hold is self.told[record.gpu]

    @invariant()
    def what_is_said_is_so(self) -> None:
        """After a look, each slot is kept back for a cause that is there, and each cause keeps its slot back."""
        if not self.looked:
            return
        gpus = self.machine.gpus
        holders = self.holders()
        answering = {slot.device for slot in self.machine.node.slots if slot.health is SlotHealth.OK}
        for slot in self.db.read_now(lambda db: slots.records(db, "local")):
            here = [found for found in self.machine.running() if self.has(found.seen.slots, slot.uuid)]
            by_right = [found for found in here if self.holds_another(found.seen, slot, holders)]
            theirs = any(self.has(uuids, slot.uuid) for uuids in gpus.others.values())
            causes = {
                SlotHold.CONFLICT: len(here) > 1,
                SlotHold.ROGUE: theirs,
                SlotHold.FOREIGN: bool(gpus.users[slot.device]),
                SlotHold.LEFTOVER: gpus.memory[slot.device] > IDLE_BYTES,
                SlotHold.SETTLING: gpus.memory[slot.device] > IDLE_BYTES or slot.device not in answering or bool(here),
            }
            if slot.device not in answering or slot.hold in (SlotHold.ADMIN, SlotHold.FAULT):
                continue
            if slot.hold is not None:
                assert causes[slot.hold], f"{slot.uuid} is said to be {slot.hold}"
            elif not by_right:
                free = slot.uuid not in holders
                reasons = [SlotHold.CONFLICT, SlotHold.ROGUE, SlotHold.FOREIGN] + [SlotHold.LEFTOVER] * free
                assert not [cause for cause in reasons if causes[cause]], f"{slot.uuid} is given out"
                assert not (free and here), f"{slot.uuid} has a container and no holder"

    def has(self, uuids: Iterable[str], uuid: str) -> bool:
        """Tell whether who has these slots stands in the way of one."""
        return any(overlap(one, uuid, PARENTS) for one in uuids)

    def holds_another(self, seen: Any, slot: Any, holders: dict[str, str]) -> bool:
        """Tell whether a container has, by its lease, what an automatic GPU is otherwise."""
        other = slot.auto and slot.uuid not in seen.slots
        return bool(other and {holders[uuid] for uuid in seen.slots if uuid in holders} & {seen.lease_id})

    # The end.

    def end_all(self) -> None:
        """Let every cause end; then everything is free, and nothing is left."""
        gpus = self.machine.gpus
        gpus.users.clear()
        gpus.memory.clear()
        gpus.others.clear()
        self.leftover.clear()
        self.machine.node = replace(self.machine.node, slots=GPUS)
        for uuid in UUIDS:
            self.run(self.service.modes.write([self.machine.node]))
            self.run(self.service.modes.unset(uuid, "root"))
        self.run(self.service.start())
        for job in self.db.read_now(lambda db: jobs.in_states(db, JobState)):
            self.run(request_cancel(self.db, job, "ada"))
        for _ in range(30):
            for found in self.machine.running():
                if found.seen.kind == "server" or found.name in self.by_hand:
                    self.machine.remove_by_hand(found.name)
            kept = {slot.gpu for slot in self.by_uuid().values() if slot.hold in (SlotHold.ADMIN, SlotHold.FAULT)}
            for gpu in sorted(kept):
                self.run(self.service.reconciler.keeper.give_back(gpu, "root"))
            self.run(self.service.tick())
            self.service.let_pass(10)
        there = in_modes_of_the_file(self.db, self.machine.node)
        assert self.health() == {slot.uuid: SlotHealth.OK for slot in there}, "a slot was lost"
        assert self.live() == []
        assert self.holders() == {}
        assert self.machine.running() == []

    # Looking.

    def untouched(self, what: Coroutine[Any, Any, Any]) -> None:
        """Do something that must end no container."""
        before = {found.name for found in self.machine.running()}
        self.run(what)
        after = {found.name for found in self.machine.running()}
        assert before <= after, f"{before - after} ended"

    def reasons_are_true(self) -> None:
        """Who is said to wait for GPUs lacks them: less is free and fits than all in line ask for together."""
        waiting = self.db.read_now(lambda db: jobs.in_states(db, [JobState.QUEUED]))
        asked = [parse_request(lease.gpus) for lease in self.live() if lease.state is LeaseState.WAITING]
        asked += [parse_request(job.gpus) for job in waiting]
        pool = Pool(self.free_room())
        for job in waiting:
            if job.reason is not Reason.WAITS_FOR_GPUS:
                continue
            own = parse_request(job.gpus)
            others = sum(request.count for request in asked) - own.count
            # One of another kind takes a whole GPU at most, and so as many seats as that has.
            each = MOST_SEATS if own.kind is SlotKind.SEAT else 1
            assert pool.count(own) < own.count + others * each, f"{own} waits for what is there"

    def free_room(self) -> Room:
        """Return what is free on the machine, as the queue sees it."""
        return self.db.read_now(
            lambda db: free_rooms(
                [self.machine.node],
                self.service.site.limits,
                [lease for lease in leases.live(db) if lease.state is not LeaseState.WAITING],
                leases.slots_by_lease(db),
                leases.all_slots(db),
            )[0]
        )

    def live(self) -> list[Any]:
        """Return the leases that stand."""
        return self.db.read_now(leases.live)

    def holders(self) -> dict[str, str]:
        """Return which lease holds each slot."""
        return {uuid: lease for (_, uuid), lease in self.db.read_now(leases.lease_of_slot).items()}

    def health(self) -> dict[str, SlotHealth]:
        """Return the health of each slot, as it decides."""
        return {slot.uuid: slot.health for slot in self.db.read_now(slots.all_slots)}

    def by_uuid(self) -> dict[str, Any]:
        """Return the slots as they are kept."""
        return {slot.uuid: slot for slot in self.db.read_now(lambda db: slots.records(db, "local"))}

    def record(self, uuid: str) -> Any:
        """Return a slot as it is kept."""
        return self.by_uuid().get(uuid)

    def leave_memory(self, uuid: str) -> None:
        """Let a GPU keep memory after the holder of a slot."""
        device = uuid.partition(SEAT_MARK)[0]
        self.leftover[device] = self.holders().get(uuid, "")
        self.machine.gpus.memory[device] = 20 * GiB


def in_modes_of_the_file(db: Database, node: Node) -> tuple[Slot, ...]:
    """Return the slots that a machine has by the operator's file, once nobody holds anything."""
    return db.read_now(lambda connection: in_modes(connection, node, MODES)).slots
