"""A job service of which only the lease API is there: a ledger in memory that keeps the real contract."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from himalia.errors import Busy, FieldError, Forbidden, HimaliaError, NotFound, Unauthenticated, Unavailable
from himalia.gpus import Slot
from himalia.ids import new_id
from himalia.models import LeaseRequest, LeaseView, MountView, Notice, ProfilesView, ProfileView
from himalia.reasons import Reason, sentence
from himalia.site import Profile
from himalia.states import LeaseState
from himalia_jobs.policy.line import ordinal

PREFIX = "/services/jobs/api"


@dataclass
class Lease:
    """A row of the ledger."""

    id: str
    request: LeaseRequest
    profile: Profile
    state: LeaseState = LeaseState.WAITING
    slots: tuple[Slot, ...] = ()
    container: str = ""
    lasting: bool = False
    options: dict[str, object] = field(default_factory=dict)
    meanwhile: bool = False
    without_gpus: bool = False


@dataclass
class FakeLeaseService:
    """The ledger of one machine with some GPUs, and its HTTP side."""

    address: str = "127.0.0.1"
    port: int = 0
    token: str = "spawner-token"
    gpus: int = 2
    image: str = "himalia/server:dev"
    profiles: tuple[Profile, ...] = (
        Profile(name="cpu", title="No GPU"),
        Profile(name="gpu", title="One GPU", gpus="1"),
        Profile(name="team", title="For the team", teams=("lab",)),
    )
    mounts: tuple[MountView, ...] = ()
    container_runs: Callable[[str], bool] = lambda lease_id: False
    leases: dict[str, Lease] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    ended: str = ""  #: why it ended the last start of a server
    full: bool = False  #: not even CPUs are free
    refusal: str = ""  #: answers 503 with this sentence
    lose_answers: int = 0  #: so many answers to POST leases never arrive
    calls: list[str] = field(default_factory=list)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    entered: dict[str, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._server: HTTPServer | None = None

    # HTTP

    async def listen(self) -> None:
        """Listen; after `hang_up` on the same port again."""
        sockets = bind_sockets(self.port, self.address, family=socket.AF_INET)
        self.port = sockets[0].getsockname()[1]
        self._server = HTTPServer(self.application())
        self._server.add_sockets(sockets)

    async def hang_up(self) -> None:
        """Close the port and all connections, as a service that stops."""
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()
            self._server = None

    @property
    def url(self) -> str:
        """What a spawner is told."""
        return f"http://{self.address}:{self.port}{PREFIX}"

    def application(self) -> Application:
        """Return the routes."""
        known = {"service": self}
        return Application(
            [
                (rf"{PREFIX}/leases", _Leases, known),
                (rf"{PREFIX}/leases/([^/]+)", _Lease, known),
                (rf"{PREFIX}/leases/([^/]+)/stay", _Stay, known),
                (rf"{PREFIX}/leases/([^/]+)/bind", _Bind, known),
                (rf"{PREFIX}/profiles", _Profiles, known),
            ],
            log_function=lambda handler: None,
        )

    def hold(self, call: str) -> None:
        """Let calls such as `POST /bind` or `GET /profiles` hang until `let_go`."""
        self.held[call], self.entered[call] = asyncio.Event(), asyncio.Event()

    def let_go(self, call: str) -> None:
        """Let the calls that hang go on."""
        self.held.pop(call).set()

    async def held_back(self, method: str, path: str) -> None:
        """Hang a call that is held."""
        for call, event in list(self.held.items()):
            wanted_method, ending = call.split()
            if method == wanted_method and path.endswith(ending):
                self.entered[call].set()
                await event.wait()

    # The ledger

    def wake(self) -> None:
        """Give what is free to who is first in line, and tell everybody."""
        for lease in self.leases.values():
            if lease.state is LeaseState.WAITING:
                free, wanted = self.free(), 0 if lease.without_gpus else int(lease.profile.gpus)
                if wanted > len(free) or self.full:
                    continue
                lease.slots = tuple(free[:wanted])
                lease.state = LeaseState.RESERVED

    def free(self) -> list[Slot]:
        """Return the slots that nobody has."""
        taken = {slot.uuid for lease in self.live() for slot in lease.slots}
        slots = [
            Slot(uuid=f"GPU-{n}", index=n, model="Fake", memory_bytes=1024**3, simulated=True) for n in range(self.gpus)
        ]
        return [slot for slot in slots if slot.uuid not in taken]

    def live(self) -> list[Lease]:
        """Return the leases that are not released."""
        return [lease for lease in self.leases.values() if lease.state is not LeaseState.RELEASED]

    def in_state(self, state: LeaseState) -> list[Lease]:
        """Return the leases of one state."""
        return [lease for lease in self.leases.values() if lease.state is state]

    def add(self, request: LeaseRequest) -> tuple[Lease, bool]:
        """Put a start in line; the same one twice is one lease."""
        known = next((lease for lease in self.leases.values() if lease.request.spawn_id == request.spawn_id), None)
        if known:
            return known, False
        profile = next((profile for profile in self.profiles if profile.name == request.profile), None)
        if profile is None:
            raise FieldError("profile", f"There is no profile {request.profile!r} for servers. There are: cpu, gpu.")
        if not profile.allows(request.user, list(request.teams), admin=request.admin):
            raise Forbidden(f"The profile {profile.name} is not for you. Choose another, or ask an administrator.")
        wish = self.waiting(request.user, request.server)
        if request.wait and (wish is None or wish.id != request.wait):
            raise Busy("The wait that this start was for is over. Start the server again.")
        if wish and wish.profile is not profile:
            wish.state, wish = LeaseState.RELEASED, None
        if wish and not (wish.meanwhile and wish.state is LeaseState.WAITING):
            wish.request = request
            return wish, False
        for old in self.in_state(LeaseState.WAITING):
            if (old.request.user, old.request.server) == (request.user, request.server) and not old.lasting:
                old.state = LeaseState.RELEASED
        lease = Lease(id=new_id(), request=request, profile=profile, without_gpus=wish is not None)
        self.leases[lease.id] = lease
        self.wake()
        return lease, True

    def waiting(self, user: str, server: str) -> Lease | None:
        """Return what a server waits for by itself, or what is kept for it."""
        open_ = (LeaseState.WAITING, LeaseState.RESERVED)
        own = [lease for lease in self.leases.values() if lease.lasting and lease.state in open_]
        return next((one for one in own if (one.request.user, one.request.server) == (user, server)), None)

    def stay(self, lease_id: str, options: dict[str, object]) -> Lease:
        """Let a lease wait by itself."""
        lease = self.get(lease_id)
        if lease.state is LeaseState.WAITING:
            lease.lasting, lease.options = True, options or lease.options
        return lease

    def get(self, lease_id: str) -> Lease:
        """Return a lease; raise NotFound."""
        if lease_id not in self.leases:
            raise NotFound(f"There is no lease {lease_id}.")
        return self.leases[lease_id]

    def bind(self, lease_id: str, container: str) -> Lease:
        """Hold a reserved lease."""
        lease = self.get(lease_id)
        if lease.state is LeaseState.HELD and lease.container == container:
            return lease
        if lease.state is not LeaseState.RESERVED:
            raise Busy("The reservation has lapsed. Remove the container, and ask again.")
        lease.state, lease.container = LeaseState.HELD, container
        return lease

    def release(self, lease_id: str) -> None:
        """Release a lease, unless its container still runs."""
        lease = self.get(lease_id)
        if lease.state is LeaseState.HELD and self.container_runs(lease_id):
            raise Busy("The container of this lease is still there. Remove it first; the lease follows by itself.")
        lease.state = LeaseState.RELEASED
        self.wake()

    def position(self, lease: Lease) -> int | None:
        """Return the place in line, counted from 1."""
        line = self.in_state(LeaseState.WAITING)
        return line.index(lease) + 1 if lease in line else None

    def view(self, lease: Lease) -> LeaseView:
        """Return what a spawner sees of a lease."""
        waits, place = lease.state is LeaseState.WAITING, self.position(lease)
        return LeaseView(
            id=lease.id,
            state=lease.state,
            reason=Reason.WAITS_FOR_GPUS if waits else None,
            sentence=f"{ordinal(place)} in line. {sentence(Reason.WAITS_FOR_GPUS)}" if waits and place else "",
            position=place,
            profile=lease.profile.name,
            image=self.image,
            cpus=lease.profile.cpus,
            memory_bytes=lease.profile.memory,
            gpus="0" if lease.without_gpus else lease.profile.gpus,
            without_gpus=lease.without_gpus,
            lasting=lease.lasting,
            slots=lease.slots,
            mounts=self.mounts,
            environment={"HIMALIA_GPUS": ",".join(slot.uuid for slot in lease.slots)},
            ulimits=({"Name": "stack", "Soft": 64 * 1024**2, "Hard": 64 * 1024**2},),
        )

    def profile_view(self, profile: Profile) -> ProfileView:
        """Return what the form shows of a profile."""
        free_now = int(profile.gpus) <= len(self.free())
        return ProfileView(
            name=profile.name,
            title=profile.title,
            image=self.image,
            cpus=profile.cpus,
            memory_bytes=profile.memory,
            gpus=profile.gpus,
            time_limit_seconds=profile.time_limit,
            max_time_limit_seconds=profile.max_time_limit,
            servers=True,
            jobs=True,
            free_now=free_now,
            sentence="Free now." if free_now else "All GPUs are taken.",
        )


class _Handler(RequestHandler):
    def initialize(self, service: FakeLeaseService) -> None:
        self.service = service

    async def prepare(self) -> None:
        self.service.calls.append(f"{self.request.method} {self.request.path.removeprefix(PREFIX)}")
        await self.service.held_back(str(self.request.method), self.request.path)
        if self.request.headers.get("Authorization") != f"Bearer {self.service.token}":
            raise Unauthenticated("Nobody is logged in, or the token is not known (any more). Log in again.")
        if self.service.refusal:
            raise Unavailable(self.service.refusal)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs["exc_info"][1]
        if isinstance(error, HimaliaError):
            self.set_status(error.status)
            self.finish(error.to_json())
        else:
            super().write_error(status_code, **kwargs)

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        if not isinstance(value, HimaliaError | HTTPError):
            super().log_exception(kind, value, trace)

    def show(self, lease: Lease, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(self.service.view(lease).model_dump_json())


class _Leases(_Handler):
    def get(self) -> None:
        found = self.service.waiting(self.get_argument("user"), self.get_argument("server"))
        shown = [self.service.view(found).model_dump(mode="json")] if found else []
        self.finish({"leases": shown, "ended": self.service.ended})

    def post(self) -> None:
        lease, new = self.service.add(LeaseRequest.model_validate_json(self.request.body))
        if self.service.lose_answers:
            self.service.lose_answers -= 1
            self.request.connection.stream.close()  # type: ignore[union-attr]  # HTTP/1 has one
            return
        self.show(lease, 201 if new else 200)


class _Lease(_Handler):
    def get(self, lease_id: str) -> None:
        self.show(self.service.get(lease_id))

    def delete(self, lease_id: str) -> None:
        self.service.release(lease_id)
        self.set_status(204)
        self.finish()


class _Stay(_Handler):
    def post(self, lease_id: str) -> None:
        self.show(self.service.stay(lease_id, json.loads(self.request.body)["options"]))


class _Bind(_Handler):
    def post(self, lease_id: str) -> None:
        self.show(self.service.bind(lease_id, json.loads(self.request.body)["container"]))


class _Profiles(_Handler):
    def get(self) -> None:
        user, teams = self.get_argument("user", ""), self.get_argument("teams", "").split(",")
        admin = self.get_argument("admin", "0") == "1"
        allowed = [profile for profile in self.service.profiles if profile.allows(user, teams, admin=admin)]
        profiles = tuple(self.service.profile_view(profile) for profile in allowed)
        self.finish(ProfilesView(profiles=profiles, notices=self.service.notices).model_dump(mode="json"))
