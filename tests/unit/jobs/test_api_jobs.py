"""Submitting, listing, showing and ending jobs, as people ask for it over HTTP."""

from __future__ import annotations

import pytest
from service_at_work import AtWork

from himalia.site import Profile
from himalia.states import FINAL_STATES, JobState
from himalia_jobs.store import jobs

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, 3600), ("90m", 5400), (60, 60), ("2h", 7200)], ids=["none", "90m", "60", "most"]
)
async def test_a_job_gets_its_profiles_time_limit_or_the_one_it_asks_for(work: AtWork, asked, seconds):
    assert (await work.submit(timeout=asked))["timeout_seconds"] == seconds


@pytest.mark.parametrize(
    ("fields", "named", "said"),
    [
        ({"timeout": "2h1s"}, "timeout", "allows 2 h at most"),
        ({"timeout": "soon"}, "timeout", ""),
        ({"timeout": "1h", "warn": "60m"}, "warn", "must come less than 1 h before it"),
        ({"warn": "soon"}, "warn", "is no duration"),
        ({"timeout": -1}, "timeout", ""),
        ({"profile": "nope"}, "profile", "There are: small, gpu, for-nlp"),
        ({"profile": "notebooks"}, "profile", "There are: small"),
        ({"image": "evil"}, "image", "not offered here"),
        ({"cpus": 5}, "cpus", "more than this platform has: 4"),
        ({"memory": "15G"}, "memory", "more than this platform gives out"),
        ({"memory": -1}, "memory", ""),
        ({"disk": "101G"}, "disk", "The profile small allows 100 GB at most."),
        ({"gpus": 3}, "gpus", "2"),
        ({"gpus": "1.5"}, "gpus", "1.5"),
        ({"gpus": "H100"}, "gpus", "Simulated"),
        ({"command": None}, "command", "either a command or a notebook"),
        ({"notebook": {"path": "a.ipynb"}}, "command", "either a command or a notebook"),
        ({"command": None, "notebook": {"path": "a.py"}}, "notebook", ".ipynb"),
        ({"command": None, "notebook": {"path": "../a.ipynb"}}, "notebook", "not inside"),
        ({"command": ["x" * 300_000]}, "command", "256 KB"),
        ({"idempotency_key": "k" * 300}, "idempotency_key", "200"),
        ({"env": {"A": "a\0b"}}, "env", "NUL"),
        ({"env": {"HIMALIA_USER": "root"}}, "env", "The platform sets these itself"),
        ({"owner": "user:bob"}, "owner", "You are not user:bob"),
        ({"retries": -1}, "retries", "between 0 and 100"),
        ({"retries": 1, "retry_on": "oom,exit:0"}, "retry_on", "'exit:0' at position 5"),
        ({"retries": 1, "retry_on": ["oom", "sig"]}, "retry_on", "'sig' at position 5"),
        ({"retry_on": "oom"}, "retry_on", "Give retries as well"),
        ({"experiment": "a/b"}, "experiment", "Use letters"),
        ({"project": "x" * 101}, "project", "100 at most"),
    ],
)
async def test_a_field_that_cannot_be_is_named(work: AtWork, fields, named, said):
    answer = await work.ask("POST", "jobs", json={"project": "work", "command": "true"} | fields)

    assert answer.status_code == 422
    assert list(answer.json()["error"]["fields"]) == [named]
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("value", ['"\\ud800"', "[" * 900 + "]" * 900, "1e999"], ids=["no UTF-8", "deep", "infinite"])
async def test_a_parameter_that_is_no_plain_value_is_refused(work: AtWork, value):
    before = '{"project": "work", "notebook": {"path": "a.ipynb", "parameters": {"p": '

    answer = await work.ask("POST", "jobs", content=f"{before}{value}}}}}}}".encode())

    assert answer.status_code in (400, 422)
    assert (await work.ask("GET", "jobs")).status_code == 200


@pytest.mark.fault(55)
async def test_a_person_has_so_many_live_jobs_and_no_more(tmp_path):
    from service_at_work import at_work

    async with at_work(tmp_path, limits={"jobs_per_user": 2}) as work:
        await work.submit()
        await work.submit()

        third = await work.ask("POST", "jobs", json={"project": "work", "command": "true"})
        bobs = await work.submit("bob")

        assert (third.status_code, third.json()["error"]["code"]) == (429, "too_many")
        assert bobs["state"] == "queued"


async def test_pages_hold_each_job_once_while_others_are_added_and_deleted(work: AtWork):
    made = [(await work.submit())["id"] for _ in range(7)]
    seen: list[str] = []
    cursor = ""

    while True:
        page = (await work.ask("GET", f"jobs?limit=2&cursor={cursor}")).json()
        seen += [job["id"] for job in page["jobs"]]
        await work.submit()
        if len(seen) == 2:
            gone = await work.service.db.read(lambda db: jobs.get(db, seen[-1]))
            await work.service.db.write(lambda db: jobs.remove(db, gone))
        cursor = page["cursor"]
        if cursor is None:
            break

    assert seen == made[::-1]


async def test_a_list_is_narrowed_by_project_experiment_state_and_owner(work: AtWork):
    plain = await work.submit()
    swept = await work.submit(experiment="sweep")
    teams = await work.submit(owner="team:nlp", project="shared")
    await work.ask("POST", f"jobs/{plain['id']}/cancel")

    async def found(query: str, who: str = "ada") -> set[str]:
        return {job["id"] for job in (await work.ask("GET", f"jobs?{query}", who)).json()["jobs"]}

    assert await found("project=shared") == {teams["id"]}
    assert await found("experiment=sweep") == {swept["id"]}
    assert await found("state=cancelled") == {plain["id"]}
    assert await found("state=queued,cancelled&project=work") == {plain["id"], swept["id"]}
    assert await found("owner=team:nlp") == await found("", "bob") == {teams["id"]}
    assert await found("owner=user:ada") == {plain["id"], swept["id"]}
    assert await found("", "root") == {plain["id"], swept["id"], teams["id"]}
    assert await found("owner=user:ada", "root") == {plain["id"], swept["id"]}
    assert await found("", "eve") == set()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("cursor=abc", 422),
        ("cursor=-1", 200),
        ("cursor=99999999999999999999", 200),
        ("state=sleeping", 422),
        ("limit=0", 200),
        ("limit=1000000000", 200),
        ("limit=%C2%B2", 422),
        ("owner=nobody", 422),
        ("owner=team:strangers", 404),
        ("owner=user:bob", 404),
    ],
)
async def test_a_query_that_cannot_be_is_told_or_clamped(work: AtWork, query, status):
    assert (await work.ask("GET", f"jobs?{query}")).status_code == status


async def test_a_job_is_found_by_any_unique_beginning_of_its_id(work: AtWork):
    job = await work.submit()

    assert (await work.ask("GET", f"jobs/{job['id'][:6]}")).json()["id"] == job["id"]
    for odd in ("", "%25", "A" * 12, "é", "a" * 13, "%00", "..", "_"):
        assert (await work.ask("GET", f"jobs/{odd}" if odd else "jobs/")).status_code == 404, odd


async def test_a_beginning_that_several_have_is_told(work: AtWork):
    made = [(await work.submit())["id"] for _ in range(40)]
    shared = next(one[0] for one in made if sum(other[0] == one[0] for other in made) > 1)

    answer = await work.ask("GET", f"jobs/{shared}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.fault(56)
@pytest.mark.parametrize("state", list(JobState))
async def test_cancel_in_every_state_asks_for_the_end_once(work: AtWork, state):
    job = await work.submit()
    if state is not JobState.QUEUED:
        await work.attempt(job["id"], state)

    first = (await work.ask("POST", f"jobs/{job['id']}/cancel")).json()
    again = (await work.ask("POST", f"jobs/{job['id']}/cancel")).json()

    assert first["seq"] == again["seq"]
    assert first["state"] == ("cancelled" if state is JobState.QUEUED else state)
    assert first["cancel_requested"] is (state not in FINAL_STATES)
    assert first["cancelled_by"] == ("ada" if state not in FINAL_STATES else None)


@pytest.mark.parametrize("state", list(JobState))
async def test_only_a_job_that_has_ended_is_deleted(work: AtWork, state):
    job = await work.submit()
    own = await work.attempt(job["id"], state, files=["x"])

    answer = await work.ask("DELETE", f"jobs/{job['id']}")

    assert answer.status_code == (204 if state in FINAL_STATES else 409)
    assert own.exists() is (state not in FINAL_STATES)
    assert (await work.ask("GET", f"jobs/{job['id']}")).status_code == (404 if state in FINAL_STATES else 200)


async def test_a_delete_that_was_cut_short_can_be_done_again(work: AtWork):
    job = await work.submit()
    await work.attempt(job["id"], JobState.SUCCEEDED)
    work.engine.answers = False
    cut = await work.ask("DELETE", f"jobs/{job['id']}")
    work.engine.answers = True

    assert cut.status_code == 503
    assert (await work.ask("DELETE", f"jobs/{job['id']}")).status_code == 204


PARTS = [
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/cancel"),
    ("POST", "/rerun"),
    ("GET", "/logs"),
    ("GET", "/artifacts"),
    ("GET", "/artifacts/a"),
    ("GET", "/artifacts.zip"),
    ("GET", "/files/a"),
    ("GET", "/metrics"),
]


@pytest.mark.fault(82)
async def test_a_strangers_job_and_one_that_is_not_there_are_the_same(work: AtWork):
    job = await work.submit()
    await work.attempt(job["id"], JobState.SUCCEEDED, log=b"secret", files=["a"])
    nothing = "a" * 12 if job["id"] != "a" * 12 else "b" * 12

    for method, part in PARTS:
        strange = await work.ask(method, f"jobs/{job['id']}{part}", "eve")
        absent = await work.ask(method, f"jobs/{nothing}{part}", "eve")

        assert strange.status_code == absent.status_code == 404, part
        assert strange.text.replace(job["id"], nothing) == absent.text
    assert (await work.ask("GET", f"jobs/{job['id']}")).status_code == 200


async def test_members_of_the_team_see_and_stop_but_the_submitter_alone_sees_values(work: AtWork):
    job = await work.submit(owner="team:nlp", env={"KEY": "secret"})
    await work.attempt(job["id"], JobState.RUNNING, log=b"hello\n", files=["a"])
    path = f"jobs/{job['id']}"

    seen = (await work.ask("GET", path, "bob")).json()
    assert seen["env"] == {"KEY": ""}
    assert (await work.ask("GET", path, "ada")).json()["env"] == {"KEY": "secret"}
    assert (await work.ask("GET", path, "root")).json()["env"] == {"KEY": "secret"}
    assert (await work.ask("GET", f"{path}/logs", "bob")).content == b"hello\n"
    assert (await work.ask("GET", f"{path}/artifacts/a", "bob")).text == "content of a"
    assert (await work.ask("POST", f"{path}/cancel", "bob")).json()["cancelled_by"] == "bob"
    assert (await work.ask("DELETE", path, "bob")).status_code == 404
    assert (await work.ask("GET", path, "eve")).status_code == 404


async def test_an_administrator_who_sees_values_is_noted(work: AtWork, caplog):
    caplog.set_level("INFO")
    job = await work.submit(env={"KEY": "secret"})

    await work.ask("GET", f"jobs/{job['id']}", "root")

    assert f"root, an administrator, sees the environment of {job['id']} of ada" in caplog.text


async def test_who_leaves_a_team_sees_its_jobs_no_more(work: AtWork):
    job = await work.submit(owner="team:nlp")
    assert (await work.ask("GET", f"jobs/{job['id']}", "bob")).status_code == 200

    work.hub.knows("bob", teams=())
    work.service.hub.auth.cache.clear()

    assert (await work.ask("GET", f"jobs/{job['id']}", "bob")).status_code == 404


async def test_a_rerun_takes_files_and_image_along_but_not_anothers_values(work: AtWork, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a").write_text("a")
    snapshot = await work.send(tmp_path / "code", owner="team:nlp")
    job = await work.submit(owner="team:nlp", snapshot=snapshot, env={"KEY": "secret"}, timeout="2h")

    own = (await work.ask("POST", f"jobs/{job['id']}/rerun", "ada")).json()
    bobs = (await work.ask("POST", f"jobs/{job['id']}/rerun", "bob")).json()

    assert own["rerun_of"] == bobs["rerun_of"] == job["id"]
    assert own["snapshot"] == bobs["snapshot"] == snapshot
    assert own["image_id"] == bobs["image_id"] == "sha256:1"
    assert (own["env"], bobs["env"]) == ({"KEY": "secret"}, {})
    assert (own["user"], bobs["user"]) == ("ada", "bob")


async def test_a_profile_of_a_team_is_for_its_members(work: AtWork):
    names = {
        who: [found["name"] for found in (await work.ask("GET", "profiles", who)).json()["profiles"]]
        for who in ("ada", "eve")
    }

    assert names == {"ada": ["small", "gpu", "for-nlp"], "eve": ["small", "gpu"]}
    refused = await work.ask("POST", "jobs", "eve", json={"project": "x", "command": "true", "profile": "for-nlp"})
    assert refused.status_code == 422
    assert "There is no profile 'for-nlp'" in refused.json()["error"]["message"]
    assert (await work.submit(profile="for-nlp"))["profile"] == "for-nlp"


async def test_profiles_are_for_jobs_or_for_servers(work: AtWork):
    servers = (await work.ask("GET", "profiles?for=servers")).json()["profiles"]

    assert "notebooks" in [found["name"] for found in servers]
    assert (await work.ask("GET", "profiles?for=dogs")).status_code == 422


async def test_a_profile_that_can_never_fit_says_so_and_not_that_it_is_next(work: AtWork):
    await work.service.nodes()
    large = Profile(name="large", cpus=64)
    work.service.ledger.site = work.service.site.model_copy(update={"profiles": (large,)})

    (profile,) = (await work.ask("GET", "profiles")).json()["profiles"]

    assert not profile["free_now"]
    assert profile["sentence"] == (
        "It does not fit on this platform: 64 CPUs are more than this platform has: 4. Ask for fewer."
    )


async def test_an_image_that_is_not_here_is_refused_with_what_to_do(work: AtWork):
    work.engine.images = {}

    answer = await work.ask("POST", "jobs", json={"project": "work", "command": "true"})

    assert answer.status_code == 422
    assert "not on this machine" in answer.json()["error"]["message"]


async def test_the_project_of_a_job_makes_itself(work: AtWork):
    job = await work.submit(project="fresh")
    await work.ask("POST", f"jobs/{job['id']}/cancel")
    await work.submit(project="fresh")

    (project,) = (await work.ask("GET", "projects")).json()["projects"]

    assert (project["owner"], project["name"], project["job_count"], project["live_job_count"]) == (
        "user:ada",
        "fresh",
        2,
        1,
    )
    assert (await work.ask("DELETE", "projects/user:ada/fresh")).status_code == 409


async def test_a_project_is_made_described_and_deleted_by_those_who_own_it(work: AtWork):
    made = await work.ask("POST", "projects", json={"name": "p", "owner": "team:nlp", "description": "first"})
    address = "projects/team:nlp/p"

    assert made.status_code == 201
    assert (await work.ask("POST", "projects", json={"name": "p", "owner": "team:nlp"})).status_code == 409
    assert (await work.ask("PATCH", address, "bob", json={})).json()["description"] == "first"
    assert (await work.ask("PATCH", address, "bob", json={"description": "b"})).json()["description"] == "b"
    assert (await work.ask("PATCH", address, json={"name": "q"})).status_code == 422
    assert (await work.ask("PATCH", address, json={"description": "x" * 10_001})).status_code == 422
    for method in ("GET", "PATCH", "DELETE"):
        assert (await work.ask(method, address, "eve")).status_code == 404
    assert (await work.ask("POST", "projects", "eve", json={"name": "p", "owner": "team:nlp"})).status_code == 422
    assert (await work.ask("DELETE", address, "bob")).status_code == 204
    assert (await work.ask("GET", address)).status_code == 404


@pytest.mark.parametrize("name", ["", "../x", "a/b", "é", "a" * 101, "a\n", None])
async def test_a_projects_name_is_plain(work: AtWork, name):
    assert (await work.ask("POST", "projects", json={"name": name})).status_code == 422


async def test_the_same_name_of_another_owner_is_another_project(work: AtWork):
    for who, owner in (("ada", "user:ada"), ("ada", "team:nlp"), ("bob", "user:bob")):
        await work.submit(who, owner=owner, project="same")

    names = {
        who: [project["owner"] for project in (await work.ask("GET", "projects", who)).json()["projects"]]
        for who in ("ada", "bob", "eve")
    }

    assert {who: sorted(owners) for who, owners in names.items()} == {
        "ada": ["team:nlp", "user:ada"],
        "bob": ["team:nlp", "user:bob"],
        "eve": [],
    }
