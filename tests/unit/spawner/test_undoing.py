"""At whatever step a start is ended, or the hub dies, nothing is left of it."""

from __future__ import annotations

import asyncio

import pytest
from docker_api import FakeDockerAPI
from lease_service import FakeLeaseService

from himalia.states import LeaseState

CONTAINER = "himalia-testtesttest-server-alice"


async def eventually(condition, deadline_seconds: float = 5.0) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(deadline_seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def started(spawner, profile: str = "gpu"):
    """Start a server with a profile."""
    spawner.apply_user_options(spawner, {"profile": profile} if profile else {})
    return await spawner.start()


@pytest.mark.asyncio
@pytest.mark.parametrize("step", ["containers", "inspect_container", "inspect_image", "create_container", "start"])
@pytest.mark.parametrize("by", ["stop", "time-out"])
async def test_a_start_that_is_ended_in_any_call_of_the_engine_leaves_nothing(
    make, engine: FakeDockerAPI, service: FakeLeaseService, step, by
):
    engine.hold(step)
    limit = asyncio.timeout(None)
    start = asyncio.ensure_future(_within(limit, started(make())))
    await eventually(engine.entered[step].is_set)

    start.cancel() if by == "stop" else limit.reschedule(0)
    await eventually(lambda: start.cancelling() or start.done())  # it arrives while the call is still in its thread
    engine.let_go(step)
    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        await start

    await eventually(lambda: not service.live())
    assert engine.containers_by_id == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("step", ["GET /profiles", "POST /leases", "POST /bind"])
async def test_a_start_that_is_ended_in_any_call_of_the_service_leaves_nothing(make, engine, service, step):
    service.hold(step)
    start = asyncio.ensure_future(started(make(), ""))
    await eventually(service.entered[step].is_set)

    start.cancel()
    await asyncio.sleep(0)
    service.let_go(step)
    with pytest.raises(asyncio.CancelledError):
        await start

    await eventually(lambda: not service.live())
    assert engine.containers_by_id == {}


@pytest.mark.asyncio
async def test_a_start_that_is_ended_while_the_server_comes_up_leaves_nothing(make, engine, service, monkeypatch):
    async def never(ip: str, port: int) -> bool:
        return False

    monkeypatch.setattr("himalia_spawner.gpu_spawner._answers", never)
    start = asyncio.ensure_future(started(make()))
    await eventually(lambda: engine.containers_by_id and engine.only().status == "running")

    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start

    assert engine.containers_by_id == {}
    assert service.live() == []


@pytest.mark.asyncio
async def test_a_server_that_came_up_as_its_hub_died_is_stopped_with_its_lease(make, engine, service):
    await started(make())
    after = make()  # by a hub that kept no state of it

    assert await after.poll() is None
    assert after.get_state()["lease_id"] == service.live()[0].id
    await after.stop()

    assert engine.containers_by_id == {}
    assert service.live() == []


@pytest.mark.asyncio
async def test_a_container_that_was_made_as_its_hub_died_goes_with_its_lease(make, engine, service):
    lost = make()
    await started(lost)
    engine.only().status = "created"
    after = make()

    assert await after.poll() is not None
    await after.run_post_stop_hook()  # all that the hub calls then

    assert engine.containers_by_id == {}
    assert service.live() == []


@pytest.mark.asyncio
async def test_an_object_whose_start_failed_never_takes_the_container_of_the_next_one(make, engine, service):
    engine.failures["start"] = RuntimeError("the Engine refuses")
    failed = make()
    with pytest.raises(RuntimeError):
        await started(failed)
    del engine.failures["start"]
    await started(make())

    assert await failed.poll() is None  # it looks at the name, as DockerSpawner does
    await failed.run_post_stop_hook()

    assert engine.only().status == "running"
    assert len(service.in_state(LeaseState.HELD)) == 1


@pytest.mark.asyncio
async def test_a_choice_that_failed_is_not_taken_again_by_itself(make, engine, service):
    spawner = make()
    spawner.orm_spawner.user_options = {"profile": "gpu"}
    engine.failures["start"] = RuntimeError("the Engine refuses")

    with pytest.raises(RuntimeError):
        await started(spawner)

    assert spawner.orm_spawner.user_options == {}
    assert 'value="cpu" required checked' in " ".join((await spawner.get_options_form()).split())


@pytest.mark.asyncio
async def test_a_choice_that_a_server_runs_with_is_kept(make):
    spawner = make()
    spawner.orm_spawner.user_options = {"profile": "gpu"}

    await started(spawner)

    assert spawner.orm_spawner.user_options == {"profile": "gpu"}


async def _within(limit: asyncio.Timeout, work) -> None:
    """Do something within a time that the test ends."""
    async with limit:
        await work
