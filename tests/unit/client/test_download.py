"""Fetching artifacts: whole or not at all, and never outside the directory that was named."""

from __future__ import annotations

import errno
import os

import httpx
import pytest
from job_bodies import ended
from job_service import TOKEN, URL

from himalia.client import Client
from himalia.errors import LocalError, Unavailable


@pytest.fixture
def client(service):
    with Client(URL, TOKEN) as client:
        yield client


@pytest.fixture
def job(service):
    job = service.add_job(**ended("a" * 12), id="a" * 12)
    job.artifacts = {"model.bin": b"0123456789", "plots/a.png": b"png", "plots/deep/b.png": b"", "log.txt": b"x"}
    return job


def files(folder) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_everything_is_fetched_with_its_directories(client, job, tmp_path):
    written = client.download(job.view.id, tmp_path / "new" / "out")

    assert files(tmp_path / "new" / "out") == job.artifacts
    assert sorted(written) == sorted(tmp_path / "new" / "out" / path for path in job.artifacts)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (("*.png",), {"plots/a.png", "plots/deep/b.png"}),
        (("plots",), {"plots/a.png", "plots/deep/b.png"}),
        (("./plots/deep/",), {"plots/deep/b.png"}),
        (("model.bin", "log.*"), {"model.bin", "log.txt"}),
    ],
)
def test_patterns_choose(client, job, tmp_path, patterns, names):
    client.download(job.view.id, tmp_path, patterns)

    assert set(files(tmp_path)) == names


def test_a_pattern_that_nothing_matches_is_told(client, job, tmp_path):
    with pytest.raises(LocalError, match=r"No artifact matches \*\.pt. See what is there: himalia artifacts"):
        client.download(job.view.id, tmp_path, ("*.pt",))


def test_a_cut_is_gone_on_from_where_it_was(service, client, job, tmp_path):
    service.cuts["model.bin"] = [4, 0, 3]

    client.download(job.view.id, tmp_path, ("model.bin",))

    assert files(tmp_path) == {"model.bin": b"0123456789"}
    ranges = [headers.get("Range") for headers in service.headers[1:]]
    assert ranges == [None, "bytes=4-", "bytes=4-", "bytes=7-"]


def test_a_service_that_knows_no_ranges_sends_it_all_again(service, client, job, tmp_path):
    service.cuts["model.bin"] = [4]

    def without_ranges(request):
        request.headers.pop("Range", None)
        return service(request)

    client.http._client._transport = httpx.MockTransport(without_ranges)
    client.download(job.view.id, tmp_path, ("model.bin",))

    assert files(tmp_path) == {"model.bin": b"0123456789"}


@pytest.mark.fault(95)
def test_a_file_that_is_another_one_after_a_cut_is_fetched_anew_and_never_mixed(service, client, job, tmp_path):
    service.cuts["model.bin"] = [4]

    def write_anew(request):
        if request.headers.get("Range"):
            job.artifacts["model.bin"] = b"abcdefghijklm"
        return service(request)

    client.http._client._transport = httpx.MockTransport(write_anew)
    client.download(job.view.id, tmp_path, ("model.bin",))

    assert files(tmp_path) == {"model.bin": b"abcdefghijklm"}


def test_a_file_that_was_written_anew_and_shorter_is_fetched_anew(service, client, job, tmp_path):
    service.tags = False
    service.cuts["model.bin"] = [8]

    def shrink(request):
        if request.headers.get("Range"):
            job.artifacts["model.bin"] = b"short"
        return service(request)

    client.http._client._transport = httpx.MockTransport(shrink)
    client.download(job.view.id, tmp_path, ("model.bin",))

    assert files(tmp_path) == {"model.bin": b"short"}


def test_a_fetch_that_fails_leaves_what_was_there_and_nothing_half(service, client, job, tmp_path, monkeypatch):
    monkeypatch.setattr("himalia.client.patience.GIVE_UP_SOON_SECONDS", 0)
    (tmp_path / "model.bin").write_bytes(b"old")
    service.cuts["model.bin"] = [4]

    with pytest.raises(Unavailable):
        client.download(job.view.id, tmp_path, ("model.bin",))

    assert files(tmp_path) == {"model.bin": b"old"}


@pytest.mark.fault(48)
@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a//b", "./a", "..", "a/\0"])
def test_a_name_that_leads_out_is_refused_and_nothing_is_written(client, job, tmp_path, name):
    job.artifacts = {name: b"evil"}
    target = tmp_path / "out"

    with pytest.raises(LocalError, match="has a name that cannot be written here"):
        client.download(job.view.id, target)

    assert list(tmp_path.rglob("*")) == []


def test_a_link_in_the_target_is_not_followed(client, job, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plots").symlink_to(tmp_path / "outside")

    with pytest.raises(LocalError, match="plots/a.png cannot be written .*--to"):
        client.download(job.view.id, tmp_path / "out", ("plots/a.png",))

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_in_the_place_of_the_file_is_replaced_not_written_through(client, job, tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "log.txt").symlink_to(tmp_path / "precious")

    client.download(job.view.id, tmp_path / "out", ("log.txt",))

    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "out" / "log.txt").read_bytes() == b"x"


@pytest.mark.fault(45)
def test_links_and_odd_things_among_the_artifacts_are_not_fetched(client, job, tmp_path):
    job.kinds = {"log.txt": "symlink", "model.bin": "other"}

    client.download(job.view.id, tmp_path)

    assert set(files(tmp_path)) == {"plots/a.png", "plots/deep/b.png"}


def test_a_directory_in_the_place_of_a_file_is_told_and_leaves_nothing_half(client, job, tmp_path):
    (tmp_path / "log.txt").mkdir()

    with pytest.raises(LocalError, match=r"log\.txt cannot be written \(Is a directory\)"):
        client.download(job.view.id, tmp_path, ("log.txt",))

    assert os.listdir(tmp_path) == ["log.txt"]


def test_a_target_that_is_a_file_is_told(client, job, tmp_path):
    (tmp_path / "out").write_text("x")

    with pytest.raises(LocalError, match="cannot be written .*Choose another directory with --to"):
        client.download(job.view.id, tmp_path / "out")


def test_a_full_disk_is_told_and_leaves_nothing_half(client, job, tmp_path, monkeypatch):
    def full(descriptor, *args, **kwargs):
        os.close(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("himalia.client.download.os.fdopen", full)

    with pytest.raises(LocalError, match="there is no room"):
        client.download(job.view.id, tmp_path, ("log.txt",))
    assert os.listdir(tmp_path) == []


@pytest.mark.fault(48)
def test_names_as_long_as_names_may_be_are_written(client, job, tmp_path):
    name = "ä" * 127
    job.artifacts = {name: b"x"}

    client.download(job.view.id, tmp_path)

    assert files(tmp_path) == {name: b"x"}


@pytest.mark.fault(41)
def test_artifacts_of_many_pages_are_all_fetched(client, job, tmp_path):
    job.page = 1

    client.download(job.view.id, tmp_path)

    assert files(tmp_path) == job.artifacts


def test_more_artifacts_than_are_told_are_never_fetched_in_part(client, job, tmp_path):
    job.truncated = True

    with pytest.raises(LocalError, match="too many to fetch one by one"):
        client.download(job.view.id, tmp_path)
    assert list(tmp_path.iterdir()) == []
