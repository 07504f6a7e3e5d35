"""Fixtures for the service's unit tests.

`db`             a fresh database file
`add_job`        queues a job there
`work`           a service that listens: the real application and stores, a hub and an engine that are fakes
`service`        a service over `machine` (in memory, two GPUs), without its clocks, that can be killed at any step
`hub_side`       what hub and spawner do with that service for a server that waits
`host`, `fetch`  a host of repositories on this machine, and a fetch as an operator allows it
`nvml`           pretended NVIDIA hardware, which unmodified programs see
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from nvml_hardware import nvml as nvml
from nvml_hardware import nvml_library as nvml_library
from repositories import fetch as fetch
from repositories import host as host

from himalia.ids import new_id
from himalia_jobs.engines.fake import FakeMachine, Program
from himalia_jobs.store import Database, jobs, people, projects
from himalia_jobs.store.records import JobRecord
from himalia_jobs.store.schema import open_database

if TYPE_CHECKING:
    from mortal_service import MortalService
    from service_at_work import AtWork
    from waiting_at_work import HubSide


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A database in a file of its own."""
    database = open_database(tmp_path / "himalia.sqlite")
    yield database
    database.close()


class Jobs:
    """Adds jobs that differ in what a test is about."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def __call__(self, user: str = "ada", **changes: Any) -> JobRecord:
        values = self._columns(user) | changes
        return self.db.write_now(lambda db: jobs.add(db, values))

    def _columns(self, user: str) -> dict[str, Any]:
        user_id = self.db.write_now(lambda db: people.user_id(db, user, "2026-01-01"))
        project = self.db.write_now(lambda db: projects.ensure(db, user_id, f"user:{user}", "work"))
        return {
            "id": new_id(),
            "project_id": project.id,
            "owner_id": user_id,
            "owner": f"user:{user}",
            "user_id": user_id,
            "user": user,
            "project": "work",
            "name": "train",
            "profile": "small",
            "image": "himalia/server:dev",
            "image_id": "sha256:1",
            "cpus": 1.0,
            "memory_bytes": 2**30,
            "gpus": "0",
            "timeout_seconds": 3600,
            "retries": 0,
            "spec": {"command": ["true"]},
            "teams": {},
        }


@pytest.fixture
def add_job(db: Database) -> Jobs:
    """Adds a queued job; keyword arguments change its columns."""
    return Jobs(db)


@pytest.fixture
def machine() -> FakeMachine:
    """A machine with two GPUs, where one command lasts and all others end after a second."""
    from mortal_service import ENDS, LASTS, simulated

    machine = FakeMachine(slots=simulated(2))
    machine.programs[LASTS] = Program(seconds=None)
    machine.programs[ENDS] = Program(seconds=1.0)
    return machine


@pytest.fixture
def service(db: Database, machine: FakeMachine, tmp_path: Path) -> MortalService:
    """A service on that machine."""
    from mortal_service import MortalService

    return MortalService(db, machine, tmp_path)


@pytest_asyncio.fixture
async def work(tmp_path: Path) -> AsyncIterator[AtWork]:
    """A service that listens; nothing moves by itself."""
    from service_at_work import at_work

    async with at_work(tmp_path / "data") as service:
        yield service


@pytest.fixture
def hub_side(work: AtWork) -> HubSide:
    """The hub's side of waiting."""
    from waiting_at_work import HubSide

    return HubSide(work)
