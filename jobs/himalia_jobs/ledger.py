"""The ledger as people see it: slots, holders, what is free, the queue; and which profiles could start now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection

from himalia.gpus import Slot, SlotHealth, SlotKind
from himalia.models import GPUsView, NodeView, ProfileView, SlotView, WaiterView
from himalia.site import Limits, Profile, Site
from himalia.states import JobState, LeaseState
from himalia.units import format_size
from himalia_gpus.request import GPURequest, parse_request

from .capacity import cpus_of, memory_of, why_it_never_fits
from .disk.allowance import most_disk
from .engines.base import Node
from .engines.gpus import GPUState
from .person import Person
from .policy import Hold, Pool, Room
from .queue import Line, Told
from .rulebook import Rulebook
from .shares import Shares
from .situation import Idle, free_rooms, read_holds
from .slot_views import slot_view
from .store import Database, jobs, leases
from .store.clock import from_text
from .store.records import JobRecord, LeaseRecord

NOTHING: Idle = {}


class SeenGPUs(Protocol):
    """Knows what was seen on the GPUs last."""

    states: Mapping[str, GPUState]


class Ledger:
    """Reads the ledger; `line` and `nodes` are those of the last round."""

    def __init__(self, db: Database, site: Site, rulebook: Rulebook) -> None:
        self.db = db
        self.site = site
        self.rulebook = rulebook
        self.line = Line()
        self.nodes: Sequence[Node] = ()
        self.seen: SeenGPUs | None = None
        self.idle: Idle = NOTHING  #: since when the GPUs of a lease have been idle, as far as anybody knows
        self.ends: Idle = NOTHING  #: when servers reach their largest age
        self.shares: Shares | None = None

    async def gpus(self, person: Person) -> GPUsView:
        """Return slots, holders, what is free, the queue. Names are shown to the holder's own, their team and administrators."""
        now = datetime.now(UTC)
        read = await self.db.read(lambda db: _read(db, self.site.limits, now, self.idle, self.ends))
        rooms = free_rooms(self.nodes, self.site.limits, read.holding, read.held, read.slots)
        free = {(slot.node_id, slot.gpu) for room in rooms for slot in room.slots if slot.health is SlotHealth.OK}
        held = [slot for slots in read.held.values() for slot in slots]
        by_slot = {(slot.node_id, slot.uuid): hold for hold in read.holds for slot in hold.slots}
        return GPUsView(
            slots=tuple(
                self._slot_view(slot, by_slot.get((slot.node_id, slot.uuid)), person, now)
                for slot in as_given_out(read.slots, held)
            ),
            free=len(free),
            nodes=tuple(self._node_view(node, rooms) for node in self.nodes),
            queue=tuple(self._queue(read, person, now)),
            note=self._note(read.slots),
            notices=self.rulebook.notices(now),
        )

    async def profiles(self, purpose: str, person: Person) -> list[ProfileView]:
        """Return the profiles a person may choose for `jobs` or `servers`, with what is free now."""
        read = await self.db.read(lambda db: _read(db, self.site.limits, datetime.now(UTC), self.idle))
        rooms = free_rooms(self.nodes, self.site.limits, read.holding, read.held, read.slots)
        offered = [
            profile
            for profile in self.site.profiles
            if (profile.jobs if purpose == "jobs" else profile.servers)
            and profile.allows(person.name, list(person.teams), admin=person.admin)
        ]
        return [self._profile_view(profile, rooms) for profile in offered]

    def _slot_view(self, slot: Slot, hold: Hold | None, person: Person, now: datetime) -> SlotView:
        """Return a slot as this person sees it; of a seat what its holder does."""
        held = next((one for one in hold.slots if one.uuid == slot.uuid), slot) if hold else slot
        state = self.seen.states.get(slot.uuid) if self.seen is not None else None
        seat = None
        if slot.kind is SlotKind.SEAT and state is not None and self.shares is not None:
            state, seat = self.shares.of_seat(slot, state)
        view = slot_view(slot.model_copy(update={"budget_bytes": held.budget_bytes}), hold, person, state, now)
        return view.model_copy(update={"over_share": seat.over}) if seat else view

    def _profile_view(self, profile: Profile, rooms: Sequence[Room]) -> ProfileView:
        request, waiting = parse_request(profile.gpus), len(self.line)
        never = why_it_never_fits(profile.cpus, profile.memory, request, self.nodes, self.site.limits)
        fits = never is None and any(_has_room(room, profile, request) for room in rooms)
        one = replace(request, count=min(request.count, 1))
        free = sum(Pool(room).count(one) for room in rooms)
        return ProfileView(
            name=profile.name,
            title=profile.title or profile.name,
            description=profile.description,
            image=self.site.image_reference(profile.image) or profile.image,
            cpus=profile.cpus,
            memory_bytes=profile.memory,
            gpus=str(request),
            disk_bytes=profile.disk,
            max_disk_bytes=most_disk(profile),
            time_limit_seconds=profile.time_limit,
            max_time_limit_seconds=profile.max_time_limit,
            servers=profile.servers,
            jobs=profile.jobs,
            free_now=fits and not waiting,
            sentence=(
                f"It does not fit on this platform: {never[1]}"
                if never
                else _availability(fits, request, free, waiting, rooms)
            ),
        )

    def _node_view(self, node: Node, rooms: Sequence[Room]) -> NodeView:
        room = next(room for room in rooms if room.node_id == node.node_id)
        limits = self.site.limits
        return NodeView(
            node_id=node.node_id,
            cpus=cpus_of(node, limits),
            cpus_free=max(0.0, room.cpus),
            memory_bytes=memory_of(node, limits),
            memory_free_bytes=max(0, room.memory_bytes),
        )

    def _queue(self, read: _Read, person: Person, now: datetime) -> list[WaiterView]:
        waiters: list[JobRecord | LeaseRecord] = [*read.queued, *read.waiting]
        told = self.line.told_of((waiter.id for waiter in waiters), person.reader, now)
        views = [_waiter_view(waiter, told[waiter.id], person) for waiter in waiters if waiter.id in told]
        return sorted(views, key=lambda waiter: waiter.position)

    def _note(self, slots: Sequence[Slot]) -> str:
        if not slots and not self.nodes:
            return "The machine is being looked at; its GPUs are shown in a moment."
        if not slots:
            return "No GPU was found on this platform. Jobs and notebooks without GPUs run as usual."
        if all(slot.simulated for slot in slots):
            return (
                "These GPUs are simulated: they are leased and queued like real ones, with no device in the container."
            )
        return ""


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What the ledger is shown from."""

    holding: list[LeaseRecord]
    waiting: list[LeaseRecord]
    held: dict[str, list[Slot]]
    slots: list[Slot]
    holds: list[Hold]
    queued: list[JobRecord]


def _read(db: Connection, limits: Limits, now: datetime, idle: Idle = NOTHING, ends: Idle = NOTHING) -> _Read:
    standing, held = leases.live(db), leases.slots_by_lease(db)
    holding = [lease for lease in standing if lease.state is not LeaseState.WAITING]
    return _Read(
        holding=holding,
        waiting=[lease for lease in standing if lease.state is LeaseState.WAITING],
        held=held,
        slots=leases.all_slots(db),
        holds=read_holds(db, holding, held, limits, now=now, idle=idle, ends=ends),
        queued=jobs.in_states(db, [JobState.QUEUED]),
    )


def _waiter_view(waiter: JobRecord | LeaseRecord, told: Told, person: Person) -> WaiterView:
    """Return something in line; whose it is, for those who may see that."""
    if isinstance(waiter, JobRecord):
        own = person.may_see(waiter.owner_id, waiter.user_id)
        name, job = (waiter.name, waiter.id) if own else ("", None)
    else:
        own = person.sees_all or waiter.user_id == person.id
        name, job = "notebook server", None
    return WaiterView(
        position=told.position,
        kind="job" if isinstance(waiter, JobRecord) else "server",
        user=waiter.user if own or _reads_name(waiter, person) else "",
        job=job,
        name=name,
        gpus=waiter.gpus,
        cpus=waiter.cpus,
        memory_bytes=waiter.memory_bytes,
        reason=told.reason,
        sentence=told.sentence,
        estimate_at=told.estimate_at,
        sure=told.sure,
        since=from_text(waiter.created_at),
    )


def _reads_name(waiter: JobRecord | LeaseRecord, person: Person) -> bool:
    """Tell whether a person reads whose it is, as with those who hold something: in their teams, but not which job."""
    return person.sees_names or bool(set(waiter.teams.values()) & set(person.teams.values()))


def _has_room(room: Room, profile: Profile, request: GPURequest) -> bool:
    return (
        room.open
        and profile.cpus <= room.cpus + 1e-9
        and profile.memory <= room.memory_bytes
        and Pool(room).pick(request) is not None
    )


def _availability(fits: bool, request: GPURequest, free: int, waiting: int, rooms: Sequence[Room]) -> str:
    thing = {SlotKind.GPU: "GPUs", SlotKind.SEAT: "seats of shared GPUs", SlotKind.MIG: "slices"}[request.kind]
    if fits and not waiting:
        return f"Free now: {free} {thing}." if request.count else "Free now."
    line = f"{waiting} waiting." if waiting else "Nobody else waits."
    if request.count:
        return f"{free} {thing} free now. {line}"
    cpus = max((room.cpus for room in rooms), default=0)
    memory = max((room.memory_bytes for room in rooms), default=0)
    return f"{max(0.0, cpus):g} CPUs and {format_size(max(0, memory))} free now. {line}"


def as_given_out(slots: Sequence[Slot], held: Sequence[Slot]) -> list[Slot]:
    """Return the slots to show: of a GPU that is given out whole or by seats, what it is now; whole while it is free."""
    by_seats = {slot.gpu for slot in held if slot.auto and slot.kind is SlotKind.SEAT}
    return [slot for slot in slots if not slot.auto or (slot.kind is SlotKind.SEAT) is (slot.gpu in by_seats)]
