"""Jobs and the disk: who nears a limit is told, who is above it is ended at once, and all that was written is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mortal_service import LASTS, MortalService

from himalia.errors import FieldError
from himalia.reasons import Reason
from himalia.site import Profile, Site
from himalia.states import JobState
from himalia.units import GiB, MiB
from himalia_jobs.disk.allowance import disk_again, disk_asked, disk_limit
from himalia_jobs.disk.jobs import Disks
from himalia_jobs.disk.words import Level, level_of, near_sentence, over_sentence
from himalia_jobs.engines.disk import DiskLimit, DiskPlace, DiskUse
from himalia_jobs.runner import request_cancel
from himalia_jobs.store import Database, jobs, notices

LIMIT = DiskLimit(size_bytes=10 * GiB, files=1000)


def use(size_bytes: int = 0, files: int = 0, *, limit: DiskLimit = LIMIT, **changes: Any) -> DiskUse:
    """Return what an attempt takes."""
    place = DiskPlace(kind="attempt", name="abc.1", limit=limit)
    return DiskUse(place=place, used_bytes=size_bytes, files=files, **changes)


class Writers:
    """Two jobs that run, on a service that looks at what they write."""

    def __init__(self, service: MortalService, add_job: Any) -> None:
        self.service = service
        self.first, self.second = (add_job(spec={"command": list(LASTS)}, user=user) for user in ("ada", "bob"))

    async def start(self) -> Writers:
        """Run both."""
        await self.service.start()
        self.watch()
        await self.service.tick()
        await self.service.tick()
        assert {self.state(job) for job in (self.first, self.second)} == {JobState.RUNNING}
        return self

    def watch(self) -> None:
        """Look as a service does that was just started."""
        service = self.service
        self.disks = Disks(service.runner.db, service.engine, service.site, service.wanted.add)

    async def write(self, size_bytes: int, files: int = 1) -> None:
        """Let the first job write, and the service look."""
        self.service.machine.written[f"{self.first.id}.1"] = (size_bytes, files)
        await self.disks.look()
        await self.service.tick()

    async def until_it_ends(self) -> Any:
        """Let the service work until the first job has ended."""
        for _ in range(6):
            await self.service.tick()
            await self.disks.look()
        return self.service.job(self.first.id)

    def state(self, job: Any) -> JobState:
        """Return how a job is."""
        return self.service.job(job.id).state

    def told(self, job: Any) -> list[str]:
        """Return what a job's owner is told in Lab."""
        now = self.service.clock.wall()
        return [one.sentence for one in self.service.db.read_now(lambda db: notices.open_of(db, job.user_id, now))]


@pytest.fixture
def service(db: Database, machine: Any, tmp_path: Path) -> MortalService:
    """A service whose jobs may write 10 GB, and 1,000 files."""
    service = MortalService(db, machine, tmp_path)
    profile = Profile(name="small", disk="10G", disk_files=1000)  # type: ignore[arg-type]  # as the file has it
    service.site = service.site.model_copy(update={"profiles": (profile,)})
    return service


@pytest_asyncio.fixture
async def writers(service: MortalService, add_job: Any) -> Writers:
    """Two jobs that run."""
    return await Writers(service, add_job).start()


@pytest.mark.asyncio
class TestLimits:
    """What becomes of jobs that write."""

    @pytest.mark.fault(40)
    async def test_a_job_that_writes_more_than_it_may_is_ended_with_its_reason_and_the_place(self, writers):
        writers.service.machine.artifacts[f"{writers.first.id}.1"] = {"part": b"kept"}

        await writers.write(11 * GiB)
        ended = await writers.until_it_ends()

        assert (ended.state, ended.reason) == (JobState.FAILED, Reason.DISK_LIMIT)
        assert ended.detail == "It had written 11.0 GB of the 10.0 GB that it may, mostly in /artifacts."
        found, _ = await writers.service.engine.artifacts(f"{writers.first.id}.1")
        assert [entry.path for entry in found] == ["part"]
        assert writers.state(writers.second) is JobState.RUNNING
        writers.service.check()

    @pytest.mark.fault(41)
    async def test_a_job_that_makes_more_files_than_it_may_is_ended(self, writers):
        await writers.write(MiB, files=1001)

        ended = await writers.until_it_ends()

        assert (ended.state, ended.reason) == (JobState.FAILED, Reason.DISK_LIMIT)
        assert ended.detail.startswith("It had made 1,001 of the 1,000 files that it may")

    async def test_no_grace_is_left_to_a_job_that_does_not_hear_sigterm(self, writers):
        found = writers.service.machine.containers[f"{writers.first.id}.1"]
        found.program = type(found.program)(seconds=None, stubborn=True)

        await writers.write(11 * GiB)
        await writers.service.tick()

        assert found.seen.exit is not None
        assert (await writers.until_it_ends()).reason is Reason.DISK_LIMIT

    async def test_it_is_not_tried_again(self, service, add_job):
        job = add_job(spec={"command": list(LASTS)}, retries=3)
        writers = Writers(service, add_job)
        writers.first = job
        await writers.start()

        await writers.write(11 * GiB)

        assert (await writers.until_it_ends()).attempt_count == 1

    async def test_a_job_that_nears_its_limit_is_told_once_and_not_ended(self, writers):
        await writers.write(9 * GiB)
        await writers.write(9 * GiB + MiB)

        sentence = writers.disks.sentence(f"{writers.first.id}.1")
        assert sentence.endswith("9.0 GB of the 10.0 GB that it may, mostly in /artifacts; above that it is ended.")
        assert [told[:20] for told in writers.told(writers.first)] == [sentence[:20]]
        assert writers.told(writers.second) == []
        assert writers.state(writers.first) is JobState.RUNNING

    async def test_what_was_told_is_taken_back_when_it_deletes_something(self, writers):
        await writers.write(9 * GiB)
        await writers.write(GiB)

        assert (writers.disks.sentence(f"{writers.first.id}.1"), writers.told(writers.first)) == ("", [])

    async def test_a_service_that_starts_anew_goes_on_looking(self, writers):
        writers.watch()

        await writers.write(11 * GiB)

        assert (await writers.until_it_ends()).reason is Reason.DISK_LIMIT

    async def test_a_service_that_starts_anew_takes_back_what_it_told_of_a_job_that_has_ended_since(self, writers):
        await writers.write(9 * GiB)
        writers.service.machine.finish(f"{writers.first.id}.1")
        await writers.service.tick()
        await writers.service.tick()
        writers.watch()

        await writers.disks.look()

        assert writers.state(writers.first) is JobState.SUCCEEDED
        assert writers.told(writers.first) == []

    async def test_a_service_that_starts_anew_does_not_tell_twice(self, writers):
        await writers.write(9 * GiB)
        writers.watch()

        await writers.write(9 * GiB)

        assert len(writers.told(writers.first)) == 1
        assert writers.disks.sentence(f"{writers.first.id}.1")

    async def test_a_machine_that_does_not_answer_ends_nobody(self, writers):
        writers.service.machine.written[f"{writers.first.id}.1"] = (11 * GiB, 1)
        writers.service.machine.reachable = False
        await writers.disks.look()
        writers.service.machine.reachable = True

        assert writers.state(writers.first) is JobState.RUNNING
        last = writers.service.db.read_now(lambda db: jobs.last_attempt(db, writers.first.id))
        assert last.stop_reason is None

    async def test_a_cancel_that_comes_first_keeps_its_reason(self, writers):
        await request_cancel(writers.service.runner.db, writers.first, "ada")
        writers.service.wanted.add(writers.first.id)
        await writers.service.tick()
        await writers.write(11 * GiB)

        assert (await writers.until_it_ends()).reason is Reason.CANCELLED


def test_limits_come_from_the_profile_and_reach_the_engine(service, add_job):
    job = add_job()

    assert disk_limit(job, service.site) == LIMIT
    assert disk_limit(add_job(profile="gone"), service.site) == DiskLimit()


@pytest.mark.parametrize(
    ("profile", "asked", "given"),
    [
        ({"disk": "10G"}, None, None),
        ({"disk": "10G"}, "10G", 10 * GiB),
        ({"disk": "10G", "max_disk": "20G"}, "20G", 20 * GiB),
        ({"disk": "10G", "max_disk": "5G"}, "10G", 10 * GiB),
        ({"disk": "unlimited"}, "900T", 900 * 1024 * GiB),
    ],
)
def test_a_job_may_ask_for_as_much_as_its_profile_allows(profile, asked, given):
    assert disk_asked(asked, Profile(name="small", **profile)) == given


def test_a_job_that_asked_for_more_than_the_profile_allows_by_now_is_run_again_with_what_it_allows():
    profile = Profile(name="small", disk="10G", max_disk="20G")  # type: ignore[arg-type]  # as the file has it

    assert [disk_again(asked, profile) for asked in (None, 5 * GiB, 30 * GiB)] == [None, 5 * GiB, 20 * GiB]
    with pytest.raises(FieldError, match=r"allows 20.0 GB at most"):
        disk_asked("21G", profile)


def test_what_a_job_asked_for_is_its_limit_also_without_its_profile(service, add_job):
    assert disk_limit(add_job(disk_bytes=GiB), service.site) == DiskLimit(size_bytes=GiB, files=1000)
    assert disk_limit(add_job(disk_bytes=GiB, profile="gone"), service.site) == DiskLimit(size_bytes=GiB)


def test_a_profile_has_limits_unless_its_administrator_says_unlimited():
    usual, free = Profile(name="a"), Profile(name="b", disk="unlimited", disk_files="unlimited")

    assert (usual.disk, usual.disk_files) == (100 * GiB, 1_000_000)
    assert (free.disk, free.disk_files) == (None, None)
    assert Site.model_validate({"profiles": [{"name": "a", "disk": "5G"}]}).profiles[0].disk == 5 * GiB


@pytest.mark.parametrize(
    ("taken", "level"),
    [
        (use(), Level.OK),
        (use(9 * GiB - 1), Level.OK),
        (use(9 * GiB), Level.NEARLY),
        (use(10 * GiB, 1000), Level.NEARLY),
        (use(10 * GiB + 1), Level.FULL),
        (use(files=899), Level.OK),
        (use(files=900), Level.NEARLY),
        (use(files=1001), Level.FULL),
        (use(10 * GiB - 4096, fenced=True), Level.FULL),
        (use(100 * GiB, limit=DiskLimit(files=10)), Level.OK),
        (use(files=10**9, limit=DiskLimit(size_bytes=GiB)), Level.OK),
        (use(100 * GiB, 10**9, limit=DiskLimit()), Level.OK),
    ],
)
def test_a_place_is_nearly_full_from_nine_tenths_on_and_full_above_its_limit(taken, level):
    assert level_of(taken, 90) is level


@pytest.mark.fault(43)
def test_the_sentence_names_files_that_were_deleted_and_are_still_open():
    sentence = over_sentence(use(11 * GiB, mostly="in files that are deleted and still open"))

    assert (
        sentence
        == "It had written 11.0 GB of the 10.0 GB that it may, mostly in files that are deleted and still open."
    )


def test_what_lab_shows_has_room_there_and_says_what_a_fence_does():
    sentence = near_sentence(
        use(9 * GiB, mostly="in /artifacts", fenced=True), "a name that is much too long", "abcdefghijkl"
    )

    assert len(sentence) <= 140
    assert sentence.endswith("; more is refused.")
