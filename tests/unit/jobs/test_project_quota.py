"""Project quota: what is asked of the kernel, and who is believed. No file system here has it: the kernel is a fake."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
import pytest_asyncio

from himalia.units import GiB, MiB
from himalia_jobs.engines.disk import DiskLimit, DiskPlace
from himalia_jobs.engines.disk_use import meter as disk_meter
from himalia_jobs.engines.disk_use import project_quota
from himalia_jobs.engines.disk_use.meter import DiskMeter
from himalia_jobs.engines.disk_use.project_quota import (
    ATTRIBUTES,
    INHERITED,
    OURS,
    QUOTA,
    Kernel,
    ProjectQuota,
    find_quota,
    holds,
)
from himalia_jobs.layout import DataLayout

DEVICE = "/dev/sda1"
HEADERS = Path("/usr/include/linux")


class KernelWithQuota:
    """Keeps what it is told, as the kernel does, by inode and by project; counts what is there when it is asked."""

    def __init__(self) -> None:
        self.flags: dict[int, tuple[int, int]] = {}  #: flags and project, by inode
        self.limits: dict[int, tuple[int, int]] = {}  #: bytes and files, by project
        self.taken: dict[int, tuple[int, int]] = {}
        self.usually = (0, 0)

    def attributes(self, descriptor: int, request: int, packed: bytes) -> bytes:
        """Read or write a file's attributes."""
        inode = os.fstat(descriptor).st_ino
        assert len(packed) == 28
        if request == project_quota.SET_ATTRIBUTES:
            flags, _, _, project, _ = ATTRIBUTES.unpack(packed)
            self.flags[inode] = (flags, project)
        flags, project = self.flags.get(inode, (0, 0))
        return ATTRIBUTES.pack(flags, 0, 7, project, 0)

    def quota(self, command: int, device: str, project: int, packed: bytes) -> bytes:
        """Read or write a project's quota."""
        assert (device, len(packed), project & OURS) == (DEVICE, 72, OURS)
        if command == project_quota.SET_QUOTA:
            found = QUOTA.unpack(packed)
            assert (found[0], found[3], found[8]) == (found[1], found[4], 5)
            self.limits[project] = (found[0] * 1024, found[3])
        size, files = self.limits.get(project, (0, 0))
        taken = self.taken.get(project, self.usually)
        return QUOTA.pack(size // 1024, 0, taken[0], files, 0, taken[1], 0, 0, 63)


class KernelWithoutQuota(KernelWithQuota):
    """A kernel that was built without."""

    def quota(self, command: int, device: str, project: int, packed: bytes) -> bytes:
        """Say that there is none."""
        raise OSError(errno.ENOSYS, "Function not implemented", device)


@pytest.fixture
def kernel() -> KernelWithQuota:
    """A kernel with project quota."""
    return KernelWithQuota()


@pytest.fixture
def quota(kernel) -> ProjectQuota:
    """The quota of a file system."""
    return ProjectQuota(DEVICE, kernel)


@pytest.fixture
def layout(tmp_path) -> DataLayout:
    """A data directory with one attempt and one storage that holds something."""
    layout = DataLayout(data=tmp_path)
    for name in ("upper", "work", "artifacts", "home", "run"):
        (layout.attempt("abcdefghijkl.1") / name).mkdir(parents=True)
    (layout.storage("mnopqrstuvwx") / "runs").mkdir(parents=True)
    (layout.storage("mnopqrstuvwx") / "runs" / "model").touch()
    (layout.storage("mnopqrstuvwx") / "link").symlink_to("/etc/passwd")
    return layout


def test_empty_directories_are_given_to_one_project_named_by_the_inode_above_them_and_limited(kernel, quota, layout):
    own = layout.attempt("abcdefghijkl.1")

    project = quota.fence(own, [own / "upper", own / "artifacts"], DiskLimit(size_bytes=GiB, files=100))

    assert project == OURS | own.stat().st_ino
    assert kernel.limits == {project: (GiB, 100)}
    assert {kernel.flags[(own / name).stat().st_ino] for name in ("upper", "artifacts")} == {(INHERITED, project)}
    assert own.stat().st_ino not in kernel.flags


def test_a_limit_that_is_no_whole_block_is_rounded_up(kernel, quota, layout):
    quota.fence(layout.data, [], DiskLimit(size_bytes=1025))

    assert list(kernel.limits.values()) == [(2048, 0)]


def test_a_directory_that_holds_files_of_no_project_is_not_fenced_as_if_it_were_empty(quota, layout):
    folder = layout.storage("mnopqrstuvwx")

    with pytest.raises(OSError, match="files of no project"):
        quota.fence(folder, [folder], DiskLimit(files=1))


def test_a_storage_that_holds_something_is_given_to_its_project_before_it_is_limited_and_links_are_left(
    kernel, quota, layout
):
    folder = layout.storage("mnopqrstuvwx")

    project = quota.fence_tree(folder, DiskLimit(size_bytes=GiB))

    given = {path: kernel.flags.get(path.lstat().st_ino) for path in (folder, *folder.rglob("*"))}
    assert given[folder] == given[folder / "runs"] == (INHERITED, project)
    assert given[folder / "runs" / "model"] == (0, project)
    assert given[folder / "link"] is None
    assert os.stat("/etc/passwd").st_ino not in kernel.flags


def test_it_is_given_once_and_a_changed_limit_is_written_again(kernel, quota, layout):
    folder = layout.storage("mnopqrstuvwx")
    quota.fence_tree(folder, DiskLimit(size_bytes=GiB))
    (folder / "later").touch()

    project = quota.fence_tree(folder, DiskLimit(size_bytes=2 * GiB))

    assert kernel.limits[project] == (2 * GiB, 0)
    assert (folder / "later").stat().st_ino not in kernel.flags  # the kernel does that: the directory hands it on


def test_one_that_was_cut_short_is_done_again(kernel, quota, layout):
    folder = layout.storage("mnopqrstuvwx")
    quota.fence_tree(folder, DiskLimit(size_bytes=GiB))
    kernel.limits.clear()
    del kernel.flags[(folder / "runs" / "model").stat().st_ino]

    project = quota.fence_tree(folder, DiskLimit(size_bytes=GiB))

    assert kernel.flags[(folder / "runs" / "model").stat().st_ino] == (0, project)


def test_a_kernel_without_it_is_not_believed(tmp_path):
    assert not holds(ProjectQuota(DEVICE, KernelWithoutQuota()), tmp_path)


def test_a_file_system_that_takes_more_than_the_limit_is_not_believed(quota, tmp_path):
    assert not holds(quota, tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_that_refuses_and_counts_is_believed(kernel, quota, tmp_path, monkeypatch):
    monkeypatch.setattr(project_quota, "_may_write", lambda folder, size: size <= project_quota.PROBE_BYTES)
    kernel.usually = (project_quota.PROBE_BYTES, 2)

    assert holds(quota, tmp_path)


def test_one_where_nobody_may_write_at_all_is_not_believed(kernel, quota, tmp_path, monkeypatch):
    monkeypatch.setattr(project_quota, "_may_write", lambda folder, size: False)
    kernel.usually = (4096, 1)

    assert not holds(quota, tmp_path)


def test_nobody_may_write_where_they_could_not_find_the_way_to(tmp_path):
    folder = tmp_path / "closed" / "open"
    folder.mkdir(parents=True)
    os.chmod(tmp_path / "closed", 0o700)
    os.chown(folder, project_quota.NOBODY, project_quota.NOBODY)

    assert project_quota._may_write(folder, MiB)
    assert (folder / "zeros").stat().st_uid == project_quota.NOBODY


@pytest.mark.parametrize(
    ("mount", "device"),
    [
        ("8:1 / /srv rw - ext4 /dev/sda1 rw,prjquota", DEVICE),
        ("8:1 / /srv rw - xfs /dev/sda1 rw,attr2,pquota", DEVICE),
        ("8:1 / /srv rw - ext4 /dev/sda1 rw", None),
        ("8:1 / /srv rw - xfs /dev/sda1 rw,pqnoenforce", None),
        ("8:1 / /srv rw - btrfs /dev/sda1 rw,prjquota", None),
        ("8:1 / /other rw - ext4 /dev/sda1 rw,prjquota", None),
    ],
)
def test_project_quota_is_looked_for_in_the_mount_below_the_data(tmp_path, mount, device):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"20 1 8:0 / / rw - ext4 /dev/root rw\n21 20 {mount}\n")

    assert project_quota._quota_device(Path("/srv/himalia"), mounts) == device


def test_this_machine_is_asked_and_answers(tmp_path):
    assert find_quota(tmp_path) is None or holds(find_quota(tmp_path), tmp_path)
    with pytest.raises(OSError):
        Kernel().quota(project_quota.GET_QUOTA, "/dev/null", OURS | 1, bytes(QUOTA.size))


def test_the_numbers_are_those_of_the_kernels_headers():
    fs, quota = (HEADERS / "fs.h").read_text(), (HEADERS / "quota.h").read_text()

    assert re.search(r"FS_XFLAG_PROJINHERIT\s+0x00000200", fs)
    assert re.search(r"Q_GETQUOTA\s+0x800007", quota)
    assert re.search(r"Q_SETQUOTA\s+0x800008", quota)
    assert re.search(r"PRJQUOTA\s+2", quota)


@pytest_asyncio.fixture
async def meter(layout, quota):
    """A meter on a file system with quota."""

    async def nobody(attempt: str) -> None:
        return None

    meter = DiskMeter(layout, MiB, nobody)
    meter.quota = quota
    yield meter
    meter.close()


@pytest.mark.asyncio
async def test_a_fenced_attempt_is_told_as_the_kernel_counts_it_and_never_walked(meter, kernel, layout):
    limit = DiskLimit(size_bytes=GiB, files=1000)
    meter.fence("abcdefghijkl.1", limit)
    (project,) = kernel.limits
    kernel.taken[project] = (GiB, 5)

    (use,) = await meter.use([DiskPlace(kind="attempt", name="abcdefghijkl.1", limit=limit)])

    assert (use.fenced, use.used_bytes, use.files, use.over) == (True, GiB, 5, False)


@pytest.mark.asyncio
async def test_what_a_fence_does_not_hold_still_ends_a_job(meter, kernel, layout):
    limit = DiskLimit(size_bytes=MiB)
    meter.fence("abcdefghijkl.1", limit)
    (layout.attempt("abcdefghijkl.1") / "run" / "large").write_bytes(b"x" * 3 * MiB)

    (use,) = await meter.use([DiskPlace(kind="attempt", name="abcdefghijkl.1", limit=limit)])

    assert (use.over, use.mostly) == (True, disk_meter.WORDS["run"])


@pytest.mark.asyncio
async def test_an_attempt_that_cannot_be_fenced_is_counted(meter, layout):
    (layout.attempt("abcdefghijkl.1") / "upper" / "copied").write_bytes(b"x" * MiB)
    limit = DiskLimit(size_bytes=GiB)
    meter.fence("abcdefghijkl.1", limit)

    (use,) = await meter.use([DiskPlace(kind="attempt", name="abcdefghijkl.1", limit=limit)])

    assert (use.fenced, use.used_bytes) == (False, MiB)


@pytest.mark.asyncio
async def test_a_fenced_storage_is_told_as_the_kernel_counts_it(meter, kernel, layout):
    place = DiskPlace(kind="storage", name="mnopqrstuvwx", limit=DiskLimit(size_bytes=GiB))
    await meter.use([place])
    (project,) = kernel.limits
    kernel.taken[project] = (GiB // 2, 3)

    (use,) = await meter.use([place])

    assert (use.fenced, use.used_bytes, use.files) == (True, GiB // 2, 3)
