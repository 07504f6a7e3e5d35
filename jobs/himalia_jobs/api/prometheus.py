"""`/services/jobs/metrics`: the service's numbers, for Prometheus."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import Connection

from himalia.states import LIVE_STATES

from ..metering import Now, exposition
from ..person import ADMIN, METRICS, Person
from ..store import jobs, leases
from ..store.records import LeaseRecord
from .base import HimaliaHandler

#: Sees everything, so that the numbers are those of the whole platform; who asks needs `custom:jobs:metrics`.
READER = Person(id="", name="metrics", admin=True, scopes=frozenset({ADMIN}))


class PrometheusHandler(HimaliaHandler):
    """`GET /services/jobs/metrics`."""

    scope = METRICS

    async def get(self) -> None:
        """Send all numbers in Prometheus's text format."""
        service = self.service

        def read(db: Connection) -> tuple[list[LeaseRecord], dict[str, int]]:
            return leases.live(db), jobs.count_by_state(db, LIVE_STATES)

        standing, by_state = await service.db.read(read)
        now = Now(
            view=await service.ledger.gpus(READER),
            leases={lease.id: lease for lease in standing},
            jobs=by_state,
            complaints=await service.complaints(),
            data=service.site.data,
            at=service.clock.wall(),
        )
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(exposition(service.meters, now))
