"""Homes, storages and teams with limits: what they take is known, told, and keeps new jobs out where it is too much."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from service_at_work import AtWork, at_work

from himalia.reasons import Reason
from himalia.units import GiB, MiB
from himalia_jobs.disk.places import Places, read_known
from himalia_jobs.disk.reserve import FEWEST_FILES, Room
from himalia_jobs.disk.words import Level
from himalia_jobs.store import people
from himalia_jobs.turn import Round, take_turn

pytestmark = pytest.mark.asyncio

LIMITS = {"home": "4M", "storage": "2M", "storage_files": 100, "team": "1M"}


class People:
    """Ada and Bob of the team nlp, and Eve; they put what they like where they may."""

    def __init__(self, work: AtWork) -> None:
        self.work = work
        self.places = work.service.places

    async def folder(self, kind: str, name: str = "ada") -> Path:
        """Return somebody's place, or the team's."""
        await self.work.ask("GET", "me", name)

        def ids(db: Any) -> dict[str, str]:
            return people.team_ids(db, ["nlp"]) | {one.name: one.id for one in people.everybody(db)}

        known = await self.work.service.db.write(ids)
        folder = getattr(self.work.service.layout, kind)(known["nlp" if kind == "team" else name])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def fill(self, kind: str, size_bytes: int, name: str = "ada") -> Path:
        """Put so much there, and let the service look."""
        file = await self.folder(kind, name) / "large"
        file.write_bytes(b"x" * size_bytes)
        await self.places.look()
        return file

    async def submit(self, who: str = "ada", **fields: Any) -> tuple[int, str]:
        """Submit a job; return the status and what is said."""
        answer = await self.work.ask("POST", "jobs", who, json={"project": "work", "command": "true"} | fields)
        return answer.status_code, answer.json().get("error", {}).get("message", "")

    async def notices(self, who: str = "ada") -> list[str]:
        """Return what somebody is told in Lab."""
        return [one["sentence"] for one in (await self.work.ask("GET", "notices", who)).json()["notices"]]

    async def disk(self, who: str = "ada") -> dict[str, Any]:
        """Return what `me` says of somebody's places, by name."""
        return {one["place"]: one for one in (await self.work.ask("GET", "me", who)).json()["disk"]}


@pytest_asyncio.fixture
async def folk(tmp_path: Path) -> AsyncIterator[People]:
    """A service where storages have limits."""
    async with at_work(tmp_path / "data", disk=LIMITS) as work:
        yield People(work)


@pytest.fixture
def add_line(folk):
    """Submits a job, and returns its id."""

    async def add(who: str, **fields: str) -> str:
        return str((await folk.work.submit(who, **fields))["id"])

    return add


async def take(folk: People) -> Round:
    """Take a turn of the queue."""
    service = folk.work.service
    nodes, now, full = await service.nodes(), service.clock.wall(), folk.places.full()
    return await service.db.write(
        lambda db: take_turn(db, nodes, service.site.limits, None, now=now, rules=service.rulebook.rules, full=full)
    )


async def test_what_places_take_is_shown_to_those_whose_they_are(folk):
    await folk.fill("storage", MiB)
    await folk.fill("team", MiB // 2)

    mine, eves = await folk.disk("bob"), await folk.disk("eve")

    assert {name: place["used_bytes"] for name, place in mine.items()} == {"/team/nlp": MiB // 2}
    assert (await folk.disk())["/storage"]["limit_bytes"] == 2 * MiB
    assert (await folk.disk())["/storage"]["sentence"] == ""
    assert eves == {}


async def test_a_storage_that_is_nearly_full_is_told_once_and_takes_new_jobs(folk):
    await folk.fill("storage", 2 * MiB - 4096)
    await folk.places.look()

    (told,) = await folk.notices()

    assert told == "Your /storage is nearly full: 2.0 MB of 2.0 MB. Delete what is not needed before it is full."
    assert (await folk.disk())["/storage"]["level"] == "nearly"
    assert (await folk.submit())[0] == 201
    assert await folk.notices("bob") == []


@pytest.mark.fault(42)
async def test_who_has_filled_their_storage_submits_nothing_new_and_others_do(folk):
    await folk.fill("storage", 3 * MiB)

    status, said = await folk.submit()

    assert status == 507
    assert said == "Your /storage is full: 3.0 MB of 2.0 MB. Delete something: no new job is taken before."
    assert await folk.notices() == [said]
    assert (await folk.submit("bob"))[0] == 201


@pytest.mark.fault(41)
async def test_a_storage_may_be_full_of_names_as_well(folk):
    folder = await folk.folder("storage")
    for number in range(101):
        (folder / str(number)).touch()
    await folk.places.look()

    assert await folk.submit() == (
        507,
        "Your /storage is full: 101 of 100 files. Delete something: no new job is taken before.",
    )


async def test_the_jobs_of_who_has_filled_their_storage_wait_and_those_of_others_start(folk, add_line):
    mine, bobs = await add_line("ada"), await add_line("bob")
    file = await folk.fill("storage", 3 * MiB)

    first = await take(folk)
    file.unlink()
    await folk.places.look()
    second = await take(folk)

    assert [attempt.partition(".")[0] for attempt in first.started] == [bobs]
    assert first.waits[mine].reason is Reason.WAITS_FOR_DISK
    assert first.waits[mine].lack.text.startswith("The /storage of who submitted it is full: 3.0 MB of 2.0 MB.")
    assert [attempt.partition(".")[0] for attempt in second.started] == [mine]


@pytest.mark.fault(42)
async def test_the_jobs_of_a_team_that_has_filled_its_storage_wait_and_other_jobs_of_its_members_start(folk, add_line):
    teams, own = await add_line("ada", owner="team:nlp"), await add_line("ada")
    file = await folk.fill("team", 2 * MiB)

    first = await take(folk)
    file.unlink()
    await folk.places.look()
    second = await take(folk)

    assert [attempt.partition(".")[0] for attempt in first.started] == [own]
    assert first.waits[teams].reason is Reason.WAITS_FOR_DISK
    assert first.waits[teams].lack.text == (
        "The storage of its team is full: 2.0 MB of 1.0 MB. It starts when something was deleted there."
    )
    assert [attempt.partition(".")[0] for attempt in second.started] == [teams]


@pytest.mark.fault(42)
async def test_a_full_team_is_told_to_its_members_at_work_also_to_one_who_begins_later_and_each_once(folk, add_line):
    await add_line("bob")
    await take(folk)
    await folk.fill("team", 2 * MiB)
    before = [await folk.notices(who) for who in ("ada", "bob", "eve")]

    await add_line("ada")
    await add_line("eve")
    await take(folk)
    await folk.places.look()
    await folk.places.look()

    said = ["The team's /team/nlp is full: 2.0 MB of 1.0 MB. Delete something: no new job is taken before."]
    assert before == [[], said, []]
    assert [await folk.notices(who) for who in ("ada", "bob", "eve")] == [said, said, []]


async def test_who_deletes_something_may_submit_at_once_and_the_notice_goes(folk):
    file = await folk.fill("storage", 3 * MiB)
    file.unlink()

    assert (await folk.submit())[0] == 201
    assert await folk.notices() == []
    assert (await folk.disk())["/storage"]["used_bytes"] == 0


async def test_a_full_place_is_not_counted_again_for_every_submit(folk, monkeypatch):
    await folk.fill("storage", 3 * MiB)
    counted = []
    real = folk.places.engine.disk_use

    async def count(places: Any) -> Any:
        counted.append(places)
        return await real(places)

    monkeypatch.setattr(folk.places.engine, "disk_use", count)
    assert [(await folk.submit())[0] for _ in range(5)] == [507] * 5

    assert len(counted) == 1


async def test_a_job_cannot_be_run_again_either_into_a_full_storage(folk):
    job = await folk.work.submit()
    await folk.fill("storage", 3 * MiB)

    assert (await folk.work.ask("POST", f"jobs/{job['id']}/rerun")).status_code == 507


async def test_a_full_home_is_told_and_keeps_no_job_out(folk):
    await folk.fill("home", 5 * MiB)

    assert (await folk.submit())[0] == 201
    assert await folk.notices() == ["Your home is full: 5.0 MB of 4.0 MB. Delete something."]


async def test_a_full_team_keeps_out_the_teams_jobs_and_no_others(folk):
    await folk.fill("team", 2 * MiB)

    status, said = await folk.submit(owner="team:nlp")

    assert (status, said) == (
        507,
        "The team's /team/nlp is full: 2.0 MB of 1.0 MB. Delete something: no new job is taken before.",
    )
    assert (await folk.submit())[0] == 201


async def test_what_was_known_outlives_the_service_and_is_not_told_again(folk):
    await folk.fill("storage", 3 * MiB)
    old, service = folk.places, folk.work.service
    known = read_known(service.layout.disk_use)

    anew = Places(service.db, service.engine, service.layout, service.site, service.clock)
    await anew.look()

    assert [one.level for one in known] == [Level.FULL]
    assert anew._known == old._known
    assert len(await folk.notices()) == 1


async def test_a_place_that_is_gone_is_forgotten_with_what_was_told(folk):
    file = await folk.fill("storage", 3 * MiB)
    file.unlink()
    file.parent.rmdir()
    await folk.places.look()

    assert (await folk.notices(), await folk.disk()) == ([], {})


async def test_without_limits_nothing_is_counted(work: AtWork):
    (work.service.layout.storage("abcdefghijkl") / "a").mkdir(parents=True)

    await work.service.places.look()

    assert not work.service.layout.disk_use.exists()


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("room", "said"),
    [
        (Room(free_bytes=GiB // 2, free_files=10**6), "The data disk has 512 MB left; 1.0 GB are kept free."),
        (Room(free_bytes=2**40, free_files=9), "The data disk has room for 9 more files only; 10,000 are kept free."),
    ],
)
async def test_nothing_starts_on_a_disk_at_its_reserve_and_it_is_told_until_there_is_room(
    work, monkeypatch, room, said
):
    await work.service.nodes()
    assert (work.service._closed(), await work.service.complaints()) == (None, [])

    monkeypatch.setattr("himalia_jobs.service.room_on", lambda data: room)
    reason, sentence = work.service._closed()

    assert (reason, sentence.startswith(said)) == (Reason.WAITS_FOR_DISK, True)
    assert await work.service.complaints() == [f"{said} Nothing new starts, and no files are taken in. Make room."]
    monkeypatch.undo()
    assert (work.service._closed(), await work.service.complaints()) == (None, [])


async def test_a_disk_that_does_not_count_files_lacks_none():
    assert Room(free_bytes=GiB, free_files=None).lack(GiB) == ""
    assert Room(free_bytes=GiB, free_files=FEWEST_FILES).lack(GiB) == ""
    assert Room(free_bytes=GiB, free_files=None).lack(GiB, coming_bytes=1)
