"""Whoever presses *Stop* gets their server stopped, whatever it is doing and however slow the rest is."""

from __future__ import annotations

import asyncio

import pytest
from docker.errors import DockerException
from hub_api import HubAPI
from jupyterhub import orm
from jupyterhub.objects import Server
from jupyterhub.spawner import Spawner
from jupyterhub.user import User


async def eventually(condition, deadline_seconds: float = 5.0) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(deadline_seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def up(monkeypatch):
    """Let the hub find the pages of every server that runs."""

    async def is_up(user: User, spawner: Spawner) -> None:
        spawner._waiting_for_response = spawner._start_pending = False

    monkeypatch.setattr(User, "_wait_up", is_up)


@pytest.mark.asyncio
async def test_a_start_whose_undoing_takes_long_is_stopped_by_one_press(hub_db, make, engine, service):
    spawner = make()
    hub = HubAPI(hub_db, spawner)
    service.hold("POST /bind")
    start = asyncio.ensure_future(hub.start(profile="gpu"))
    await eventually(service.entered["POST /bind"].is_set)

    engine.hold("remove_container")
    stop = asyncio.ensure_future(hub.stop())
    await eventually(lambda: spawner.pending == "stop")
    assert not stop.done()
    assert len(service.live()) == 1  # as long as its container is there
    engine.let_go("remove_container")

    assert await stop == 204
    assert (await asyncio.gather(start, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert (spawner.pending, spawner.ready, spawner.orm_spawner.server) == (None, False, None)
    assert (engine.containers_by_id, service.live()) == ({}, [])


@pytest.mark.asyncio
async def test_a_start_that_nobody_saw_to_its_end_can_be_stopped(hub_db, make, engine, service):
    spawner = make()
    hub = HubAPI(hub_db, spawner)
    service.hold("POST /bind")
    start = asyncio.ensure_future(hub.start(profile="gpu"))
    await eventually(service.entered["POST /bind"].is_set)
    spawner._spawn_future.cancel()  # by a stop that was then refused
    await asyncio.gather(start, return_exceptions=True)
    await eventually(lambda: not service.live())
    assert spawner.ready  # so JupyterHub shows it

    assert await hub.stop() == 204

    assert (spawner.ready, spawner.orm_spawner.server) == (False, None)


@pytest.mark.asyncio
async def test_a_server_that_ended_while_the_proxy_was_away_is_not_shown_as_running(hub_db, make, engine, service, up):
    spawner = make()
    hub = HubAPI(hub_db, spawner)
    await hub.start(profile="gpu")
    assert spawner.ready
    hub.proxy_fails = TimeoutError("the proxy does not answer")
    engine.die(engine.only())

    assert await spawner.poll_and_notify() is not None  # as the hub does by itself, every few seconds

    assert (spawner.ready, spawner.orm_spawner.server) == (False, None)
    assert (engine.containers_by_id, service.live()) == ({}, [])


@pytest.mark.asyncio
async def test_an_end_that_is_being_seen_to_is_not_seen_to_twice(hub_db, make, engine, service, up):
    spawner = make()
    hub = HubAPI(hub_db, spawner)
    await hub.start(profile="gpu")
    engine.die(engine.only())
    hub.proxy_answers.clear()
    first = asyncio.ensure_future(spawner.poll_and_notify())
    await eventually(lambda: hub.proxy_asked > 1)

    assert await hub.stop() == 204
    assert spawner.ready  # the first look has not come further yet
    hub.proxy_answers.set()
    await first

    assert not spawner.ready
    assert service.live() == []


@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["it has ended", "the Engine is silent"])
async def test_a_hub_that_starts_is_told_the_address_it_knows_where_there_is_no_other(hub_db, make, engine, why):
    spawner = make()
    spawner.apply_user_options(spawner, {"profile": "gpu"})
    await spawner.start()
    known = orm.Server(ip="192.0.2.1", port=8888, base_url="/user/alice/")
    hub_db.add(known)
    hub_db.commit()
    spawner.server = Server(orm_server=known)
    if why == "it has ended":
        engine.die(engine.only())
    else:
        engine.failures["inspect_container"] = DockerException("nobody answers")

    assert await spawner.get_url() == "http://192.0.2.1:8888/user/alice/"
