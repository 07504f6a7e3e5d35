"""A Docker Engine that hangs, or answers with an error: who asked is told what is known, and others are not held up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import docker
import pytest
import pytest_asyncio
import requests
from docker_api import FakeDockerAPI

from himalia.site import Gpus, Site
from himalia_gpus.supervisor import watch_for
from himalia_jobs.engines.base import LaunchSpec, Phase
from himalia_jobs.engines.docker import LocalEngine
from himalia_jobs.engines.errors import EngineError, Finished, StartFailed, Unknown
from himalia_jobs.layout import DataLayout

pytestmark = [pytest.mark.asyncio, pytest.mark.fault(21)]

SPEC = LaunchSpec(
    attempt="jobjobjobjob.1",
    job_id="jobjobjobjob",
    owner="user:ada",
    user="ada",
    lease_id="l" * 12,
    image_id="sha256:1",
    argv=("true",),
    cpus=1.0,
    memory_bytes=2**30,
)
ANSWERED_SECONDS = 10.0  #: far less than the Engine hangs, however busy the machine is


class Creating(FakeDockerAPI):
    """The Engine as `LocalEngine` asks it to make a container."""

    def create_container_from_config(self, config: dict[str, Any], name: str) -> dict[str, Any]:
        """Make a container."""
        return self.create_container(name=name, labels=config["Labels"])


@pytest_asyncio.fixture
async def engine(tmp_path, monkeypatch) -> AsyncIterator[LocalEngine]:
    """An engine on a Docker Engine in memory."""
    monkeypatch.setattr("himalia_jobs.engines.containers.make_owned", lambda path, user: path)
    site, trees = Site(gpus=Gpus(simulate=0)), None
    layout = DataLayout(data=tmp_path / "data")
    engine = LocalEngine(site, "i" * 12, layout, trees, watch_for(site.gpus, "i" * 12))  # type: ignore[arg-type]
    api: Any = Creating()
    engine.docker._client = api
    yield engine
    api.close()
    await engine.close()


def api_of(engine: LocalEngine) -> Creating:
    """Return the Engine that an engine asks."""
    api: Any = engine.docker._client
    return api


async def test_an_engine_that_hangs_at_a_create_holds_up_nobody_else_and_what_it_did_is_found(engine):
    api = api_of(engine)
    api.hold("create_container")
    begun = time.monotonic()

    with pytest.raises(Unknown):
        await engine.launch(SPEC, timeout_seconds=0.1)
    others = await asyncio.gather(*(engine.status(f"otherjobothe.{number}") for number in range(1, 9)))

    assert time.monotonic() - begun < ANSWERED_SECONDS
    assert {other.phase for other in others} == {Phase.ABSENT}
    api.let_go("create_container")
    while api.named(f"himalia-{'i' * 12}-{SPEC.attempt}") is None:
        await asyncio.sleep(0)
    assert (await engine.launch(SPEC, timeout_seconds=10)).phase is Phase.RUNNING
    assert [one.name for one in api.containers_by_id.values()].count(f"himalia-{'i' * 12}-{SPEC.attempt}") == 1


async def test_an_error_of_the_engines_is_told_in_its_words_and_the_attempt_is_over(engine):
    response = requests.Response()
    response.status_code = 500
    words = "driver failed programming external connectivity"
    api_of(engine).failures["start"] = docker.errors.APIError(words, response=response, explanation=words)

    with pytest.raises(StartFailed, match=words):
        await engine.launch(SPEC, timeout_seconds=10)

    assert api_of(engine).containers_by_id == {}
    with pytest.raises(Finished):
        await engine.launch(SPEC, timeout_seconds=10)


async def test_an_engine_that_is_gone_is_unknown_and_nothing_is_concluded(engine):
    assert (await engine.launch(SPEC, timeout_seconds=10)).phase is Phase.RUNNING
    api_of(engine).failures["inspect_container"] = requests.exceptions.ConnectionError("Connection aborted")

    with pytest.raises(EngineError):
        await engine.status(SPEC.attempt)

    api_of(engine).failures.clear()
    assert (await engine.status(SPEC.attempt)).phase is Phase.RUNNING
