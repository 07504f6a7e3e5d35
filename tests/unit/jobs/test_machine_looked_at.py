"""The local engine looks at its machine while what is known of the GPUs changes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from service_at_work import AtWork

from himalia_jobs.engines.docker import LocalEngine

pytestmark = pytest.mark.asyncio


async def test_other_gpus_that_are_seen_during_a_look_do_not_break_it(work: AtWork, monkeypatch):
    asked: list[str] = []

    async def docker(method: str, *_: Any, **__: Any) -> dict[str, Any]:
        asked.append(method)
        if method == "ping":
            work.engine._gpus_changed(True)  # what the watch of the GPUs does, in a task of its own
        return {"NCPU": 4, "MemTotal": 2**34, "ServerVersion": "20.10.24"}

    docker.answered = -math.inf  # type: ignore[attr-defined]
    monkeypatch.setattr(work.engine, "docker", docker)

    looks = [(await LocalEngine.nodes(work.engine))[0].cpus for _ in range(3)]

    assert looks == [4.0, 4.0, 4.0]
    assert asked == ["info", "ping", "info"]
