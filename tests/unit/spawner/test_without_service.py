"""Without a job service GPUSpawner is DockerSpawner."""

from __future__ import annotations

import pytest
from dockerspawner import DockerSpawner

from himalia_spawner import GPUSpawner


def test_the_class_can_be_made_without_arguments():
    spawner = GPUSpawner()

    assert spawner.service_url == ""
    assert spawner.remove is False
    assert spawner.pull_policy == DockerSpawner().pull_policy
    assert not spawner.apply_user_options
    assert spawner.will_resume is True


@pytest.mark.asyncio
async def test_it_shows_dockerspawners_form(make):
    plain = make(service_url="")
    assert await plain.get_options_form() == ""

    choosing = make("bob", service_url="", allowed_images=["a", "b"])
    assert "Select an image" in await choosing.get_options_form()
    assert choosing.run_options_from_form({"image": ["b"]}) == {"image": "b"}


@pytest.mark.asyncio
@pytest.mark.parametrize("remove", [False, True])
async def test_it_starts_and_stops_without_a_lease_and_keeps_dockerspawners_state(make, engine, service, remove):
    spawner = make(service_url="", remove=remove, image="image:1", pull_policy="skip")

    await spawner.start()
    running = spawner.get_state()
    await spawner.stop()
    await spawner.run_post_stop_hook()

    assert running == {"object_id": running["object_id"], "object_name": "jupyter-alice"}
    assert set(spawner.get_state()) == (set() if remove else {"object_id", "object_name"})
    assert len(engine.containers_by_id) == (0 if remove else 1)
    assert service.calls == []


@pytest.mark.asyncio
async def test_it_makes_the_containers_that_dockerspawner_makes(make, engine):
    await make(service_url="", image="image:1", pull_policy="skip").start()

    made = engine.only().arguments
    assert "user" not in made
    assert "himalia" not in str(made.get("labels"))
