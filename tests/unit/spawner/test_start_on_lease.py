"""A start takes a lease first, and gives it back whatever happens."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import requests
from docker.errors import DockerException
from docker_api import FakeDockerAPI
from jupyterhub.spawner import SpawnException
from lease_service import FakeLeaseService

from himalia.models import MountView
from himalia.states import LeaseState

LABELS = {"himalia": "testtesttest", "himalia.kind": "server"}


async def eventually(condition, deadline_seconds: float = 5.0) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(deadline_seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def started(spawner, profile: str = "gpu"):
    """Start a server with a profile."""
    spawner.apply_user_options(spawner, {"profile": profile})
    return await spawner.start()


@pytest.mark.asyncio
async def test_a_started_server_holds_its_lease(make, engine: FakeDockerAPI, service: FakeLeaseService):
    where = await started(make())

    assert where == ("127.0.0.1", engine.port)
    (lease,) = service.in_state(LeaseState.HELD)
    assert lease.container == engine.only().name
    assert engine.only().labels["himalia.lease"] == lease.id
    assert engine.only().status == "running"


@pytest.mark.asyncio
async def test_the_lease_is_bound_after_the_container_is_made_and_before_it_starts(make, engine, service):
    await started(make())

    order = [call for call, _ in engine.calls if call in ("create_container", "start")]
    assert order == ["create_container", "start"]
    engine.failures["start"] = RuntimeError("the Engine refuses")
    with pytest.raises(RuntimeError):
        await started(make("bob"))
    binds = [call for call in service.calls if call.endswith("/bind")]
    assert len(binds) == 2  # also the one that never started


@pytest.mark.asyncio
async def test_the_container_is_what_the_contract_and_the_lease_say(make, engine, service):
    service.mounts = (
        MountView(source="/data/homes/x", target="/home/jovyan"),
        MountView(source="/srv", target="/site", read_only=True),
    )

    await started(make(environment={"NVIDIA_VISIBLE_DEVICES": "all", "OWN": "kept"}))

    made = engine.only().arguments
    host = made["host_config"]
    assert made["user"] == "1000:100"
    assert made["image"] == service.image
    assert made["command"] == ["python3", "-s", "-m", "jupyterhub.singleuser"]
    assert made["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert made["environment"]["HIMALIA_GPUS"] == "GPU-0"
    assert made["environment"]["HOME"] == "/home/jovyan"
    assert made["environment"]["OWN"] == "kept"
    assert made["labels"]["himalia.owner"] == "user:alice"
    assert made["labels"]["himalia.slots"] == "GPU-0"
    assert (made["labels"]["himalia.cpus"], made["labels"]["himalia.memory"]) == ("1", str(2 * 1024**3))
    assert len(made["labels"]["himalia.spec"]) == 64
    assert (host["CapDrop"], host["SecurityOpt"], host["Privileged"]) == (["ALL"], ["no-new-privileges"], False)
    assert host["Memory"] == host["MemorySwap"] == 2 * 1024**3
    assert (host["Init"], host["AutoRemove"], host["RestartPolicy"]) == (True, False, {"Name": "no"})
    assert host["Mounts"][1] == {"Type": "bind", "Source": "/srv", "Target": "/site", "ReadOnly": True}
    assert host["NetworkMode"] == "servers"


@pytest.mark.asyncio
async def test_an_administrators_additions_stay_but_never_above_the_contract(make, engine):
    spawner = make(
        extra_host_config={"dns": ["10.0.0.1"], "privileged": True, "cap_add": ["NET_ADMIN"]},
        extra_create_kwargs={"labels": {"site": "x", "himalia.lease": "forged"}, "user": "root"},
        volumes={"/srv/data": "/data"},
    )

    await started(spawner)

    made = engine.only().arguments
    assert made["host_config"]["Dns"] == ["10.0.0.1"]
    assert made["host_config"]["Binds"] == ["/srv/data:/data:rw"]
    assert made["host_config"]["Privileged"] is False
    assert made["user"] == "1000:100"
    assert made["labels"]["site"] == "x"
    assert made["labels"]["himalia.lease"] != "forged"


@pytest.mark.asyncio
async def test_limits_are_those_of_the_profile_chosen_now(make, engine, service):
    spawner = make()
    await started(spawner, "cpu")
    await spawner.stop()
    service.profiles = tuple(
        profile.model_copy(update={"memory": 8 * 1024**3, "cpus": 4.0}) for profile in service.profiles
    )

    await started(spawner, "gpu")

    assert engine.only().arguments["host_config"]["Memory"] == 8 * 1024**3
    assert engine.only().arguments["host_config"]["NanoCpus"] == 4_000_000_000
    assert engine.only().arguments["environment"]["MEM_LIMIT"] == str(8 * 1024**3)


@pytest.mark.asyncio
async def test_stopping_removes_the_container_and_then_releases_the_lease(make, engine, service):
    spawner = make()
    await started(spawner)
    service.container_runs = lambda lease_id: bool(engine.containers_by_id)

    await spawner.stop()

    assert engine.containers_by_id == {}
    assert service.live() == []
    assert spawner.get_state() == {}


@pytest.mark.asyncio
async def test_a_container_that_died_by_itself_releases_its_lease_through_the_hook(make, engine, service):
    spawner = make()
    await started(spawner)
    engine.die(engine.only(), out_of_memory=True)

    assert await spawner.poll() is not None
    await spawner.run_post_stop_hook()  # all that the hub calls then

    assert engine.containers_by_id == {}
    assert service.live() == []
    assert any(call == "logs" for call, _ in engine.calls)  # its last words are kept


@pytest.mark.asyncio
async def test_an_object_made_after_a_restart_of_the_hub_stops_what_the_first_one_started(make, engine, service):
    first = make()
    await started(first)
    second = make()
    second.load_state(first.get_state())

    assert await second.poll() is None
    await second.stop()

    assert engine.containers_by_id == {}
    assert service.live() == []


@pytest.mark.asyncio
async def test_a_stale_container_is_replaced_and_its_lease_released_before_a_new_one_is_asked_for(
    make, engine, service
):
    service.gpus = 1
    await started(make())
    old = engine.only().id

    await asyncio.wait_for(started(make()), 5)  # another object; it would wait for its own predecessor

    assert engine.only().id != old
    assert len(service.live()) == 1


@pytest.mark.asyncio
async def test_a_start_that_is_cancelled_while_the_engine_makes_the_container_leaves_none(make, engine, service):
    engine.hold("create_container")
    start = asyncio.ensure_future(started(make()))
    await eventually(engine.entered["create_container"].is_set)

    start.cancel()
    await asyncio.sleep(0)  # the cancellation arrives while the call is still in its thread
    engine.let_go("create_container")
    with pytest.raises(asyncio.CancelledError):
        await start

    assert ("create_container", "himalia-testtesttest-server-alice") in engine.calls
    assert engine.containers_by_id == {}
    assert service.live() == []


@pytest.mark.asyncio
async def test_a_start_that_is_cancelled_twice_is_still_undone(make, engine, service):
    engine.hold("create_container")
    start = asyncio.ensure_future(started(make()))
    await eventually(engine.entered["create_container"].is_set)
    start.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    engine.let_go("create_container")

    await eventually(lambda: not service.live())
    assert engine.containers_by_id == {}


@pytest.mark.asyncio
async def test_stopping_ends_a_start_that_is_under_way(make, engine, service):
    service.hold("POST /bind")
    spawner = make()
    start = asyncio.ensure_future(started(spawner))
    await eventually(service.entered["POST /bind"].is_set)
    assert await spawner.poll() is None  # a start under way counts as running

    await spawner.stop()

    assert start.cancelled()
    assert service.live() == []


@pytest.mark.asyncio
async def test_a_lease_whose_answer_was_lost_is_given_back(make, service):
    service.lose_answers = 1

    with pytest.raises(SpawnException):
        await started(make())

    assert len(service.leases) == 1
    assert service.live() == []


@pytest.mark.asyncio
async def test_a_container_is_not_started_when_its_reservation_has_lapsed(make, engine, service):
    engine.hold("create_container")
    start = asyncio.ensure_future(started(make()))
    await eventually(engine.entered["create_container"].is_set)
    (lease,) = service.live()
    service.release(lease.id)
    engine.let_go("create_container")

    with pytest.raises(SpawnException) as told:
        await start

    assert told.value.reason == "lease_lapsed"
    assert not any(call == "start" for call, _ in engine.calls)
    assert engine.containers_by_id == {}


@pytest.mark.asyncio
async def test_a_server_that_ends_while_it_starts_is_told_in_words(make, engine, service, monkeypatch):
    monkeypatch.setattr("himalia_spawner.gpu_spawner.ALIVE_POLL_SECONDS", 0.0)
    monkeypatch.setattr("himalia_spawner.gpu_spawner._answers", _never_answers)
    engine.answering = False

    with pytest.raises(SpawnException) as told:
        await started(make())

    assert told.value.reason == "ended"
    assert "clean start" in told.value.message
    assert engine.containers_by_id == {}
    assert service.live() == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "silence",
    [
        requests.exceptions.ConnectionError("refused"),
        requests.exceptions.Timeout("too long"),
        DockerException("Error while fetching server API version"),
    ],
    ids=lambda silence: type(silence).__name__,
)
async def test_an_engine_that_does_not_answer_is_told_in_words(make, engine, service, silence):
    engine.failures["create_container"] = silence

    with pytest.raises(SpawnException) as told:
        await started(make())

    assert told.value.reason == "engine_down"
    assert service.live() == []


@pytest.mark.asyncio
async def test_containers_that_were_made_and_never_started_are_swept_with_their_leases(make, engine, service):
    engine.add("himalia-testtesttest-server-old", labels=LABELS | {"himalia.lease": "oldlease"}, age=timedelta(hours=1))
    fresh = engine.add("himalia-testtesttest-server-fresh", labels=LABELS)
    foreign = engine.add("other", labels=LABELS | {"himalia": "another"}, age=timedelta(hours=1))
    running = engine.add("himalia-testtesttest-server-runs", labels=LABELS, status="running", age=timedelta(hours=1))

    await started(make())

    left = set(engine.containers_by_id)
    assert {fresh.id, foreign.id, running.id} < left
    assert len(left) == 4
    assert "DELETE /leases/oldlease" in service.calls


@pytest.mark.asyncio
async def test_a_late_undo_leaves_the_container_of_the_next_start_alone(make, engine, service):
    first, second = make(), make()
    await started(first)
    await started(second)  # took the place of the first

    await first.run_post_stop_hook()

    assert engine.only().status == "running"
    assert len(service.live()) == 1


@pytest.mark.asyncio
async def test_named_servers_have_containers_and_leases_of_their_own(make, engine, service):
    await started(make())
    await started(make(server="second"))

    names = {container.name for container in engine.containers_by_id.values()}
    assert names == {"himalia-testtesttest-server-alice", "himalia-testtesttest-server-alice--second"}
    assert {lease.request.server for lease in service.live()} == {"", "second"}


@pytest.mark.asyncio
async def test_renaming_removes_what_the_old_name_left(make, engine):
    engine.add("himalia-testtesttest-server-alice--second", labels=LABELS, status="exited")

    await make(server="second").rename("second", "third")

    assert engine.containers_by_id == {}


async def _never_answers(ip: str, port: int) -> bool:
    return False
