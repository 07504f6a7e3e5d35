"""The form shows what is free now, and nothing but a profile can be chosen."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from jupyterhub.spawner import SpawnException

from himalia.models import Notice
from himalia.site import Profile
from himalia_spawner import GPUSpawner
from himalia_spawner.profiles import known_profile, share_in_words


@pytest.mark.asyncio
async def test_the_form_shows_each_open_profile_with_its_share_and_what_is_free(make, service):
    service.gpus = 0

    form = await make().get_options_form()

    assert "One GPU" in form
    assert "1 CPU, 2.0 GB memory, 1 GPU" in form
    assert "All GPUs are taken." in form
    assert "For the team" not in form


@pytest.mark.asyncio
async def test_the_form_works_while_the_service_is_down(make, service):
    await service.hang_up()
    known = [
        known_profile(Profile(name="small", title="Small one", gpus="2")),
        known_profile(Profile(name="other", title="Not for alice", users=("bob",))),
    ]

    form = await make(known_profiles=known).get_options_form()

    assert "job service does not answer" in form
    assert "Small one" in form
    assert "2 GPUs" in form
    assert "Not for alice" not in form


@pytest.mark.asyncio
async def test_the_form_says_what_is_planned(make, service):
    assert "New driver" not in await make().get_options_form()

    said = "New driver from 2030-01-01T14:20Z to 2030-01-01T16:00Z: nothing starts that would run into it."
    day = datetime(2030, 1, 1, tzinfo=UTC)
    service.notices = (Notice(kind="maintenance", text=said, start=day, end=day),)
    form = await make().get_options_form()

    assert "New driver from Tue 1 Jan 14:20 UTC to Tue 1 Jan 16:00 UTC: nothing starts" in form
    assert 'value="gpu"' in form


@pytest.mark.asyncio
async def test_the_form_says_why_the_last_server_was_ended(make, service):
    assert "was stopped" not in await make().get_options_form()

    service.ended = "Your server was stopped at 2030-01-01T14:20Z: its GPU had not been used for 2 h."

    assert "Your server was stopped at Tue 1 Jan 14:20 UTC: its GPU had not been" in await make().get_options_form()


@pytest.mark.asyncio
async def test_what_was_chosen_last_is_marked_and_what_is_gone_is_not(make):
    spawner = make()
    spawner.orm_spawner.user_options = {"profile": "gpu"}
    assert 'value="gpu" required checked' in (await spawner.get_options_form()).replace("\n", " ").replace("  ", "")

    spawner.orm_spawner.user_options = {"profile": "removed"}
    assert 'value="cpu" required checked' in (await spawner.get_options_form()).replace("\n", " ").replace("  ", "")


@pytest.mark.asyncio
async def test_texts_of_the_operator_are_escaped(make, service):
    service.profiles = (Profile(name="x", title="<script>alert(1)</script>"),)

    assert "<script>" not in await make().get_options_form()


@pytest.mark.asyncio
async def test_an_administrators_own_form_is_left_as_it_is(make):
    spawner = make(options_form="<b>mine</b>", options_from_form=lambda data: {"profile": data["p"][0]})

    assert await spawner.get_options_form() == "<b>mine</b>"
    assert spawner.run_options_from_form({"p": ["gpu"]}) == {"profile": "gpu"}


@pytest.mark.asyncio
async def test_form_and_address_are_read_alike(make):
    spawner = make()

    assert spawner.run_options_from_form({"profile": ["gpu"], "clean": ["1"], "_xsrf": ["t"]}) == {
        "profile": "gpu",
        "clean": "1",
    }
    assert spawner.options_from_query({"profile": ["gpu"]}) == {"profile": "gpu"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "options",
    [
        {"image": "evil:latest"},
        {"profile": "gpu", "mem_limit": "1T"},
        {"profile": ["gpu"]},
        {"profile": 7},
        {"clean": "maybe"},
        {"clean": []},
        {"extra_host_config": {"privileged": True}},
    ],
)
async def test_anything_but_a_profile_is_refused_also_for_calls_of_the_api(make, options):
    spawner = make()

    with pytest.raises(SpawnException) as refused:
        await begin(spawner, options)

    assert refused.value.status_code == 400


@pytest.mark.asyncio
async def test_a_refusal_leaves_no_traceback_in_the_hubs_log_and_nothing_starts_in_spite_of_it(make, engine, caplog):
    spawner = make()
    spawner.log = logging.getLogger("hub")

    await spawner._run_apply_user_options({"image": "evil:latest"})

    assert [record for record in caplog.records if record.exc_info] == []
    with pytest.raises(SpawnException, match="cannot be chosen"):
        await spawner.start()
    assert engine.calls == []


@pytest.mark.asyncio
async def test_a_refusal_ends_with_the_next_choice_and_comes_before_the_administrators_hook(make):
    hooked = []
    spawner = make(pre_spawn_hook=lambda spawner: hooked.append(spawner.profile))
    with pytest.raises(SpawnException):
        await begin(spawner, {"image": "evil:latest"})

    await begin(spawner, {"profile": "gpu"})

    assert hooked == ["gpu"]


@pytest.mark.asyncio
async def test_a_choice_lasts_for_one_start_only(make):
    spawner = make()
    await spawner._run_apply_user_options({"profile": "gpu", "clean": True})

    await spawner._run_apply_user_options({})

    assert (spawner.profile, spawner.clean) == ("", False)


@pytest.mark.asyncio
async def test_a_clean_start_leaves_out_what_the_person_installed(make, engine):
    spawner = make()
    await spawner._run_apply_user_options({"profile": "cpu", "clean": "1"})

    await spawner.start()

    assert engine.only().arguments["environment"]["PYTHONNOUSERSITE"] == "1"


@pytest.mark.parametrize(
    ("gpus", "words"), [("0", "no GPU"), ("1", "1 GPU"), ("2", "2 GPUs"), ("H200:2", "2 GPUs (H200:2)")]
)
def test_a_share_is_told_in_words(gpus, words):
    assert share_in_words(2.5, 1024**3, gpus) == f"2.5 CPUs, 1.0 GB memory, {words}"


KNOWN = [
    known_profile(Profile(name="cpu")),
    known_profile(Profile(name="ours", teams=("lab",))),
    known_profile(Profile(name="bobs", users=("bob",))),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("profile", "status", "words"),
    [
        ("huge", 422, "There is no profile 'huge' for servers. There are: cpu, ours, bobs."),
        ("ours", 403, "not for you"),
        ("bobs", 403, "not for you"),
    ],
)
async def test_a_profile_that_is_not_offered_is_refused_before_anything_begins(make, service, profile, status, words):
    spawner = make(known_profiles=KNOWN)
    spawner.orm_spawner.user_options = {"profile": profile}

    with pytest.raises(SpawnException) as refused:
        await begin(spawner, {"profile": profile})

    assert (refused.value.status_code, refused.value.reason) == (status, "options")
    assert words in refused.value.message
    assert spawner.orm_spawner.user_options == {}  # the hub would take it again by itself
    assert service.calls == []


@pytest.mark.asyncio
async def test_a_profile_of_ones_team_is_taken(make):
    spawner = make("dora", teams=("lab",), known_profiles=KNOWN)

    await spawner._run_apply_user_options({"profile": "ours"})

    assert spawner.profile == "ours"


async def begin(spawner: GPUSpawner, options: dict[str, Any]) -> None:
    """Do what the hub does with a choice before it calls `start`."""
    await spawner._run_apply_user_options(options)
    spawner.run_pre_spawn_hook()
