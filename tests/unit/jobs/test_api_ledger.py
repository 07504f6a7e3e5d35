"""Leases of servers, and the ledger as people see it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from service_at_work import AtWork

from himalia.gpus import SlotHealth, SlotHold
from himalia.states import LeaseState
from himalia_jobs.engines.base import Listing, Observed, Phase
from himalia_jobs.engines.gpus import GPUState, GPUUse, GPUUser
from himalia_jobs.store import leases, slots
from himalia_jobs.store.moves import move_lease

pytestmark = pytest.mark.asyncio

WISH = {"user": "ada", "spawn_id": "one", "profile": "gpu", "teams": ["nlp"]}


async def turn(work: AtWork) -> None:
    """Let the queue have one round."""
    await work.service._round()


async def reserved(work: AtWork, **changes: object) -> dict[str, object]:
    """Return a lease that has its share."""
    made = (await work.ask("POST", "leases", "spawner", json=WISH | changes)).json()
    await turn(work)
    return dict((await work.ask("GET", f"leases/{made['id']}", "spawner")).json())


class Answers:
    """A call of the engine that always answers the same."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def __call__(self, *_: object) -> object:
        """Answer."""
        return self.answer


async def test_the_same_start_asked_for_twice_is_the_same_lease(work: AtWork):
    first = await work.ask("POST", "leases", "spawner", json=WISH)
    again = await work.ask("POST", "leases", "spawner", json=WISH)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


async def test_a_lease_brings_all_that_goes_into_the_container(work: AtWork):
    lease = await reserved(work)

    assert lease["state"] == "reserved"
    assert [slot["uuid"] for slot in lease["slots"]] == ["GPU-0"]
    assert lease["environment"] == {"HIMALIA_GPUS": "GPU-0"}
    assert (lease["cpus"], lease["memory_bytes"], lease["image"]) == (1, 2**30, "sha256:1")
    mounts = {mount["target"]: mount["source"] for mount in lease["mounts"]}
    assert set(mounts) == {"/home/jovyan", "/storage", "/team/nlp"}
    data = work.service.layout.data
    for source in mounts.values():
        made = data.joinpath(source)
        assert (made.stat().st_mode & 0o777, made.stat().st_uid, made.stat().st_gid) == (0o700, 1000, 100)
        assert data in made.parents


async def test_a_reservation_is_bound_once_and_to_one_container(work: AtWork):
    lease = await reserved(work)
    address = f"leases/{lease['id']}/bind"

    first = await work.ask("POST", address, "spawner", json={"container": "c1"})
    again = await work.ask("POST", address, "spawner", json={"container": "c1"})
    other = await work.ask("POST", address, "spawner", json={"container": "c2"})

    assert first.json()["state"] == again.json()["state"] == "held"
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize(("phase", "state"), [(Phase.CREATED, "released"), (Phase.RUNNING, "reserved")])
async def test_what_a_hub_that_died_had_reserved_goes_back_with_the_next_start_of_the_server(
    work: AtWork, monkeypatch, phase, state
):
    lease = await reserved(work)
    made = Observed(attempt="", kind="server", lease_id=str(lease["id"]), phase=phase)
    monkeypatch.setattr(work.engine, "list", Answers(Listing(node_id="local", complete=True, containers=(made,))))

    other = await reserved(work, spawn_id="two", server="other")
    again = await reserved(work, spawn_id="three")

    before = (await work.ask("GET", f"leases/{lease['id']}", "spawner")).json()
    assert before["state"] == state  # one whose container runs is about to be bound
    assert other["state"] == "reserved"
    assert again["state"] == ("reserved" if state == "released" else "waiting")


async def test_gpus_are_no_less_there_while_their_driver_is_silent(work: AtWork, monkeypatch):
    (node,) = await work.engine.nodes()
    real = replace(node, slots=tuple(slot.model_copy(update={"simulated": False}) for slot in node.slots))
    monkeypatch.setattr(work.engine, "nodes", Answers([real]))
    await turn(work)
    silent = replace(node, slots=(), unlisted=(SlotHealth.SUSPECT, "The GPU driver has not answered yet."))
    monkeypatch.setattr(work.engine, "nodes", Answers([silent]))
    await turn(work)

    job = await work.submit(gpus="2")
    refused = await work.ask("POST", "jobs", json={"project": "work", "command": "true", "gpus": "3"})

    assert (job["state"], refused.status_code) == ("queued", 422)
    assert "This platform has 2 x" in refused.json()["error"]["message"]


async def test_a_lease_that_waits_or_has_lapsed_cannot_be_bound(work: AtWork):
    waiting = (await work.ask("POST", "leases", "spawner", json=WISH)).json()
    lapsed = await reserved(work, spawn_id="two", user="bob")
    await work.service.db.write(lambda db: leases.release(db, str(lapsed["id"])))

    for lease in (lapsed,):
        answer = await work.ask("POST", f"leases/{lease['id']}/bind", "spawner", json={"container": "c"})
        assert answer.status_code == 409
    assert waiting["state"] == "waiting"


@pytest.mark.parametrize(
    ("wish", "status", "said"),
    [
        ({"profile": "nope"}, 422, "There are: small, gpu, for-nlp, notebooks"),
        ({"profile": "for-nlp", "teams": []}, 403, "is not for you"),
        ({"user": "nobody"}, 401, "does not know this user"),
        ({"cpus": 3}, 422, "not known here"),
    ],
)
async def test_a_lease_that_cannot_be_is_told(work: AtWork, wish, status, said):
    answer = await work.ask("POST", "leases", "spawner", json=WISH | wish)

    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


async def test_who_waits_is_told_place_and_reason_and_wakes_when_the_place_changes(work: AtWork):
    for number in range(2):
        await reserved(work, spawn_id=f"holder-{number}", user="bob", server=f"s{number}")
    lease = await reserved(work)

    assert (lease["state"], lease["position"], lease["reason"]) == ("waiting", 1, "waits_for_gpus")
    assert "1st in line. Waiting for 1 of: GPU 0 (bob's notebook), GPU 1 (bob's notebook)." in str(lease["sentence"])
    same = await work.ask("GET", f"leases/{lease['id']}?wait=1&seen=waiting/2", "spawner")
    assert same.json()["position"] == 1


@pytest.mark.parametrize("state", [LeaseState.WAITING, LeaseState.RESERVED, LeaseState.RELEASED])
async def test_a_lease_without_a_container_goes_back_at_once(work: AtWork, state, monkeypatch):
    from himalia_jobs.engines.base import Listing

    async def nothing(*_: object) -> Listing:
        return Listing(node_id="local", complete=True, containers=())

    monkeypatch.setattr(work.engine, "list", nothing)
    made = (await work.ask("POST", "leases", "spawner", json=WISH)).json()
    if state is not LeaseState.WAITING:
        await work.service.db.write(lambda db: move_lease(db, made["id"], state))

    assert (await work.ask("DELETE", f"leases/{made['id']}", "spawner")).status_code == 204
    assert (await work.ask("DELETE", f"leases/{made['id']}", "spawner")).status_code == 204
    assert await work.service.db.read(leases.live) == []


async def test_everybody_sees_what_is_free_and_only_their_own_names(work: AtWork):
    held = await reserved(work)
    await work.ask("POST", f"leases/{held['id']}/bind", "spawner", json={"container": "c"})
    await work.submit("bob", gpus="2", name="secret plans")
    await turn(work)

    async def seen(who: str) -> dict[str, object]:
        return dict((await work.ask("GET", "gpus", who)).json())

    adas, eves, roots = await seen("ada"), await seen("eve"), await seen("root")
    assert adas["free"] == eves["free"] == roots["free"] == 1
    assert "ada" in str(adas["slots"][0]["holder"])
    assert "ada" not in str(eves["slots"])
    assert "bob" not in str(eves["queue"])
    assert "secret plans" not in str(eves["queue"])
    assert "secret plans" not in str(adas["queue"])
    assert "secret plans" in str(roots["queue"])
    assert [waiter["position"] for waiter in eves["queue"]] == [1]
    assert "simulated" in str(eves["note"])


async def test_an_administrator_takes_a_gpu_out_and_gives_it_back(work: AtWork, monkeypatch):
    nobody_on_the_gpus(work, monkeypatch)

    taken = await work.ask("POST", "gpus/GPU-0/quarantine", "root", json={"why": "New fans."})
    lease = await reserved(work)

    (slot, _) = taken.json()["slots"]
    assert (slot["health"], slot["health_detail"]) == ("quarantined", "root took it out. New fans.")
    assert [held["uuid"] for held in lease["slots"]] == ["GPU-1"]
    assert "quarantined" in " ".join((await work.ask("GET", "health", None)).json()["sentences"])

    assert (await work.ask("DELETE", "gpus/GPU-0/quarantine", "root")).status_code == 204
    assert (await work.ask("GET", "gpus", "root")).json()["slots"][0]["health"] == "ok"
    again = await work.ask("DELETE", "gpus/GPU-0/quarantine", "root")
    assert (again.status_code, again.json()["error"]["message"]) == (403, "This slot is not kept back.")


async def test_nobody_else_takes_gpus_out(work: AtWork):
    work.hub.knows("boss", scopes=("access:services!service=jobs", "custom:jobs:admin"))

    answers = [await work.ask("POST", "gpus/GPU-0/quarantine", who, json={}) for who in ("ada", "boss")]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert (await work.ask("POST", "gpus/GPU-9/quarantine", "root", json={})).status_code == 404


async def test_what_is_on_a_gpu_is_told_to_administrators_and_others_read_that_something_is(work: AtWork, monkeypatch):
    bob = GPUUser(pid=4242, command="python3 train.py", user="bob", memory_bytes=7)
    state = GPUState(uuid="GPU-0", busy_percent=99, memory_used_bytes=7, temperature_celsius=60, users=(bob,))
    work.service.reconciler.keeper.states = {"GPU-0": state}
    detail = "python3 train.py (process 4242 of bob), which Himalia did not start, uses it."
    await work.service.db.write(
        lambda db: slots.change_hold(db, slots.find(db, "GPU-0"), None, SlotHold.FOREIGN, detail, 0.0, "")
    )

    roots, adas = [(await work.ask("GET", "gpus", who)).json() for who in ("root", "ada")]

    assert roots["slots"][0]["processes"] == [
        {
            "pid": 4242,
            "command": "python3 train.py",
            "user": "bob",
            "container": "",
            "ours": False,
            "graphics": False,
            "memory_bytes": 7,
        }
    ]
    assert roots["slots"][0]["health_detail"] == detail
    assert (adas["slots"][0]["health"], adas["slots"][0]["processes"]) == ("foreign", [])
    assert "bob" not in str(adas["slots"])
    assert adas["slots"][0]["health_detail"].startswith("Something that Himalia did not start uses it")
    assert (adas["slots"][0]["busy_percent"], adas["slots"][0]["temperature_celsius"]) == (99, 60)
    assert adas["free"] == 1


def nobody_on_the_gpus(work: AtWork, monkeypatch) -> None:
    """Let the engine see nothing on the GPUs: there is no Docker Engine to list containers."""

    async def nobody(node_id: str = "local", *, fresh: bool = False) -> GPUUse:
        return GPUUse(node_id="local", boot_id="1", now=1.0, clock=1.0, gpus=(), holders=())

    monkeypatch.setattr(work.engine, "gpu_use", nobody)
