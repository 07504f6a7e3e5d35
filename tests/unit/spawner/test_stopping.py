"""Whoever presses *Stop* gets their server stopped, whatever it is doing and however slow the rest is."""

from __future__ import annotations

import asyncio
from shutil import rmtree

import pytest
from docker.errors import DockerException
from hub_api import HubAPI
from jupyterhub import orm
from jupyterhub.objects import Server
from jupyterhub.spawner import Spawner
from jupyterhub.user import User

from himalia.processes import Sightings
from himalia_spawner.gpu_spawner import VANISHED_SECONDS
from himalia_spawner.lease_mixin import VANISHED


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


@pytest.fixture
def proc(tmp_path, engine, spawner_class, monkeypatch):
    """Give the processes of a machine of the test's own, and a function that lets time pass on it."""
    now = 0.0

    def passes(seconds: float) -> None:
        nonlocal now
        now += seconds

    folder = tmp_path / "proc"
    monkeypatch.setattr(spawner_class, "sightings", Sightings(folder, lambda: now))
    return folder, passes


def run_in(container, folder, pid: int) -> None:
    """Let a process run in a container."""
    container.pid = pid
    (folder / str(pid)).mkdir(parents=True)
    (folder / str(pid) / "cgroup").write_text(f"0::/system.slice/docker-{container.id}.scope\n")


@pytest.mark.asyncio
@pytest.mark.fault(25)
async def test_a_server_whose_end_the_engine_missed_gives_back_what_it_holds(hub_db, make, engine, service, up, proc):
    folder, passes = proc
    spawner = make()
    hub = HubAPI(hub_db, spawner)
    await hub.start(profile="gpu")
    run_in(engine.only(), folder, 77)
    assert await spawner.poll_and_notify() is None
    rmtree(folder / "77")

    assert await spawner.poll_and_notify() is None  # the Engine may yet tell
    passes(VANISHED_SECONDS)
    assert await spawner.poll_and_notify() == VANISHED

    assert (spawner.ready, spawner.orm_spawner.server) == (False, None)
    assert (engine.containers_by_id, service.live()) == ({}, [])
    assert ("stop", spawner.object_name) not in engine.calls  # which an Engine that believes it to run would wait for


@pytest.mark.asyncio
@pytest.mark.fault(25)
@pytest.mark.parametrize("left", ["another process of it", "nothing, and none was ever seen"])
async def test_a_server_that_may_run_is_never_taken_for_one_that_ended(make, engine, service, proc, left):
    folder, passes = proc
    spawner = make()
    spawner.apply_user_options(spawner, {"profile": "gpu"})
    await spawner.start()
    if left == "another process of it":
        run_in(engine.only(), folder, 77)
        engine.only().pid = 76

    assert await spawner.poll() is None
    passes(3600)

    assert await spawner.poll() is None
    assert len(service.live()) == 1


@pytest.mark.asyncio
async def test_a_hub_that_sees_another_server_sees_that_one_has_ended(make, engine, service, proc):
    folder, passes = proc
    alices, bobs = make("alice"), make("bob")
    for spawner in (alices, bobs):
        spawner.apply_user_options(spawner, {"profile": "cpu"})
        await spawner.start()
    run_in(engine.named(bobs.object_name), folder, 77)
    assert (await bobs.poll(), await alices.poll()) == (None, None)

    passes(VANISHED_SECONDS)

    assert (await bobs.poll(), await alices.poll()) == (None, VANISHED)
