"""Fixtures: `hub_db` (a hub's database in memory), `engine` (a fake Engine), `service` (a fake lease service), `make`.

Of the platform's commands: `place` (an installation), `clean_environment`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from docker_api import FakeDockerAPI  # the fakes are found through the line above
from jupyterhub import orm
from jupyterhub.objects import Hub
from jupyterhub.user import User
from lease_service import FakeLeaseService
from sqlalchemy.orm import Session

from himalia_spawner import GPUSpawner
from himalia_spawner.platform.place import Place, write_config

INSTALLATION = "testtesttest"
Make = Callable[..., GPUSpawner]


@pytest.fixture
def hub_db() -> Iterator[Session]:
    """Give a hub's database, with a team."""
    session = orm.new_session_factory("sqlite:///:memory:")()
    session.add(orm.Group(name="lab"))
    session.commit()
    yield session
    session.close()
    session.bind.dispose()


@pytest.fixture
def engine() -> Iterator[FakeDockerAPI]:
    """Give a Docker Engine in memory."""
    fake = FakeDockerAPI()
    yield fake
    fake.close()


@pytest_asyncio.fixture
async def service() -> AsyncIterator[FakeLeaseService]:
    """Give a lease service that listens."""
    fake = FakeLeaseService()
    await fake.listen()
    yield fake
    await fake.hang_up()


@pytest.fixture
def spawner_class(engine: FakeDockerAPI) -> Iterator[type[GPUSpawner]]:
    """Give a class of its own: client, pool and sweeping times belong to the class."""

    class SpawnerUnderTest(GPUSpawner):
        _client = engine
        calls = None
        _swept = float("-inf")

    yield SpawnerUnderTest
    if SpawnerUnderTest.calls is not None:
        engine.close()
        SpawnerUnderTest.calls.pool.shutdown()


@pytest.fixture
def make(hub_db: Session, engine: FakeDockerAPI, service: FakeLeaseService, spawner_class: type[GPUSpawner]) -> Make:
    """Give a function that makes a Spawner object for a user's server, as the hub does; twice makes two objects."""

    def make_spawner(
        user: str = "alice", *, server: str = "", teams: tuple[str, ...] = (), **traits: Any
    ) -> GPUSpawner:
        found = orm.User.find(hub_db, user)
        if found is None:
            found = orm.User(name=user)
            found.groups = [orm.Group.find(hub_db, team) for team in teams]
            hub_db.add(found)
            hub_db.commit()
        owner = User(found, {})
        if server not in owner.orm_spawners:
            owner._new_orm_spawner(server, server)
        known = {
            "hub": Hub(),
            "installation": INSTALLATION,
            "service_url": service.url,
            "service_token": service.token,
            "network_name": "servers",
            "port": engine.port,
            "patience_seconds": 0.0,
        }
        spawner = owner._new_spawner(server, spawner_class=spawner_class, **(known | traits))
        spawner.api_token = "secret"
        return spawner

    return make_spawner


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the environment reach the tests, and no test ask a Docker Engine."""
    for name in ("HIMALIA_CONFIG", "HIMALIA_DATA", "HIMALIA_ROOT", "HIMALIA_PROXY", "SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("himalia_spawner.platform.place.servers_gateway", lambda installation: "127.0.0.1")


@pytest.fixture
def place(tmp_path: Path, clean_environment: None) -> Place:
    """Give an installation that nobody has started."""
    config = tmp_path / "platform" / "himalia.toml"
    write_config(config)
    return Place.load(config)
