"""Checks of the data directory: where it lies, its disk, workspaces, the database; each well, and each with what to do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from looked_at import installation_in, told

from himalia.site import Site
from himalia_jobs.disk.places import Known
from himalia_jobs.disk.words import Level
from himalia_jobs.doctor import storage
from himalia_jobs.doctor.here import Here
from himalia_jobs.engines.disk import DiskLimit, DiskPlace, DiskUse
from himalia_jobs.layout import DataLayout
from himalia_jobs.store.schema import open_database


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Here]:
    """Make an installation with these settings, that was started before unless it is new."""
    return partial(installation_in, tmp_path)


def test_a_data_directory_on_a_local_disk_is_well(make):
    assert storage.data(make()).ok is True


def test_a_data_directory_that_mounts_cannot_name_is_a_fault(tmp_path):
    site = Site()
    moved = site.platform.model_copy(update={"data": tmp_path / "a:b"})

    ok, words = told(storage.data(Here(site=site.model_copy(update={"platform": moved}))))

    assert ok is False
    assert "[platform] data" in words


def test_a_data_directory_on_nfs_is_a_fault(make, monkeypatch):
    monkeypatch.setattr(storage, "file_system", lambda path: "nfs4")

    ok, words = told(storage.data(make()))

    assert ok is False
    assert "nfs4" in words


def test_a_data_directory_that_is_not_there_yet_is_a_note(make):
    assert storage.data(make(new=True)).ok is None


def test_a_data_directory_that_cannot_be_written_to_is_a_fault(make, monkeypatch):
    monkeypatch.setattr(storage.os, "access", lambda path, mode: False)

    assert storage.data(make()).ok is False


def test_secrets_that_others_can_read_are_a_fault(make):
    here = make()
    (here.data / "secrets").chmod(0o755)

    ok, words = told(storage.data(here))

    assert ok is False
    assert "chmod -R go=" in words


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:50 / /srv/my\\040data rw,relatime shared:1 - nfs4 host:/x rw\n"
        "3 1 8:2 / /srv rw - xfs /dev/sdb rw\n"
    )

    assert storage.file_system(Path("/srv/my data/himalia"), mounts) == "nfs4"
    assert storage.file_system(Path("/srv/other"), mounts) == "xfs"
    assert storage.file_system(Path("/home"), mounts) == "ext4"


@pytest.mark.parametrize(("free", "ok"), [(100, True), (2, None), (0.5, False)])
def test_the_disk_is_measured_against_the_reserve(make, monkeypatch, free, ok):
    usage = SimpleNamespace(free=int(free * 1024**3), total=200 * 1024**3)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda path: usage)

    outcome = storage.disk(make())

    assert outcome.ok is ok
    assert ok or outcome.advice


def test_a_disk_without_room_for_more_files_is_a_fault(make, monkeypatch):
    usage = SimpleNamespace(free=100 * 1024**3, total=200 * 1024**3)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(storage.os, "statvfs", lambda path: SimpleNamespace(f_files=10**6, f_favail=12))

    ok, words = told(storage.disk(make()))

    assert ok is False
    assert "12 more files" in words


@pytest.mark.parametrize(("fences", "said"), [(True, "project quota: "), (False, "watched: ")])
def test_which_limits_of_the_disk_are_in_force_and_who_holds_to_them_is_told(make, monkeypatch, fences, said):
    monkeypatch.setattr(storage, "find_quota", lambda data: object() if fences else None)
    monkeypatch.setattr(storage.os, "geteuid", lambda: 0)

    ok, words = told(storage.limits(make(disk={"storage": "50G", "storage_files": 1000, "home_files": 7})))

    limits = "jobs 100 GB; homes 7 files; storages 50.0 GB and 1,000 files; teams without limit"
    assert (ok, words.strip()) == (True, said + limits)


def test_what_is_full_is_told_to_the_administrator(make):
    here = make(disk={"storage": "1G"})
    place = DiskPlace(kind="storage", name="abcdefghijkl", limit=DiskLimit(size_bytes=2**30))
    known = Known(use=DiskUse(place=place, used_bytes=2**31, files=3), level=Level.FULL, since="2026-01-01T00:00:00Z")
    DataLayout(data=here.data).disk_use.write_text(json.dumps([asdict(known)]))

    ok, words = told(storage.limits(here))

    assert ok is None
    assert "storage abcdefghijkl is full: 2.0 GB, 3 files." in words


@pytest.mark.parametrize("written", ["", "[1]", "{}", '[{"use": {"place": {"kind": "other"}}}]', "null"])
def test_a_list_of_what_is_full_that_is_not_ours_is_none(make, written):
    here = make()
    DataLayout(data=here.data).disk_use.write_text(written)

    assert storage.limits(here).ok is True


@pytest.mark.parametrize(("works", "ok", "said"), [(True, True, "overlays"), (False, None, "copies")])
def test_how_workspaces_are_made_is_told(make, monkeypatch, works, ok, said):
    monkeypatch.setattr(storage, "overlay_works", lambda data: works)
    monkeypatch.setattr(storage.os, "geteuid", lambda: 0)

    outcome = storage.workspaces(make())

    assert outcome.ok is ok
    assert said in outcome.message


def test_who_may_not_mount_is_told_why_nothing_was_looked_at(make, monkeypatch):
    monkeypatch.setattr(storage.os, "geteuid", lambda: 1000)

    assert storage.workspaces(make()).ok is None


def test_a_database_of_this_version_is_well(make):
    here = make()
    open_database(here.data / "himalia.sqlite").close()

    assert storage.database(here).ok is True


def test_no_database_is_a_note_before_the_first_start(make):
    assert storage.database(make()).ok is None


def test_no_database_beside_jobs_is_a_fault(make):
    here = make()
    (here.data / "jobs" / "abc").mkdir(parents=True)

    ok, words = told(storage.database(here))

    assert ok is False
    assert "--adopt" in words


def test_a_database_of_a_newer_version_is_a_fault(make):
    here = make()
    file = here.data / "himalia.sqlite"
    open_database(file).close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9999'")

    ok, words = told(storage.database(here))

    assert ok is False
    assert "newer Himalia (step v9999)" in words


def test_an_older_database_is_a_note(make):
    here = make()
    with closing(sqlite3.connect(here.data / "himalia.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE other (x)")

    assert storage.database(here).ok is None


def test_a_damaged_database_is_a_fault(make):
    here = make()
    (here.data / "himalia.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 40)

    ok, words = told(storage.database(here))

    assert ok is False
    assert "damaged" in words


def test_the_disk_is_measured_before_the_first_start_too(make, monkeypatch):
    usage = SimpleNamespace(free=100 * 1024**3, total=200 * 1024**3)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda path: usage)

    assert storage.disk(make(new=True)).ok is True
