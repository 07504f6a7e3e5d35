"""Who was here, and giving back to a person what is kept of them: the hub's database was lost, or they have a new name.

It is done here, not in the file behind the service's back: the service alone knows whom the hub has now and what runs,
writes its database in one transaction, and forgets what it remembers of the people concerned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from himalia.errors import Busy, NotFound, Unauthenticated
from himalia.ids import is_id
from himalia.models import Attached, AttachRequest, KnownPerson
from himalia.owners import Owner
from himalia.units import counted

from .hub import Hub
from .layout import DataLayout
from .owners_file import read_owners
from .store import Database, jobs, people
from .store.clock import from_text
from .store.records import UserRecord

log = logging.getLogger(__name__)


class People:
    """What the operator sees and changes of people."""

    def __init__(self, db: Database, hub: Hub, layout: DataLayout) -> None:
        self.db = db
        self.hub = hub
        self.layout = layout

    async def everybody(self) -> list[KnownPerson]:
        """Return all who were ever here, and the directories of which the database does not know whose they are."""
        in_hub = await self.hub.everybody()
        records, traces = await self.db.read(lambda db: (people.everybody(db), people.traces(db)))
        kept, named = await asyncio.to_thread(lambda: (self._kept(), read_owners(self.layout.owners)))
        found = [_known(record, in_hub.get(record.name), traces, kept) for record in records]
        lost = sorted(kept.keys() - {record.id for record in records})
        return found + [
            KnownPerson(id=key, name=_user_of(named.get(key)), present=False, directories=kept[key]) for key in lost
        ]

    async def attach(self, key: str, wish: AttachRequest) -> Attached:
        """Let a user of the hub have what is kept under an internal id; raise NotFound or Busy where that must not be."""
        created = await self._created(wish.name)
        was, before = await self.db.read(lambda db: (people.find(db, key), people.find_named(db, wish.name, created)))
        if was is None and not (is_id(key) and key in await asyncio.to_thread(self._kept)):
            raise NotFound(f"Nothing is kept under the id {key!r}. `himalia-platform people` lists the ids.")
        if before is None or before.id != key:
            await self._attach(key, was, before, wish, created)
        known = {person.id: person for person in await self.everybody()}
        return Attached(person=known[key], before=known.get(before.id) if before and before.id != key else None)

    async def _attach(
        self, key: str, was: UserRecord | None, before: UserRecord | None, wish: AttachRequest, created: str
    ) -> None:
        loser = was if was is not None and await self._is_in_hub(was) else None
        if loser is not None and not wish.force:
            raise Busy(
                f"{key} is {loser.name}, who is in the hub now and would begin anew with empty directories. If that is "
                "meant, add --force."
            )

        def write(db: Connection) -> None:
            for person in (before, loser):
                if person is not None:
                    _must_be_idle(db, person)
            if not people.attach(db, key, was, wish.name, created):
                raise Busy(f"{key} has become somebody else in this moment. Look at `himalia-platform people` again.")

        await self.db.write(write)
        self.hub.forget(wish.name, *([was.name] if was else []))
        await self.hub.tell_owners()
        log.warning(
            "AUDIT: by the operator's command %s (in the hub since %s) has the internal id %s, which was %s; until now %s",
            wish.name,
            created,
            key,
            f"{was.name} (since {was.hub_created})" if was else "nobody's in this database",
            f"it had {before.id}" if before else "it had none",
        )

    async def _created(self, name: str) -> str:
        try:
            return await self.hub.created(name)
        except Unauthenticated as error:
            raise NotFound(
                f"The hub does not know {name!r}. Let them log in once, or add them on the hub's admin page, then try again."
            ) from error

    async def _is_in_hub(self, person: UserRecord) -> bool:
        try:
            return await self.hub.created(person.name) == person.hub_created
        except Unauthenticated:
            return False

    def _kept(self) -> dict[str, tuple[str, ...]]:
        """Return the directories of homes and storages that there are, by internal id."""
        found: dict[str, tuple[str, ...]] = {}
        for place in (self.layout.home, self.layout.storage):
            folder = place("x").parent
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if is_id(path.name):
                    found[path.name] = (*found.get(path.name, ()), str(path))
        return found


def _known(
    record: UserRecord,
    in_hub: Mapping[str, Any] | None,
    traces: Mapping[str, tuple[str, int]],
    kept: Mapping[str, tuple[str, ...]],
) -> KnownPerson:
    present = in_hub is not None and str(in_hub.get("created")) == record.hub_created
    last, count = traces.get(record.id, ("", 0))
    moments = [last, str(in_hub.get("last_activity") or "") if in_hub is not None and present else ""]
    return KnownPerson(
        id=record.id,
        name=record.name,
        created="" if record.hub_created.startswith(people.DETACHED) else record.hub_created,
        present=present,
        last_seen=max((from_text(text) for text in moments if text), default=None),
        job_count=count,
        directories=kept.get(record.id, ()),
    )


def _user_of(owner: str | None) -> str:
    """Return the name of `user:NAME`; empty for all else."""
    prefix = str(Owner.user(""))
    return owner.removeprefix(prefix) if owner is not None and owner.startswith(prefix) else ""


def _must_be_idle(db: Connection, person: UserRecord) -> None:
    """Raise Busy while something of a person waits or runs: it would write to what is theirs no longer."""
    servers, live = people.count_servers(db, person.id), jobs.count_live(db, person.id)
    if servers or live:
        raise Busy(
            f"{person.name} has {counted(servers, 'server')} and {counted(live, 'job')} that wait or run as {person.id}. "
            "End them first (the hub's admin page; `himalia cancel`), then try again."
        )
