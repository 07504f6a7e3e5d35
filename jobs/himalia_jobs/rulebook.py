"""The rules of the queue as they are now: the operator's file, and the properties of the hub's groups."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from himalia.errors import HimaliaError
from himalia.models import Notice
from himalia.moments import stamp
from himalia.queueing import Maintenance, Reservation, quotas_of_group
from himalia.site import Site
from himalia_gpus.request import GPURequest, parse_request

from .hub import Hub
from .policy import Rules, why_never_allowed
from .situation import ENDING_SECONDS
from .store import Database, meta

log = logging.getLogger(__name__)

NOTICE_DAYS = 7
KEPT_AS = "group_properties"  #: the last that the hub said: it holds while the hub is silent


class Rulebook:
    """Keeps the rules; those of the hub's groups come and go without a restart."""

    def __init__(self, db: Database, hub: Hub, site: Site) -> None:
        self.db = db
        self.hub = hub
        self.site = site
        self._known: str | None = None
        self.rules = rules_of(site)

    async def refresh(self) -> None:
        """Read the groups' properties; a hub that is silent changes nothing."""
        if self._known is None:
            self._take(await self.db.read(lambda db: meta.get(db, KEPT_AS) or "{}"))
        try:
            said = json.dumps(await self.hub.groups(), sort_keys=True)
        except HimaliaError as error:
            log.warning("the properties of groups stay as they were: %s", error)
            return
        if said != self._known:
            await self.db.write(partial(meta.put, key=KEPT_AS, value=said))
            self._take(said)

    def why_never_allowed(self, user: str, teams: Iterable[str], profile: str, gpus: GPURequest) -> str | None:
        """Return the sentence when a quota lets somebody never hold so much."""
        return why_never_allowed(self.rules.quotas, (user, frozenset(teams), profile), gpus)

    def notices(self, now: datetime) -> tuple[Notice, ...]:
        """Return what everybody should know: maintenance and reservations under way or within a week."""
        soon = now + timedelta(days=NOTICE_DAYS)
        planned: list[tuple[str, Maintenance | Reservation]] = [
            *(("maintenance", one) for one in self.rules.maintenance),
            *(("reservation", one) for one in self.rules.reservations),
        ]
        shown = [
            Notice(kind=kind, text=_told(one, now), start=one.start, end=one.end)
            for kind, one in planned
            if now < one.end and one.start < soon
        ]
        return tuple(sorted(shown, key=lambda notice: notice.start))

    def maintenance_before(self, moment: datetime) -> str:
        """Return the sentence about a maintenance that begins before a moment; empty where there is none."""
        now = datetime.now(UTC)
        found = [one for one in self.rules.maintenance if now < one.end and one.start < moment]
        return _told(min(found, key=lambda one: one.start), now) if found else ""

    def _take(self, said: str) -> None:
        self._known = said
        base = rules_of(self.site)
        of_groups = [quota for name, found in json.loads(said).items() for quota in quotas_of_group(name, found)]
        self.rules = replace(base, quotas=(*base.quotas, *of_groups))


def _told(one: Maintenance | Reservation, now: datetime) -> str:
    until = f"until {stamp(one.end)}" if one.start <= now else f"from {stamp(one.start)} to {stamp(one.end)}"
    if isinstance(one, Maintenance):
        return f"{one.text} {until}: nothing starts that would run into it."
    whose = ", ".join([*(f"the team {team}" for team in one.teams), *one.users])
    return f"GPUs reserved{f' ({one.name})' if one.name else ''} {until} for {whose}: {one.gpus}."


def rules_of(site: Site) -> Rules:
    """Return what the operator's file says; raise FieldError for a reservation whose GPU request cannot be read."""
    for one in site.reservations:
        parse_request(one.gpus, "reservations.gpus")
    priorities = {profile.name: profile.priority for profile in site.profiles if profile.priority}
    ending = site.limits.stop_grace + ENDING_SECONDS
    return Rules(
        queue=site.queue,
        priorities=priorities,
        quotas=site.quotas,
        reservations=site.reservations,
        maintenance=site.maintenance,
        ending_seconds=ending,
    )
