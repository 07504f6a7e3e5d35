"""An image is asked for its packages in a container of its own, once, and none of these is left."""

from __future__ import annotations

import asyncio
import shutil

import docker
import pytest
import pytest_asyncio
from live_platform import IMAGE

from himalia.container import Label, container_name
from himalia.ids import new_id
from himalia_jobs.engines.base import LaunchSpec
from himalia_jobs.engines.calls import DockerCalls
from himalia_jobs.engines.packages import Packages
from himalia_jobs.layout import DataLayout
from himalia_spawner.platform.engine import belongings, remove_belongings

pytestmark = pytest.mark.asyncio
INSTALLATION = new_id()


@pytest.fixture
def engine():
    """The Docker Engine; what the installation of this module has there is removed."""
    client = docker.from_env()
    yield client
    remove_belongings(INSTALLATION, belongings(INSTALLATION))
    client.close()


@pytest_asyncio.fixture
async def packages(tmp_path):
    """Lists packages for attempts below a directory."""
    calls = DockerCalls(None)

    async def in_thread(call, *args):
        return await asyncio.to_thread(call, *args)

    yield Packages(calls, INSTALLATION, DataLayout(data=tmp_path), in_thread)
    calls.close()


def asking(engine) -> list:
    """Return the containers that ask."""
    return engine.containers.list(all=True, filters={"label": f"{Label.ASKS}={INSTALLATION}"})


async def listed(packages: Packages, tmp_path, image_id: str) -> str:
    """Note a new attempt and return its list."""
    job = new_id()
    spec = LaunchSpec(
        attempt=f"{job}.1",
        job_id=job,
        owner="user:ada",
        user="ada",
        lease_id="l",
        image_id=image_id,
        argv=("true",),
        cpus=1,
        memory_bytes=1,
    )
    DataLayout(data=tmp_path).attempt(spec.attempt).mkdir(parents=True)
    packages.note(spec)
    async with asyncio.timeout(90):
        while (found := await packages.read(spec.attempt)) is None:
            await asyncio.sleep(0.05)
    return found


async def test_a_container_that_a_killed_service_left_is_replaced_and_the_answer_is_kept(engine, packages, tmp_path):
    image_id = engine.images.get(IMAGE).id
    name = container_name(INSTALLATION, f"packages-{image_id.removeprefix('sha256:')[:12]}")
    engine.api.create_container(IMAGE, ["true"], name=name, labels={Label.ASKS: INSTALLATION})

    first, second = [await listed(packages, tmp_path, image_id) for _ in range(2)]

    assert "\nnumpy==" in first and first == second
    assert asking(engine) == []
    assert len(list((tmp_path / "engine" / "packages").iterdir())) == 1


async def test_an_image_without_python_has_none(engine, packages, tmp_path):
    folder = tmp_path / "image"
    folder.mkdir()
    shutil.copy("/bin/busybox", folder)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY busybox /\n")
    image, _ = engine.images.build(path=str(folder), tag=f"himalia/without-python:{INSTALLATION}")
    try:
        found = await listed(packages, tmp_path, image.id)
    finally:
        engine.images.remove(image.id, force=True)

    assert [line for line in found.splitlines() if not line.startswith("#")] == []
    assert asking(engine) == []
