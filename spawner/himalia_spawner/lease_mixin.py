"""Starts of servers on leases: a share of the ledger first, then the container; given back once the container is gone.

No start waits: what is not free is left in line with the job service, which starts the server when it is its turn.

A *start* is one try to bring a server up. It is known by (user, server, spawn id), never by the Spawner object: the hub
may hold several objects for one server. Containers carry their lease as a label, so that whoever finds one knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from jupyterhub.spawner import Spawner, SpawnException
from jupyterhub.utils import maybe_future
from traitlets import Float

from himalia.errors import Busy, HimaliaError, NotFound, Unavailable
from himalia.ids import new_id
from himalia.models import LeaseRequest, LeaseView
from himalia.states import LeaseState
from himalia.units import counted, format_size

from .choice import ChoiceMixin
from .in_line import InLine, no_room
from .leases import LeaseClient
from .progress import Progress

RETRY_SECONDS = 0.5
UNDO_SECONDS = 0.5  #: that a start which was ended waits for its undoing: the hub refuses to stop one that takes 1 s
VANISHED = "its processes ended, and the Engine missed it"
Answer = TypeVar("Answer")


@dataclass(kw_only=True)
class _Claim:
    """What a start has asked for; `lease_id` is empty until the answer has come."""

    request: LeaseRequest | None = None
    lease_id: str = ""


class LeaseMixin(ChoiceMixin, Spawner):
    """Give any Spawner leases. Without `service_url` it changes nothing.

    The Spawner beside it says what a lease means for its container: `use_lease`, `remove_leftovers`, `remove_container`
    and, where it can tell, `wait_until_up`; it calls `bind_lease` between making the container and starting it.
    """

    patience_seconds = Float(
        8.0,
        min=0,
        help="""
        Seconds to go on asking a job service that does not answer, before a start is refused.

        Longer rides out a slow restart of the service; shorter tells people sooner (the hub's own pages and its API
        answer at once within 10 s). Places in line are kept there meanwhile.
        """,
    ).tag(config=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.lease: LeaseView | None = None  #: of the start under way, or of the running server
        self.telling = Progress()
        self._claim: _Claim | None = None
        self._starting: asyncio.Task[Any] | None = None
        self._undoing: asyncio.Task[None] | None = None
        self._looking = 0  #: so many looks are under way whether it has ended
        self._has_started = False

    # What the Spawner beside this class fills in.

    def use_lease(self, lease: LeaseView) -> None:
        """Take what the lease gives: image, limits, mounts, devices."""

    async def remove_leftovers(self) -> list[str]:
        """Remove what an earlier start of this server has left; return the ids of its leases."""
        return []

    async def remove_container(self, lease_id: str) -> None:
        """Remove the container of this lease, and return once it is gone."""

    async def find_lease(self) -> str:
        """Return the id of the lease that this server's container carries; empty where there is none."""
        return ""

    async def wait_until_up(self, where: Any) -> None:
        """Return once the server answers; raise SpawnException when it has ended instead."""

    async def has_vanished(self) -> bool:
        """Tell whether the server has no process any more, though its container is called running."""
        return False

    def in_words(self, error: BaseException) -> BaseException:
        """Return what people are told in place of this error."""
        if not isinstance(error, HimaliaError):
            return error
        reason = "service_down" if isinstance(error, Unavailable) else error.code
        told: BaseException = SpawnException(error.message, reason=reason, status_code=error.status or 500)
        return told

    # A start.

    async def start(self) -> Any:
        """Take a lease, make the container, bind the lease, start it; undo all of it on any way out."""
        if not self.service_url:
            return await super().start()
        self._starting, self._has_started = asyncio.current_task(), True
        self.telling.begin()
        try:
            return await self._start_on_lease()
        except BaseException as error:
            # A time-out or a press on *Stop* arrives as CancelledError; what was begun must be undone all the same.
            self.forget_choice()
            await self._undo(UNDO_SECONDS if isinstance(error, asyncio.CancelledError) else None)
            told = self.in_words(error)
            if told is error:
                raise
            raise told from error
        finally:
            self._starting = None
            self.telling.end()

    async def bind_lease(self, container: str) -> None:
        """Tell the service that the container is made; raise when the reservation has lapsed."""
        lease = self.lease
        if lease is None:
            return
        try:
            async with self.client_of_service() as client:
                self.lease = await self._patiently(lambda: client.bind(lease.id, container))
        except Busy as error:
            raise SpawnException(
                "Making the container took so long that its place was given to others. Start the server again.",
                reason="lease_lapsed",
                status_code=503,
            ) from error
        self.telling.say("Starting JupyterLab.", 80)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what happens to the start under way: place in line, reason, steps."""
        told = self.telling.follow() if self.service_url else super().progress()
        async for step in told:
            yield step

    async def _start_on_lease(self) -> Any:
        self.must_be_allowed()
        async with self.client_of_service() as client:
            # First, or this start would wait for what its own predecessor holds.
            for old in await self.remove_leftovers():
                await self._release(client, old)
            lease = await self._obtain(client)
        self.lease = lease
        self.use_lease(lease)
        self.telling.say(f"Got its place ({_share(lease)}). Making the container.", 50)
        where = await super().start()
        await self.wait_until_up(where)
        return where

    async def _obtain(self, client: LeaseClient) -> LeaseView:
        """Return a lease that has its share of a node; raise InLine when it waits for one."""
        profile = self.profile or await self._last_wish(client) or await self._first_profile(client)
        lease = await self._ask(client, profile)
        if lease.state is LeaseState.WAITING and not lease.without_gpus:
            waiting, options = lease.id, dict(self.user_options)
            lease = await self._patiently(lambda: client.stay(waiting, options))
        if lease.state is LeaseState.RESERVED:
            return lease
        if lease.without_gpus or not lease.lasting:
            raise no_room(lease)
        self._claim = None  # from here on it stands by itself: this start's end is not the end of the wait
        raise InLine(lease, self.handler, self.hub.base_url)

    async def _ask(self, client: LeaseClient, profile: str) -> LeaseView:
        """Ask for a new lease. The request is kept: a lease whose answer never arrived must be given back too."""
        request = LeaseRequest(
            user=self.user.name,
            server=self.name,
            spawn_id=new_id(),
            teams=self.teams,
            profile=profile,
            admin=bool(self.user.admin),
            wait=self.wait,
        )
        claim = self._claim = _Claim(request=request)
        lease = await self._patiently(lambda: client.ask(request))
        claim.lease_id = lease.id
        return lease

    async def _last_wish(self, client: LeaseClient) -> str:
        """Return the profile that this server waits for: a start without a choice asks for nothing else."""
        waiting = await self._patiently(lambda: client.waiting(self.user.name, self.name))
        return waiting[0].profile if waiting else ""

    async def _first_profile(self, client: LeaseClient) -> str:
        offered = await self._patiently(
            lambda: client.profiles(self.user.name, self.teams, admin=bool(self.user.admin))
        )
        if not offered.profiles:
            raise SpawnException("No profile is open to you. Ask an administrator.", reason="profile", status_code=403)
        return offered.profiles[0].name

    async def _patiently(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer of a call that may be repeated; ride out a restart of the service."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience_seconds
        while True:
            try:
                return await call()
            except Unavailable:
                if loop.time() >= deadline:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    # The end.

    async def poll(self) -> Any:
        """Tell whether the server runs; a start that is under way, or is being undone, counts as running."""
        if self._starting is not None or self._undoing is not None:
            return None
        status = await self._status()
        if self.service_url and self._claim is None and not self._has_started:
            # A hub that died during a start has kept nothing of it: the container that it left says whose it is.
            lease_id = await self.find_lease()
            self._claim = _Claim(lease_id=lease_id) if lease_id else None
        return status

    async def _status(self) -> Any:
        status = await super().poll()
        if status is None and self.service_url and await self.has_vanished():
            self.log.warning("%s has no process any more, whatever its container is said to do", self._log_name)
            return VANISHED
        return status

    async def poll_and_notify(self) -> Any:
        """Let the hub know when the server has ended, also where nobody listens for it.

        The hub forgets to listen to a start that was ended by *Stop*, and listens only once: where the proxy is away in
        that moment the server would be shown as running for ever, and each *Stop* would do nothing.
        """
        self._looking += 1
        try:
            status = await super().poll_and_notify()
        finally:
            self._looking -= 1
        unheard = status is not None and self.ready and not self._looking
        if unheard and self.service_url and self.user.spawners.get(self.name) is self:
            self.log.warning("%s has ended and is shown as running; clearing it away", self._log_name)
            await self.user.stop(self.name)
        return status

    async def stop(self, now: bool = False) -> None:
        """Stop the server and remove its container, then give the lease back."""
        if not self.service_url:
            await super().stop(now)
            return
        await self._end_start()
        if self._undoing is not None:
            await asyncio.wait([self._undoing])
        if await self._status() is None:
            await super().stop(now)
        await self.give_back()

    async def run_post_stop_hook(self) -> None:
        """Give the lease back: the hub calls `stop` only for a server that still runs, but this always."""
        await maybe_future(super().run_post_stop_hook())
        if self.service_url:
            await self.give_back()

    async def give_back(self) -> None:
        """Remove the container of this object's last start, then release its lease; repeating it is harmless."""
        claim = self._claim
        if claim is None:
            return
        if claim.lease_id:
            await self.remove_container(claim.lease_id)
        try:
            async with self.client_of_service() as client:
                if not claim.lease_id and claim.request is not None:
                    claim.lease_id = (await client.ask(claim.request)).id
                await self._release(client, claim.lease_id)
        except HimaliaError as error:
            self.log.warning("A lease of %s, if there is one, lapses by itself: %s", self._log_name, error.message)
        if self._claim is claim:
            self._claim = self.lease = None

    def get_state(self) -> dict[str, Any]:
        """Return what a later object of this server needs; the hub keeps it."""
        state: dict[str, Any] = super().get_state()
        if self._claim is not None and self._claim.lease_id:
            state["lease_id"] = self._claim.lease_id
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what an earlier object of this server knew."""
        super().load_state(state)
        if state.get("lease_id"):
            self._claim = _Claim(lease_id=state["lease_id"])

    @property
    def will_resume(self) -> bool:
        """Whether the server's token outlives a stop: never with a lease, as each start gets a new container."""
        return False if self.service_url else bool(super().will_resume)

    async def _release(self, client: LeaseClient, lease_id: str) -> None:
        """Release a lease; where the service cannot do it now, it does so by itself later."""
        try:
            await client.give_back(lease_id)
        except NotFound:
            self.log.debug("The lease %s of %s was not there any more", lease_id, self._log_name)
        except HimaliaError as error:
            self.log.warning("The lease %s of %s follows by itself later: %s", lease_id, self._log_name, error.message)

    async def _undo(self, patience_seconds: float | None) -> None:
        """Undo a start, also when the task is cancelled once more meanwhile, or does not wait for it any longer."""
        undoing = self._undoing = asyncio.create_task(self._undo_and_log())
        _running.add(undoing)
        undoing.add_done_callback(_running.discard)
        await asyncio.wait([undoing], timeout=patience_seconds)

    async def _undo_and_log(self) -> None:
        try:
            await self.give_back()
        except Exception:
            # The first error is the one to tell; the next start of this server finds what is left.
            self.log.exception("What was begun for %s could not be undone", self._log_name)
        finally:
            self._undoing = None

    async def _end_start(self) -> None:
        """End a start that is under way in this object."""
        starting = self._starting
        if starting is not None and starting is not asyncio.current_task():
            starting.cancel()
            await asyncio.wait([starting])


_running: set[asyncio.Task[None]] = set()  #: undoings, held so that they are not lost


def _share(lease: LeaseView) -> str:
    """Return in words what a lease gives."""
    gpus = ", ".join(slot.model for slot in lease.slots)
    share = f"{counted(lease.cpus, 'CPU')}, {format_size(lease.memory_bytes)} memory"
    return f"{share}, {gpus}" if gpus else share
