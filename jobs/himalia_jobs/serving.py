"""Leases of servers: what the spawner asks for, keeps and gives back."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import Connection

from himalia.container import HOME, STORAGE, TEAM
from himalia.errors import Busy, FieldError, Forbidden
from himalia.ids import new_id
from himalia.models import LeaseRequest, LeaseView, MountView, Outcome
from himalia.site import Profile, Site
from himalia.states import LeaseState
from himalia_gpus.request import parse_request

from .bootclock import BootClock
from .capacity import why_it_never_fits
from .engines.base import Engine, Node, Phase
from .engines.errors import ImageMissing
from .hub import Hub
from .launching import storage_mounts
from .layout import DataLayout, make_owned
from .policy import Reader
from .queue import Line
from .rulebook import Rulebook
from .store import Database, leases, wishes
from .store.moves import move_lease
from .store.records import LeaseRecord

WAITER_GONE_SECONDS = 90.0  #: a lease in line that nobody asks about any more
UNBOUND_SECONDS = 120.0  #: a reservation without a container


class Serving:
    """The ledger's side of every start of a server."""

    def __init__(
        self,
        db: Database,
        engine: Engine,
        site: Site,
        hub: Hub,
        layout: DataLayout,
        clock: BootClock,
        rulebook: Rulebook | None = None,
    ) -> None:
        self.db = db
        self.engine = engine
        self.site = site
        self.hub = hub
        self.layout = layout
        self.clock = clock
        self.rulebook = rulebook
        self.decision_seconds = (
            5.0  #: for the round that says whether it is somebody's turn; it takes a fraction of that
        )
        self._seen: dict[str, float] = {}
        self.line = Line()
        self.nodes: list[Node] = []

    async def ask(self, request: LeaseRequest) -> tuple[LeaseRecord, bool]:
        """Put a server in line; the same start asked for twice is the same lease."""
        known = await self.db.read(lambda db: leases.by_spawn(db, request.spawn_id))
        if known:
            return known, False
        profile = self._profile(request)
        gpus = parse_request(profile.gpus)
        never = why_it_never_fits(profile.cpus, profile.memory, gpus, self.nodes, self.site.limits)
        if never:
            raise FieldError("profile", f"The profile {profile.name} does not fit on this platform. {never[1]}")
        refused = self.rulebook and self.rulebook.why_never_allowed(request.user, request.teams, profile.name, gpus)
        if refused:
            raise FieldError("profile", refused)
        reference = self.site.image_reference(profile.image) or profile.image
        try:
            image = await self.engine.resolve_image(reference)
        except ImageMissing as error:
            raise FieldError(
                "profile",
                f"The image {reference} of the profile {profile.name} is not on this machine. Ask an administrator.",
            ) from error
        person = await self.hub.named(request.user, request.teams)
        await self._end_earlier_start(person.id, request.server)
        values = {
            "id": new_id(),
            "kind": "server",
            "node_id": "local",
            "user_id": person.id,
            "user": request.user,
            "holder": request.server,
            "spawn_id": request.spawn_id,
            "profile": profile.name,
            "image": image.reference,
            "image_id": image.image_id,
            "cpus": profile.cpus,
            "memory_bytes": profile.memory,
            "gpus": str(gpus),
            "teams": dict(person.teams),
        }
        lease, new = await self.db.write(lambda db: wishes.add_once(db, values, request.wait))
        self._seen[lease.id] = self.clock.now()
        return lease, new

    async def view(self, lease: LeaseRecord) -> LeaseView:
        """Return a lease with all that goes into the container."""
        slots = (await self.db.read(leases.slots_by_lease)).get(lease.id, [])
        reader = Reader(user_id=lease.user_id, team_ids=frozenset(lease.teams.values()))
        told = self.line.told(lease.id, reader) if lease.state is LeaseState.WAITING else None
        return LeaseView(
            id=lease.id,
            state=lease.state,
            reason=told.reason if told else None,
            sentence=told.sentence if told else "",
            position=told.position if told else None,
            estimate_at=told.estimate_at if told else None,
            sure=told.sure if told else None,
            waiting_for=self.line.waiting_for(lease.id, reader) if told else (),
            node_id=lease.node_id,
            profile=lease.profile,
            image=lease.image_id or lease.image,
            cpus=lease.cpus,
            memory_bytes=lease.memory_bytes,
            gpus=lease.gpus,
            without_gpus=self._without_gpus(lease),
            lasting=lease.lasting,
            slots=tuple(slots),
            mounts=self._mounts(lease),
            environment={"HIMALIA_GPUS": ",".join(slot.device for slot in slots)},
            device_requests=self.engine.server_devices(tuple(slots)),
            ulimits=self.engine.ulimits,
        )

    async def stay(self, lease: LeaseRecord, options: dict[str, Any]) -> LeaseRecord:
        """Let a server wait by itself from now on; one whose turn has come meanwhile is told so."""
        if self._without_gpus(lease):
            raise Busy("This is a start without GPUs; the server waits for them already.")

        def write(db: Connection) -> LeaseRecord:
            wishes.stay(db, lease.id, options)
            return leases.get(db, lease.id)

        return await self.db.write(write)

    async def bind(self, lease: LeaseRecord, container: str) -> LeaseRecord:
        """Mark a lease as held by a container; raise Busy when the reservation has lapsed."""

        def write(db: Connection) -> LeaseRecord:
            fresh = leases.get(db, lease.id)
            if fresh.state is LeaseState.HELD and fresh.container == container:
                return fresh
            if not move_lease(db, lease.id, LeaseState.HELD, container=container):
                raise Busy("The reservation has lapsed. Remove the container, and ask again.")
            return leases.get(db, lease.id)

        return await self.db.write(write)

    async def give_back(self, lease: LeaseRecord) -> None:
        """Release a lease; one whose container still runs is kept, and found again when it is gone."""
        listing = await self.engine.list(lease.node_id)
        running = any(found.lease_id == lease.id and found.exit is None for found in listing.containers)
        if lease.state is LeaseState.HELD and (running or not listing.complete):
            raise Busy("The container of this lease is still there. Remove it first; the lease follows by itself.")
        # The spawner gives back what waits only where its start was cut short before its person was told of the line.
        outcome = Outcome.CANCELLED if lease.state is LeaseState.WAITING else Outcome.NOT_STARTED
        ended = {"outcome": str(outcome)} if lease.lasting and lease.state is not LeaseState.HELD else {}
        await self.db.write(lambda db: leases.release(db, lease.id, **ended))
        self._seen.pop(lease.id, None)

    async def _end_earlier_start(self, user_id: str, server: str) -> None:
        """Give back what a hub that died had reserved for this server: a server has one start at a time.

        What waited by itself is taken over by the new start instead.
        """
        reserved = [
            lease
            for lease in await self.db.read(leases.live)
            if _is_of(lease, user_id, server) and lease.state is LeaseState.RESERVED and not lease.lasting
        ]
        if not reserved:
            return
        listing = await self.engine.list()
        running = {found.lease_id for found in listing.containers if found.phase is Phase.RUNNING}
        for lease in reserved:
            if listing.complete and lease.id not in running:
                await self.db.write(partial(_release_reserved, lease_id=lease.id))

    def lapsed(self, lease: LeaseRecord) -> bool:
        """Tell whether nobody stands behind a waiting or reserved lease any more; lasting ones are the starter's."""
        if lease.lasting or lease.kind != "server" or lease.state not in (LeaseState.WAITING, LeaseState.RESERVED):
            return False
        limit = WAITER_GONE_SECONDS if lease.state is LeaseState.WAITING else UNBOUND_SECONDS
        return self.clock.now() - self._seen.setdefault(lease.id, self.clock.now()) > limit

    def _without_gpus(self, lease: LeaseRecord) -> bool:
        """Tell whether a start has not got the GPUs that its profile has."""
        profile = self.site.profile(lease.profile)
        return lease.gpus == wishes.WITHOUT_GPUS and profile is not None and parse_request(profile.gpus).count > 0

    def _profile(self, request: LeaseRequest) -> Profile:
        profile = self.site.profile(request.profile)
        if profile is None or not profile.servers:
            names = ", ".join(found.name for found in self.site.profiles if found.servers) or "none"
            raise FieldError("profile", f"There is no profile {request.profile!r} for servers. There are: {names}.")
        if not profile.allows(request.user, list(request.teams), admin=request.admin):
            raise Forbidden(f"The profile {profile.name} is not for you. Choose another, or ask an administrator.")
        return profile

    def _mounts(self, lease: LeaseRecord) -> tuple[MountView, ...]:
        """Return the directories of the host that the server mounts; they are made here, and only here."""
        own = [
            MountView(source=str(make_owned(self.layout.home(lease.user_id), lease.user)), target=HOME),
            MountView(source=str(make_owned(self.layout.storage(lease.user_id), lease.user)), target=STORAGE),
        ]
        for name, team_id in sorted(lease.teams.items()):
            own.append(
                MountView(source=str(make_owned(self.layout.team(team_id), lease.user)), target=f"{TEAM}/{name}")
            )
        for mount in storage_mounts(lease.user_id, lease.teams, self.site):
            if mount.kind == "site":
                own.append(MountView(source=mount.name, target=mount.target, read_only=mount.read_only))
        return tuple(own)


def _is_of(lease: LeaseRecord, user_id: object, server: object) -> bool:
    """Tell whether a lease is of this server."""
    return (lease.kind, lease.user_id, lease.holder) == ("server", user_id, server)


def _release_reserved(db: Connection, lease_id: str) -> None:
    """Release a reservation, unless it was bound in this moment: then its container is about to run."""
    if leases.get(db, lease_id).state is LeaseState.RESERVED:
        leases.release(db, lease_id)
