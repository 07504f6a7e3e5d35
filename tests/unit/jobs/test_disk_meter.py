"""What attempts and storages take of a machine's disk, and how seldom it must be counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from himalia.ids import new_id
from himalia.units import GiB, MiB
from himalia_jobs.engines.disk import DiskLimit, DiskPlace, DiskUse
from himalia_jobs.engines.disk_use import meter as disk_meter
from himalia_jobs.engines.disk_use.meter import Container, DiskMeter
from himalia_jobs.engines.errors import Unknown
from himalia_jobs.layout import DataLayout

ATTEMPT = "abcdefghijkl.1"
LOG_BYTES = MiB
CONTAINER = "d" * 64


@pytest.fixture
def own(tmp_path) -> Path:
    """The directory of an attempt."""
    folder = DataLayout(data=tmp_path / "data").attempt(ATTEMPT)
    for name in ("upper", "work", "artifacts", "home", "run"):
        (folder / name).mkdir(parents=True)
    return folder


@pytest_asyncio.fixture
async def meter(tmp_path, own):
    """A meter on a file system without quota; the container's own layer is a folder beside."""
    (tmp_path / "layer").mkdir()

    async def find(attempt: str) -> Container:
        return Container(handle=CONTAINER, layer=tmp_path / "layer")

    meter = DiskMeter(DataLayout(data=tmp_path / "data"), LOG_BYTES, find)
    await meter.open()
    yield meter
    meter.close()


def attempt(size_bytes: int = 0, files: int = 0) -> DiskPlace:
    """Return the attempt, with a limit."""
    return DiskPlace(kind="attempt", name=ATTEMPT, limit=DiskLimit(size_bytes=size_bytes, files=files))


@pytest.mark.asyncio
class TestAttempts:
    """Attempts that run."""

    @pytest.mark.fault(42)
    @pytest.mark.parametrize(
        ("place", "words"),
        [
            ("own/upper", "in the workspace"),
            ("own/artifacts", "in /artifacts"),
            ("own/home", "in its home"),
            ("own/run", "in /himalia"),
            ("layer", "in /tmp and elsewhere in its container"),
        ],
    )
    async def test_whatever_a_job_writes_to_is_counted_and_named(self, meter, own, tmp_path, place, words):
        folder = tmp_path / "layer" if place == "layer" else own / place.partition("/")[2]
        (folder / "large").write_bytes(b"x" * 3 * MiB)

        (use,) = await meter.use([attempt(2 * MiB - 4096)])

        assert (use.over, use.mostly) == (True, words)

    async def test_a_log_has_a_limit_of_its_own_and_is_not_counted_below_it(self, meter, own):
        (own / "run" / "log").write_bytes(b"x" * LOG_BYTES)

        (use,) = await meter.use([attempt(MiB)])

        assert use.used_bytes == 0

    async def test_an_attempt_far_from_its_limit_is_not_counted_again_and_one_near_it_is(self, meter, own):
        for limit, seen in ((100 * GiB, 0), (2 * MiB, 3 * MiB)):
            await meter.use([attempt(limit)])
            (own / "artifacts" / "large").write_bytes(b"x" * 3 * MiB)

            (use,) = await meter.use([attempt(limit)])

            assert use.used_bytes == seen
            (own / "artifacts" / "large").unlink()
            meter._attempts.clear()

    async def test_a_count_that_takes_long_goes_on_in_the_next_round_and_ends_a_job_before_it_is_through(
        self, meter, own, monkeypatch
    ):
        monkeypatch.setattr(disk_meter, "ROUND_SECONDS", 0.0)
        for number in range(1000):
            (own / "artifacts" / f"{number}").touch()

        rounds = [(await meter.use([attempt(files=900)]))[0] for _ in range(12)]

        assert [use.files for use in rounds] == sorted(use.files for use in rounds)
        assert (rounds[0].over, rounds[-1].over) == (False, True)

    async def test_without_an_engine_that_answers_the_rest_is_counted(self, meter, own, monkeypatch):
        async def silent(attempt: str) -> None:
            raise Unknown("the Docker Engine does not answer")

        monkeypatch.setattr(meter, "_find", silent)
        (own / "artifacts" / "large").write_bytes(b"x" * 3 * MiB)

        (use,) = await meter.use([attempt(2 * MiB)])

        assert use.over

    async def test_what_is_known_of_an_attempt_goes_when_nobody_asks_any_more(self, meter):
        await meter.use([attempt(GiB)])

        await meter.use([DiskPlace(kind="attempt", name="mnopqrstuvwx.1")])

        assert list(meter._attempts) == ["mnopqrstuvwx.1"]

    @pytest.mark.fault(43)
    async def test_files_that_are_deleted_and_still_open_are_counted_by_the_containers_processes(
        self, meter, own, monkeypatch
    ):
        script = f"import os,sys; f=open({str(own / 'upper' / 'gone')!r},'wb'); f.write(b'x'*{3 * MiB}); f.flush(); os.unlink(f.name); print(flush=True); sys.stdin.read()"
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        holder = subprocess.Popen([sys.executable, "-c", script], **streams)
        holder.stdout.readline()
        monkeypatch.setattr(disk_meter, "processes_of", lambda handles: dict.fromkeys(handles, [holder.pid]))

        (use,) = await meter.use([attempt(2 * MiB)])
        holder.communicate()

        assert (use.over, use.mostly) == (True, "in files that are deleted and still open")


@pytest.mark.asyncio
class TestStorages:
    """Homes, storages, teams."""

    @pytest.mark.parametrize("kind", ["home", "storage", "team"])
    async def test_a_storage_is_counted_to_its_end(self, meter, kind, monkeypatch):
        monkeypatch.setattr(disk_meter, "SLICE_SECONDS", 0.0)
        monkeypatch.setattr(disk_meter, "REST_SECONDS", 0.0)
        name = new_id()
        folder = getattr(meter.layout, kind)(name)
        folder.mkdir(parents=True)
        for number in range(500):
            (folder / str(number)).write_bytes(b"x")

        (use,) = await meter.use([DiskPlace(kind=kind, name=name, limit=DiskLimit(files=499))])

        assert (use.files, use.used_bytes, use.over) == (500, 500 * 4096, True)

    async def test_one_that_is_not_there_takes_nothing(self, meter):
        (use,) = await meter.use([DiskPlace(kind="storage", name=new_id())])

        assert (use.files, use.used_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("taken", "limit", "seconds"),
    [
        (0, DiskLimit(), disk_meter.LONGEST_SECONDS),
        (0, DiskLimit(size_bytes=disk_meter.FASTEST_BYTES), 1.0),
        (disk_meter.FASTEST_BYTES // 2, DiskLimit(size_bytes=disk_meter.FASTEST_BYTES), 0.5),
        (0, DiskLimit(size_bytes=2**50, files=disk_meter.FASTEST_FILES), 1.0),
        (2 * GiB, DiskLimit(size_bytes=GiB), 0.0),
    ],
)
def test_an_attempt_is_left_alone_while_nothing_could_have_written_so_fast(taken, limit, seconds):
    use = DiskUse(place=DiskPlace(kind="attempt", name=ATTEMPT, limit=limit), used_bytes=taken, files=0)

    assert disk_meter._pause(use) == seconds


@pytest.mark.asyncio
async def test_counting_gives_way_to_all_else(meter):
    ours = os.getpriority(os.PRIO_PROCESS, 0)

    for pool in (meter._quick, meter._slow):
        assert pool.submit(os.getpriority, os.PRIO_PROCESS, 0).result() == max(ours, disk_meter.NICE)
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours
