"""The names in a directory come in order, page by page, whether they are kept or read anew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia_jobs.engines import names as module
from himalia_jobs.engines.names import KeptNames

LONG_AGO = time.time() - 3600


@pytest.fixture
def scans(monkeypatch) -> list[int]:
    """The directories that were read."""
    read, scandir = [], os.scandir
    monkeypatch.setattr(module.os, "scandir", lambda folder: (read.append(folder), scandir(folder))[1])
    return read


@pytest.fixture
def settled(monkeypatch) -> None:
    """Let every directory count as one that did not change lately."""
    monkeypatch.setattr(module, "SETTLED_SECONDS", -1.0)


def make(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).touch()


def pages(kept: KeptNames, folder: Path, most: int) -> Iterator[list[str]]:
    """Yield page after page, as somebody who turns them asks for them."""
    least = ""
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            page = kept.after(descriptor, least, most)
        finally:
            os.close(descriptor)
        yield page
        if len(page) < most:
            return
        least = page[-1]


@settings(max_examples=40, deadline=None)
@given(
    names=st.sets(st.text("ab-.é~", min_size=1, max_size=4).filter(lambda name: name not in (".", "..")), max_size=20),
    most=st.integers(1, 8),
    most_of_one=st.sampled_from([1, 5, 1000]),
    kept_bytes=st.sampled_from([0, 2_000, 1_000_000]),
)
def test_all_names_come_once_and_in_order(tmp_path_factory, names, most, most_of_one, kept_bytes):
    folder = tmp_path_factory.mktemp("names")
    make(folder, sorted(names))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_OF_ONE", most_of_one)
        patch.setattr(module, "KEPT_BYTES", kept_bytes)
        patch.setattr(module, "SETTLED_SECONDS", -1.0)
        kept = KeptNames()

        for _ in range(2):
            assert [name for page in pages(kept, folder, most) for name in page] == sorted(names)


def test_page_after_page_reads_a_directory_once(tmp_path, scans, settled):
    make(tmp_path, [f"{number:03}" for number in range(100)])

    assert len(list(pages(KeptNames(), tmp_path, 10))) == 11
    assert len(scans) == 1


def test_a_directory_that_changed_is_read_anew(tmp_path, settled):
    kept = KeptNames()
    make(tmp_path, ["a", "c"])
    assert next(pages(kept, tmp_path, 9)) == ["a", "c"]
    make(tmp_path, ["b"])
    (tmp_path / "c").unlink()

    assert next(pages(kept, tmp_path, 9)) == ["a", "b"]


def test_what_changed_a_moment_ago_is_not_kept(tmp_path, scans):
    make(tmp_path, ["a"])
    os.utime(tmp_path, (LONG_AGO, LONG_AGO))  # a job may say so; the kernel knows better
    kept = KeptNames()

    for _ in range(2):
        next(pages(kept, tmp_path, 9))

    assert len(scans) == 2


@pytest.mark.parametrize("names", [["a", "b"], []])
def test_only_so_much_is_kept_and_that_of_the_last_directories(tmp_path, scans, settled, monkeypatch, names):
    monkeypatch.setattr(module, "KEPT_BYTES", 2.5 * module._taken(names))
    kept = KeptNames()
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        make(tmp_path / name, names)
        next(pages(kept, tmp_path / name, 9))
    next(pages(kept, tmp_path / "three", 9))
    assert len(scans) == 3

    next(pages(kept, tmp_path / "one", 9))

    assert len(scans) == 4
