"""No start waits: what is not free stays in line by itself, and the next start of the server finds it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.spawner import SpawnException

from himalia.states import LeaseState
from himalia_spawner.in_line import InLine


async def started(spawner, profile: str = "gpu"):
    """Start a server with a profile."""
    spawner.apply_user_options(spawner, {"profile": profile})
    return await spawner.start()


async def in_line(spawner, profile: str = "gpu") -> InLine:
    """Return how a start ends that has to wait."""
    with pytest.raises(InLine) as waits:
        await started(spawner, profile)
    return waits.value


@pytest.mark.asyncio
async def test_a_start_that_must_wait_ends_at_once_and_its_server_stays_in_line(make, service, engine):
    service.gpus = 0
    spawner = make()
    spawner.user_options = {"profile": "gpu", "clean": "1"}

    told = await in_line(spawner)
    await spawner.run_post_stop_hook()  # the hub calls it after every start that failed

    (lease,) = service.live()
    assert (lease.state, lease.lasting, lease.options) == (LeaseState.WAITING, True, spawner.user_options)
    assert "1st in line. Waiting for GPUs that others hold" in told.message
    assert told.headers == {"Location": f"/services/jobs/waiting/{lease.id}"}
    assert engine.containers_by_id == {}
    assert spawner.get_state() == {}


@pytest.mark.asyncio
async def test_a_browser_is_sent_to_the_line_and_the_api_is_told_that_it_is_accepted(make, service):
    service.gpus = 0
    request = SimpleNamespace(protocol="https", host="gpu.example.org")
    browser, program = make(), make("bob")
    browser.handler = SimpleNamespace(request=request)
    program.handler = APIHandler.__new__(APIHandler)
    program.handler.request = request

    shown, answered = await in_line(browser), await in_line(program)

    assert (shown.status_code, answered.status_code) == (303, 202)
    assert "See https://gpu.example.org/services/jobs/waiting/" in answered.message
    assert shown.headers["Location"] in shown.jupyterhub_html_message


@pytest.mark.asyncio
async def test_the_next_start_gets_what_was_waited_for(make, service, engine):
    service.gpus = 0
    await in_line(make())
    service.gpus = 1
    service.wake()

    await started(make())

    (lease,) = service.live()
    assert (lease.state, lease.container) == (LeaseState.HELD, engine.only().name)
    assert len(service.leases) == 1


@pytest.mark.asyncio
async def test_a_start_for_a_wait_that_is_over_is_refused_and_the_next_one_is_not_for_it(make, service, engine):
    spawner = make()
    spawner.user_options = {"profile": "gpu", "wait": "cancelled234"}

    spawner.apply_user_options(spawner, spawner.user_options)
    with pytest.raises(SpawnException) as refused:
        await spawner.start()

    assert (refused.value.status_code, service.live(), engine.containers_by_id) == (409, [], {})
    assert (spawner.user_options, spawner.orm_spawner.user_options) == ({"profile": "gpu"}, {})
    await started(make())
    assert service.live()[0].state is LeaseState.HELD


@pytest.mark.asyncio
async def test_asking_again_keeps_the_place_also_without_a_choice(make, service):
    service.gpus = 0
    await in_line(make())
    await in_line(make("bob"))

    await in_line(make())
    told = await in_line(make(), "")

    assert "1st in line" in told.message
    assert [lease.request.user for lease in service.live()] == ["alice", "bob"]


@pytest.mark.asyncio
async def test_asking_for_something_else_gives_the_place_up(make, service):
    service.gpus = 0
    await in_line(make())

    await started(make(), "cpu")

    (lease,) = service.live()
    assert (lease.profile.name, lease.state) == ("cpu", LeaseState.HELD)


@pytest.mark.asyncio
async def test_servers_of_one_person_wait_each_for_itself(make, service):
    service.gpus = 0
    await in_line(make())
    await in_line(make(server="second"))

    assert [lease.request.server for lease in service.live()] == ["", "second"]


@pytest.mark.asyncio
async def test_a_server_runs_without_its_gpus_while_it_waits_for_them(make, service, engine):
    service.gpus = 0
    await in_line(make())
    service.live()[0].meanwhile = True

    spawner = make()
    await started(spawner)

    waiting, beside = service.live()
    assert (waiting.state, beside.state) == (LeaseState.WAITING, LeaseState.HELD)
    assert engine.only().arguments["environment"]["HIMALIA_GPUS"] == ""
    service.gpus = 1
    service.wake()
    await spawner.stop()
    await started(make())
    (lease,) = service.live()
    assert (lease.id, lease.state) == (waiting.id, LeaseState.HELD)
    assert engine.only().arguments["environment"]["HIMALIA_GPUS"] == "GPU-0"


@pytest.mark.asyncio
async def test_where_not_even_cpus_are_free_a_start_without_gpus_is_refused_and_the_place_kept(make, service):
    service.gpus = 0
    await in_line(make())
    service.live()[0].meanwhile, service.full = True, True

    with pytest.raises(SpawnException) as refused:
        await started(make())

    assert (refused.value.reason, refused.value.status_code) == ("no_room", 503)
    assert [lease.lasting for lease in service.live()] == [True]


@pytest.mark.asyncio
async def test_a_turn_whose_start_fails_goes_back(make, service, engine):
    service.gpus = 0
    await in_line(make())
    service.gpus = 1
    service.wake()
    engine.failures["create_container"] = RuntimeError("the Engine refuses")

    with pytest.raises(RuntimeError):
        await started(make())

    assert service.live() == []


@pytest.mark.asyncio
@pytest.mark.parametrize("call", ["POST /leases", "POST /stay"])
async def test_a_start_that_is_cancelled_before_it_is_in_line_leaves_nothing(make, service, call):
    service.gpus = 0
    service.hold(call)
    start = asyncio.ensure_future(started(make()))
    await asyncio.wait_for(service.entered[call].wait(), 5)

    start.cancel()
    service.let_go(call)
    with pytest.raises(asyncio.CancelledError):
        await start

    assert service.live() == []


@pytest.mark.asyncio
async def test_a_service_that_does_not_answer_is_told_in_words_with_a_reason(make, service, engine):
    await service.hang_up()

    with pytest.raises(SpawnException) as refused:
        await started(make())

    assert refused.value.reason == "service_down"
    assert refused.value.status_code == 503
    assert "job service does not answer" in refused.value.message
    assert engine.containers_by_id == {}


@pytest.mark.asyncio
async def test_a_service_that_must_not_work_is_quoted(make, service):
    service.refusal = "The database is newer than this service. Upgrade it."

    with pytest.raises(SpawnException) as refused:
        await started(make())

    assert refused.value.message == service.refusal
    assert refused.value.reason == "service_down"


@pytest.mark.asyncio
async def test_a_start_rides_out_a_short_restart_of_the_service(make, service):
    await service.hang_up()
    start = asyncio.ensure_future(started(make(patience_seconds=10.0)))
    await asyncio.sleep(0)

    await service.listen()

    await asyncio.wait_for(start, 5)
    assert service.in_state(LeaseState.HELD)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("profile", "status", "words"), [("huge", 422, "There is no profile 'huge'"), ("team", 403, "not for you")]
)
async def test_what_the_service_refuses_is_told_as_it_says(make, profile, status, words):
    with pytest.raises(SpawnException) as refused:
        await started(make(), profile)

    assert refused.value.status_code == status
    assert words in refused.value.message


@pytest.mark.asyncio
async def test_members_of_a_team_get_its_profile(make, service):
    await started(make("dora", teams=("lab",)), "team")

    (lease,) = service.live()
    assert lease.request.teams == ("lab",)


@pytest.mark.asyncio
async def test_without_a_choice_the_first_profile_that_is_open_is_taken(make, service):
    await started(make(), "")

    (lease,) = service.live()
    assert lease.profile.name == "cpu"
