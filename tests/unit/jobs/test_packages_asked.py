"""What an image has is asked of the Engine: only the image's own answer is kept, and the Engine's trouble is asked about again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import requests
from docker.errors import APIError

from himalia_jobs.engines.base import LaunchSpec
from himalia_jobs.engines.errors import Unknown
from himalia_jobs.engines.packages import Packages
from himalia_jobs.layout import DataLayout

pytestmark = pytest.mark.asyncio

SAYS = json.dumps({"packages": {"numpy": "1.0"}, "base": "", "site": ""}).encode()


class EngineThatAnswers:
    """A Docker Engine that makes, runs and removes one container, until it is told what goes wrong."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.made = 0
        self.fails: dict[str, Exception] = {}

    async def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Answer a call."""
        self.asked[method] += 1
        if method in self.fails:
            raise self.fails[method]
        if method == "remove_container":
            self.made = 0
        self.made += method == "create_container_from_config"
        return SAYS if method == "logs" else {}


def refusal(status: int, words: str) -> APIError:
    """Return what the Engine's client raises for an answer."""
    answer = requests.Response()
    answer.status_code = status
    return APIError(words, response=answer, explanation=words)


@pytest.fixture
def docker() -> EngineThatAnswers:
    """The Engine."""
    return EngineThatAnswers()


@pytest_asyncio.fixture
async def packages(docker, tmp_path):
    """Lists packages for attempts below a directory."""
    asker = Packages(docker, "i" * 12, DataLayout(data=tmp_path), asyncio.to_thread)
    yield asker
    await asker.close()


async def listed(packages: Packages, folder: Path, number: int = 1) -> list[str] | None:
    """Note an attempt and return its list once that is written, or given up; without its head."""
    attempt = f"{'b' * 12}.{number}"
    spec = LaunchSpec(
        attempt=attempt,
        job_id="b" * 12,
        owner="user:ada",
        user="ada",
        lease_id="l",
        image_id="sha256:1",
        argv=("true",),
        cpus=1,
        memory_bytes=1,
    )
    DataLayout(data=folder).attempt(attempt).mkdir(parents=True)
    packages.note(spec)
    await asyncio.gather(*packages._tasks)
    text = await packages.read(attempt)
    return None if text is None else [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("status", [400, 404])
async def test_an_image_without_python_is_known_as_that_and_not_asked_again(docker, packages, tmp_path, status):
    words = 'OCI runtime create failed: exec: "python3": executable file not found in $PATH'
    docker.fails = {"start": refusal(status, words)}

    found = [await listed(packages, tmp_path, number) for number in (1, 2)]

    assert found == [[], []]
    assert (docker.asked["create_container_from_config"], docker.made) == (1, 0)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("create_container_from_config", refusal(404, "No such image: sha256:1")),
        ("start", refusal(500, "the disk broke")),
        ("start", refusal(404, "No such container: himalia-packages")),  # somebody removed it
        ("wait", refusal(404, "No such container: himalia-packages")),
        ("wait", Unknown("the Docker Engine did not answer")),
        ("logs", refusal(500, "the disk broke")),
    ],
)
async def test_the_engines_own_trouble_says_nothing_of_the_image_and_it_is_asked_again(
    docker, packages, tmp_path, caplog, call, error
):
    docker.fails = {call: error}
    first = await listed(packages, tmp_path, 1)
    assert docker.made == 0

    docker.fails = {}
    second = await listed(packages, tmp_path, 2)

    assert (first, second) == (None, ["numpy==1.0"])
    assert f"the packages of {'b' * 12}.1 are not listed" in caplog.text


async def test_a_container_that_cannot_be_removed_costs_no_list(docker, packages, tmp_path):
    docker.fails = {"remove_container": refusal(409, "removal is already in progress")}

    assert await listed(packages, tmp_path) == ["numpy==1.0"]
