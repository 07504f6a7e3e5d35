"""The rules of the queue: from the operator's file, and from the properties of the hub's groups."""

from __future__ import annotations

import pytest
from service_at_work import AtWork, at_work

from himalia.errors import FieldError
from himalia.queueing import Quota
from himalia.site import Site
from himalia_jobs.rulebook import Rulebook, rules_of

pytestmark = pytest.mark.asyncio
NLP = Quota(team="nlp", gpus=1)


async def test_the_properties_of_groups_come_and_go_without_a_restart(work: AtWork):
    work.hub.groups = {f"g{number}": {} for number in range(250)} | {"nlp": {"himalia": {"gpus": 1}}}
    await work.service.rulebook.refresh()
    first = work.service.rulebook.rules.quotas

    work.hub.groups = {}
    await work.service.rulebook.refresh()

    assert (first, work.service.rulebook.rules.quotas) == ((NLP,), ())


async def test_while_the_hub_is_silent_what_it_said_last_holds_also_after_a_restart(work: AtWork):
    work.hub.groups = {"nlp": {"himalia": {"gpus": 1}}}
    await work.service.rulebook.refresh()
    await work.hub.hang_up()

    await work.service.rulebook.refresh()
    restarted = Rulebook(work.service.db, work.service.hub, work.service.site)
    await restarted.refresh()

    assert work.service.rulebook.rules.quotas == restarted.rules.quotas == (NLP,)


async def test_what_a_limit_never_allows_is_refused_and_what_is_over_it_now_waits(tmp_path):
    async with at_work(tmp_path / "data", quotas=[{"user": "*", "gpus": 1}]) as work:
        refused = await work.ask("POST", "jobs", json={"project": "p", "command": "true", "gpus": "2"})
        for _ in range(2):
            await work.submit(gpus="1")
        await work.service._round()
        queue = (await work.ask("GET", "gpus")).json()["queue"]

    assert refused.status_code == 422
    assert refused.json()["error"]["fields"]["gpus"].startswith(
        "Each person may hold 1 GPU at once, and this asks for 2."
    )
    assert [one["reason"] for one in queue] == ["at_limit"]
    assert queue[0]["sentence"].startswith("1st in line. Each person may hold 1 GPU at once, and 1 is held.")


async def test_a_server_is_held_to_the_same_limits(tmp_path):
    async with at_work(tmp_path / "data", quotas=[{"user": "ada", "gpus": 0}]) as work:
        wish = {"user": "ada", "spawn_id": "one", "profile": "gpu", "teams": ["nlp"]}
        refused = await work.ask("POST", "leases", "spawner", json=wish)

    assert refused.status_code == 422
    assert refused.json()["error"]["message"].startswith("ada may hold 0 GPUs at once, and this asks for 1.")


async def test_a_reservation_whose_gpus_cannot_be_read_is_told_at_the_start():
    plan = {"gpus": "1:2", "teams": ["nlp"], "start": "2030-01-01T00:00:00Z", "end": "2030-01-02T00:00:00Z"}

    with pytest.raises(FieldError, match="second time"):
        rules_of(Site.model_validate({"reservations": [plan]}))
    assert rules_of(Site()).reservations == ()
