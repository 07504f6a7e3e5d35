"""What a tree takes of the disk is counted as the disk has it, and nothing that its owner does to it leads elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia.units import GiB, MiB
from himalia_jobs.engines.disk_use import counting
from himalia_jobs.engines.disk_use.counting import Walk
from himalia_jobs.engines.disk_use.open_deleted import deleted_but_open, processes_of

CONTAINER = "c" * 64


def counted(folder: Path, **options: object) -> Walk:
    """Return a count that is through."""
    walk = Walk([("all", folder)], **options)
    assert walk.go_on(60)
    return walk


def open_descriptors() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def du(folder: Path) -> int:
    """Return what `du` says of a folder, without the folder itself."""
    said = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[0]) - folder.stat().st_blocks * 512


@pytest.mark.fault(41)
def test_bytes_and_names_are_counted_as_du_counts_them(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "model").write_bytes(b"x" * 3 * MiB)
    for number in range(1000):
        (tmp_path / "a" / "b" / str(number)).touch()

    walk = counted(tmp_path)

    assert (walk.files, walk.size_bytes) == (1003, du(tmp_path))


@pytest.mark.fault(44)
def test_a_sparse_file_takes_what_lies_on_the_disk_and_not_its_size(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1024 * GiB)

    assert counted(tmp_path).size_bytes < MiB


def test_a_file_with_two_names_takes_its_room_once_also_in_two_trees(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "model").write_bytes(b"x" * MiB)
    os.link(tmp_path / "one" / "model", tmp_path / "one" / "again")
    os.link(tmp_path / "one" / "model", tmp_path / "two" / "again")

    walk = Walk([(name, tmp_path / name) for name in ("one", "two")])
    walk.go_on(60)

    assert (walk.counts["one"].files, walk.counts["one"].size_bytes, walk.counts["two"].files) == (1, MiB, 0)


def test_no_link_is_followed(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "large").write_bytes(b"x" * MiB)
    (inside / "away").symlink_to(outside)
    (inside / "up").symlink_to("..")
    os.mkfifo(inside / "pipe")

    assert (counted(inside).files, counted(inside).size_bytes) == (3, du(inside))
    (tmp_path / "root").symlink_to(outside)
    assert counted(tmp_path / "root").files == 0


def test_what_is_not_there_takes_nothing(tmp_path):
    assert counted(tmp_path / "nowhere").files == 0


def test_a_tree_deeper_than_there_are_descriptors_is_counted_to_its_end(tmp_path):
    before, here, depth = open_descriptors(), os.getcwd(), 1500
    try:
        os.chdir(tmp_path)
        for _ in range(depth):
            os.mkdir("d")
            Path("file").write_bytes(b"x")
            os.chdir("d")
    finally:
        os.chdir(here)

    walk = Walk([("all", tmp_path)])
    most = 0
    while not walk.go_on(0):
        most = max(most, open_descriptors() - before)

    assert walk.files == 2 * depth
    assert most <= counting.OPEN_AT_ONCE + 3
    assert open_descriptors() == before
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_a_directory_that_is_moved_away_meanwhile_leads_the_count_nowhere_else(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    outside.mkdir()
    for number in range(1000):
        (outside / str(number)).touch()
    deep = inside.joinpath(*["d"] * (counting.OPEN_AT_ONCE + 10))
    deep.mkdir(parents=True)
    before = open_descriptors()

    walk = Walk([("all", inside)])
    while not walk.go_on(0) and walk.files < counting.OPEN_AT_ONCE + 10:
        pass
    (inside / "d" / "d").rename(outside / "moved")
    while not walk.go_on(0):
        pass

    assert walk.files == counting.OPEN_AT_ONCE + 10
    assert open_descriptors() == before


def test_a_count_goes_on_where_it_was_and_takes_no_longer_than_its_slice(tmp_path):
    for number in range(2 * counting.ENTRIES_AT_ONCE + 1):
        (tmp_path / str(number)).touch()
    ticks = count()
    walk = Walk([("all", tmp_path)], clock=lambda: next(ticks))

    slices = [walk.files for _ in range(2) if not walk.go_on(0.5)]

    assert slices == [counting.ENTRIES_AT_ONCE, 2 * counting.ENTRIES_AT_ONCE]
    walk.go_on(1000)
    assert (walk.done, walk.files) == (True, 2 * counting.ENTRIES_AT_ONCE + 1)


def test_a_count_that_is_given_up_closes_what_it_had_open(tmp_path):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    before = open_descriptors()
    walk = Walk([("all", tmp_path)])
    walk.go_on(0)

    walk.close()

    assert open_descriptors() == before


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(st.binary(max_size=9000), lambda inner: st.dictionaries(st.sampled_from("abcd"), inner), max_leaves=12)
)
def test_any_tree_is_counted_as_du_counts_it(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("tree")

    def make(path: Path, node: object) -> int:
        if isinstance(node, bytes):
            path.write_bytes(node)
            return 1
        path.mkdir(exist_ok=True)
        return 1 + sum(make(path / name, inner) for name, inner in node.items())

    made = make(folder / "top", tree)

    walk = counted(folder)
    assert (walk.files, walk.size_bytes) == (made, du(folder))


@pytest.fixture
def holder(tmp_path):
    """A process that holds a deleted file of 2 MiB, the same once more, one that is still there, and memory without a name."""
    script = (
        "import os, sys\n"
        f"f = open({str(tmp_path / 'gone')!r}, 'wb'); f.write(b'x' * {2 * MiB}); f.flush(); g = os.dup(f.fileno())\n"
        f"os.unlink({str(tmp_path / 'gone')!r}); h = open({str(tmp_path / 'there')!r}, 'wb'); h.write(b'x' * {MiB}); h.flush()\n"
        f"m = os.memfd_create('m'); os.write(m, b'x' * {MiB})\n"
        f"s = open('/dev/shm/himalia-test-{os.getpid()}', 'wb'); s.write(b'x' * {MiB}); s.flush(); os.unlink(s.name)\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", script], **streams)
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.communicate()


@pytest.mark.fault(43)
def test_a_file_that_is_deleted_and_still_open_takes_its_room_and_memory_without_a_name_none(holder):
    found = deleted_but_open([holder.pid])

    assert (found.files, found.size_bytes) == (1, 2 * MiB)


@pytest.mark.fault(43)
def test_its_room_is_given_back_when_the_process_ends(holder):
    holder.communicate()

    assert deleted_but_open([holder.pid]).size_bytes == 0


def test_processes_are_found_by_their_control_group(tmp_path):
    for pid, cgroup in ((1, "0::/init.scope"), (20, f"0::/docker/{CONTAINER}"), (21, f"1:memory:/docker/{CONTAINER}")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(f"{cgroup}\n")
    (tmp_path / "22").mkdir()

    assert sorted(processes_of([CONTAINER], tmp_path)[CONTAINER]) == [20, 21]
    assert processes_of([], tmp_path) == {}
