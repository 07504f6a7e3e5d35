"""Waiting for a server, for the person whose it is: where it stands, and what can be done about it."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

from sqlalchemy import Connection

from himalia.errors import Busy, FieldError, NotFound
from himalia.ids import is_id
from himalia.models import Outcome, WaitingView, WaitState
from himalia.models.waiting import OUTCOME_SENTENCES
from himalia.reasons import SENTENCES, Reason
from himalia.states import LeaseState
from himalia_gpus.request import parse_request

from .person import Person
from .policy import Reader
from .serving import Serving
from .settings import SERVICE_PREFIX
from .starter import Starter, start_options
from .store import Database, leases, wishes
from .store.clock import from_text
from .store.records import LeaseRecord
from .wait_notices import kept_sentence, nothing_more

STARTING = "It is your turn. The server is being started."
STARTED = "The server has started."


class Waiting:
    """Shows and changes the waits of a person."""

    def __init__(self, db: Database, serving: Serving, starter: Starter) -> None:
        self.db = db
        self.serving = serving
        self.starter = starter

    async def find(self, wait_id: str, person: Person) -> LeaseRecord:
        """Return a wait that this person may see; raise NotFound."""
        found = await self.db.read(lambda db: leases.find(db, wait_id)) if is_id(wait_id) else None
        if found is None or not found.lasting or not (person.sees_all or found.user_id == person.id):
            raise NotFound("There is no such place in line, or it is not yours.")
        return found

    async def of(self, person: Person) -> list[WaitingView]:
        """Return all that a person's servers wait for."""
        own = [wish for wish in await self.db.read(wishes.unended) if wish.user_id == person.id]
        return [self.view(wish, person.reader) for wish in own]

    def view(self, wish: LeaseRecord, reader: Reader) -> WaitingView:
        """Return where a wait stands."""
        state = _state(wish)
        waits, open_ = state is WaitState.WAITING, str(wish.state) in wishes.OPEN
        told = self.serving.line.told(wish.id, reader) if waits else None
        kept_until = None
        if state in (WaitState.KEPT, WaitState.STARTING):
            kept_until = self.starter.clock.wall() + timedelta(seconds=max(0.0, self.starter.kept_seconds(wish.id)))
        sentence = told.sentence if told else SENTENCES[Reason.IN_LINE]
        if state is WaitState.KEPT and kept_until is not None:
            sentence = kept_sentence(wish, kept_until)
        elif not waits:
            sentence = self._said(wish, state)
        profile, base = self.serving.site.profile(wish.profile), self.serving.site.platform.base_url
        return WaitingView(
            id=wish.id,
            user=wish.user,
            server=wish.holder,
            profile=wish.profile,
            title=(profile and profile.title) or wish.profile,
            gpus=wish.gpus,
            state=state,
            outcome=wish.outcome,
            reason=told.reason if told else None,
            sentence=sentence,
            position=told.position if told else None,
            estimate_at=told.estimate_at if told else None,
            sure=told.sure if told else None,
            waiting_for=self.serving.line.waiting_for(wish.id, reader) if told else (),
            since=from_text(wish.created_at),
            leaves_at=self.starter.leaves_at(wish) if waits else None,
            kept_until=kept_until,
            meanwhile=open_ and (wish.meanwhile or wish.beside is not None),
            page=page_of(base, wish.id),
            url=_server_url(base, wish),
        )

    async def leave(self, wish: LeaseRecord) -> None:
        """Leave the line; a server that runs goes on as it is. A start that is under way ends with its reservation."""

        def write(db: Connection) -> bool:
            nothing_more(db, wish.id)
            return wishes.end(db, wish.id, Outcome.CANCELLED)

        if not await self.db.write(write):
            fresh = await self.db.read(lambda db: leases.get(db, wish.id))
            if fresh.state is LeaseState.HELD:
                raise Busy("The server has started already. Stop it on the hub's page.")
        self.starter.changed()

    async def start_without(self, wish: LeaseRecord) -> LeaseRecord:
        """Start the server without its GPUs now; it goes on waiting for them."""
        if not parse_request(wish.gpus).count:
            raise FieldError(
                "gpus", f"The profile {wish.profile} has no GPUs, so that there is nothing to start without."
            )
        if not await self.db.write(lambda db: wishes.change(db, wish.id, meanwhile=True)):
            raise Busy("It does not wait any more. Reload the page.")
        answer = await self.starter.servers.start(wish.user, wish.holder, start_options(wish))
        if not answer.done:
            await self.db.write(lambda db: wishes.change(db, wish.id, meanwhile=False))
            raise Busy(answer.message or "The hub could not start the server. Try again in a moment.")
        return await self.db.read(lambda db: leases.get(db, wish.id))

    async def restart(self, wish: LeaseRecord) -> LeaseRecord:
        """Restart the server with the GPUs that are kept for it."""
        if wish.state is not LeaseState.RESERVED:
            raise Busy("Its GPUs are not kept for it (any more). Reload the page.")

        def write(db: Connection) -> None:
            wishes.change(db, wish.id, restart_wanted=True)
            nothing_more(db, wish.id)

        await self.db.write(write)
        self.starter.changed()
        return await self.db.read(lambda db: leases.get(db, wish.id))

    def _said(self, wish: LeaseRecord, state: WaitState) -> str:
        """Return the sentence for what does not wait."""
        if state is WaitState.STARTING:
            return f"{STARTING} {self.starter.said.get(wish.id, '')}".strip()
        if wish.outcome is None:
            return STARTED
        return f"{OUTCOME_SENTENCES[wish.outcome]} {wish.outcome_detail}".strip()


def page_of(base: str, wait_id: str) -> str:
    """Return where a person sees a wait."""
    return f"{base.rstrip('/')}{SERVICE_PREFIX}waiting/{wait_id}"


def _state(wish: LeaseRecord) -> WaitState:
    if wish.state is LeaseState.WAITING:
        return WaitState.WAITING
    if wish.state is LeaseState.RESERVED:
        return WaitState.KEPT if wish.beside is not None and not wish.restart_wanted else WaitState.STARTING
    return WaitState.OVER if wish.outcome is not None else WaitState.STARTED


def _server_url(base: str, wish: LeaseRecord) -> str:
    own = f"{base}user/{quote(wish.user, safe='')}/"
    return f"{own}{quote(wish.holder, safe='')}/" if wish.holder else own
