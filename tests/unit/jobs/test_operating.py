"""What administrators do with GPUs: empty one, end a hold; it is written down for good, and the holder is told."""

from __future__ import annotations

import pytest
from service_at_work import AtWork

from himalia.errors import Unavailable
from himalia.states import LeaseState
from himalia_jobs.engines.gpus import GPUUse
from himalia_jobs.hub_servers import HubAnswer, HubServers
from himalia_jobs.store import events, jobs, leases

pytestmark = pytest.mark.asyncio

WISH = {"user": "ada", "spawn_id": "one", "profile": "gpu", "teams": ["nlp"]}


@pytest.fixture
def stopped(monkeypatch) -> list[tuple[str, str]]:
    """The servers that the hub was asked to stop."""
    asked: list[tuple[str, str]] = []

    async def stop(self: HubServers, user: str, server: str) -> HubAnswer:
        asked.append((user, server))
        return HubAnswer(status=202)

    monkeypatch.setattr(HubServers, "stop", stop)
    return asked


async def notebook(work: AtWork, **changes: object) -> str:
    """Let a notebook have a GPU; return its lease."""
    made = (await work.ask("POST", "leases", "spawner", json=WISH | changes)).json()
    await work.service._round()
    bound = await work.ask("POST", f"leases/{made['id']}/bind", "spawner", json={"container": "c1"})
    assert bound.json()["state"] == "held"
    return str(made["id"])


async def job_with_gpu(work: AtWork, who: str = "ada", **fields: object) -> str:
    """Let a job have a GPU."""
    job = await work.submit(who, gpus="1", **fields)
    await work.service._round()
    await work.attempt_runs(job["id"])
    return str(job["id"])


async def slot(work: AtWork, index: int = 0, who: str = "root") -> dict[str, object]:
    return dict((await work.ask("GET", "gpus", who)).json()["slots"][index])


async def done(work: AtWork) -> list[str]:
    found = (await work.ask("GET", "interventions", "root")).json()["interventions"]
    return [one["sentence"] for one in found]


async def test_a_drained_gpu_keeps_its_holder_and_gets_no_next_one(work: AtWork):
    lease = await notebook(work)

    drained = (await work.ask("POST", "gpus/GPU-0/drain", "root", json={"why": "New fans."})).json()["slots"][0]
    await work.service.db.write(lambda db: leases.release(db, lease))
    job = await work.submit("bob", gpus="2")
    await work.service._round()

    assert (drained["health"], drained["holder"]) == ("drained", "ada's notebook")
    assert drained["health_detail"] == "root empties it. New fans."
    assert (await slot(work, who="eve"))["health_detail"].startswith("It is being emptied")
    assert (await work.ask("GET", f"jobs/{job['id']}", "bob")).json()["state"] == "queued"
    assert await done(work) == ["root drained GPU 0 (GPU-0). New fans."]
    assert (await work.ask("GET", "health", None)).json()["ok"]


async def test_a_drained_gpu_is_given_back_like_one_that_was_taken_out(work: AtWork, monkeypatch):
    async def nobody(node_id: str = "local", *, fresh: bool = False) -> GPUUse:
        return GPUUse(node_id="local", boot_id="1", now=1.0, clock=1.0, gpus=(), holders=())

    monkeypatch.setattr(work.engine, "gpu_use", nobody)
    await work.ask("POST", "gpus/GPU-0/drain", "root", json={})
    await work.service.reconciler.keeper.look()
    assert (await slot(work))["health"] == "drained"

    assert (await work.ask("DELETE", "gpus/GPU-0/quarantine", "root")).status_code == 204

    assert (await slot(work))["health"] == "ok"
    assert await done(work) == ["root gave GPU 0 (GPU-0) back.", "root drained GPU 0 (GPU-0)."]


async def test_a_job_that_holds_a_gpu_is_cancelled_and_its_submitter_told_by_whom_and_why(work: AtWork):
    job = await job_with_gpu(work)

    answer = await work.ask("POST", "gpus/GPU-0/release", "root", json={"why": "Needed for a demo."})

    assert answer.status_code == 200
    record = await work.service.db.read(lambda db: jobs.get(db, job))
    assert (record.cancel_requested, record.cancelled_by) == (True, "root")
    assert await done(work) == [f"root ended job {job} of ada to free GPU 0 (GPU-0). Needed for a demo."]
    (told,) = (await work.ask("GET", "notices", "ada")).json()["notices"]
    assert told["sentence"] == (f"root, an administrator, ended your job {job} to free its GPU. Needed for a demo.")
    assert (told["kind"], told["job"]) == ("released", job)
    assert (await work.ask("GET", "notices", "eve")).json()["notices"] == []


async def test_a_notebook_that_holds_a_gpu_is_stopped_by_the_hub(work: AtWork, stopped):
    await notebook(work, server="second")

    await work.ask("POST", "gpus/GPU-0/release", "root", json={})

    assert stopped == [("ada", "second")]
    assert await done(work) == ["root ended ada's notebook to free GPU 0 (GPU-0)."]
    assert (await slot(work))["holder"] == "ada's notebook"  # until its container is gone


async def test_asking_twice_ends_it_once_and_says_both(work: AtWork):
    job = await job_with_gpu(work)

    for _ in range(2):
        assert (await work.ask("POST", "gpus/GPU-0/release", "root", json={})).status_code == 200

    assert len(await done(work)) == 2
    assert len((await work.ask("GET", "notices", "ada")).json()["notices"]) == 1
    assert (await work.service.db.read(lambda db: jobs.get(db, job))).cancelled_by == "root"


@pytest.mark.parametrize("answer", [HubAnswer(status=404, message="No such server"), Unavailable("The hub is away.")])
async def test_a_hub_that_does_not_stop_it_is_told_and_what_was_wanted_stays_written(work: AtWork, monkeypatch, answer):
    async def stop(self: HubServers, user: str, server: str) -> HubAnswer:
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    monkeypatch.setattr(HubServers, "stop", stop)
    await notebook(work)

    refused = await work.ask("POST", "gpus/GPU-0/release", "root", json={})

    assert refused.status_code in (409, 503)
    assert (await done(work))[-1] == "root ended ada's notebook to free GPU 0 (GPU-0)."
    assert (await slot(work))["holder"] == "ada's notebook"


async def test_a_gpu_that_nobody_holds_or_that_is_not_there_is_told(work: AtWork):
    free = await work.ask("POST", "gpus/GPU-0/release", "root", json={})
    missing = await work.ask("POST", "gpus/GPU-9/release", "root", json={})

    assert (free.status_code, free.json()["error"]["message"]) == (409, "Nobody holds GPU 0.")
    assert missing.status_code == 404
    assert await done(work) == []


async def test_a_container_that_the_database_does_not_know_is_not_stopped_by_us(work: AtWork):
    await notebook(work)
    await work.service.db.write(lambda db: db.exec_driver_sql("UPDATE leases SET user_id = ''"))

    answer = await work.ask("POST", "gpus/GPU-0/release", "root", json={})

    assert answer.status_code == 409
    assert "docker stop" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("POST", "gpus/GPU-0/drain"), ("POST", "gpus/GPU-0/release")])
async def test_nobody_but_an_administrator_does_that(work: AtWork, method, path):
    work.hub.knows("boss", scopes=("access:services!service=jobs", "custom:jobs:admin"))
    await notebook(work)

    for who in ("ada", "boss", "spawner"):
        assert (await work.ask(method, path, who, json={})).status_code == 403
    assert (await work.ask("GET", "interventions", "boss")).status_code == 403
    assert await done(work) == []


async def test_interventions_are_events_of_administrators_and_are_kept(work: AtWork, monkeypatch):
    monkeypatch.setattr(events, "KEPT", 3)
    await work.ask("POST", "gpus/GPU-0/drain", "root", json={"why": "First."})
    await work.ask("POST", "gpus/GPU-1/drain", "root", json={"why": "Second."})
    for _ in range(5):
        await work.submit()

    await work.service.db.write(events.trim)

    assert [sentence.rpartition(" ")[2] for sentence in await done(work)] == ["Second.", "First."]
    roots = await work.service.db.read(lambda db: events.after(db, 0, None))
    adas = await work.service.db.read(lambda db: events.after(db, 0, ["ada-id"]))
    assert "intervention" in {row["kind"] for row in roots}
    assert "intervention" not in {row["kind"] for row in adas}
    assert await work.service.db.read(events.first_seq) > 1


@pytest.mark.parametrize(("names", "seen"), [("members", "in use"), ("everybody", "ada's notebook")])
async def test_strangers_read_names_where_the_site_wants_it(tmp_path, names, seen):
    from service_at_work import at_work

    async with at_work(tmp_path / "data", gpus={"names": names}) as work:
        await notebook(work)
        job = await job_with_gpu(work)

        notebooks, jobs_slot = await slot(work, 0, "eve"), await slot(work, 1, "eve")
        mates = await slot(work, 1, "bob")

        assert notebooks["holder"] == seen
        assert (jobs_slot["job"], job in str(jobs_slot)) == (None, False)
        assert jobs_slot["holder"] == ("in use" if names == "members" else "a job of ada")
        assert (mates["holder"], mates["job"]) == (f"job {job} of ada", job)
        assert [mates["lease"], notebooks["lease"]] == [None, None]
        assert (await slot(work))["lease"]
        assert len(await work.service.db.read(leases.live)) == 2
        assert LeaseState.HELD in {lease.state for lease in await work.service.db.read(leases.live)}


async def test_team_mates_read_who_waits_but_not_which_job(work: AtWork):
    for _ in range(3):
        await work.submit("ada", gpus="1", name="secret plans")
        await work.service._round()

    queues = {who: (await work.ask("GET", "gpus", who)).json()["queue"] for who in ("ada", "bob", "eve")}

    assert {who: queue[0]["user"] for who, queue in queues.items()} == {"ada": "ada", "bob": "ada", "eve": ""}
    assert [bool(queues[who][0]["job"]) for who in ("ada", "bob", "eve")] == [True, False, False]
    assert "secret" not in str(queues["bob"]) + str(queues["eve"])
