"""The disk in the command line: asking for room, and reading what is nearly full."""

from __future__ import annotations

import pytest

from himalia import Client
from himalia.errors import DiskFull, Unavailable
from himalia.models import DiskView, Me
from himalia.units import GiB

NEARLY = "Your /storage is nearly full: 9.5 GB of 10.0 GB. Delete what is not needed before it is full."
FULL = "Your /storage is full: 11.0 GB of 10.0 GB. Delete something: no new job is taken before."


@pytest.mark.parametrize(("words", "asked"), [((), None), (("--disk", "200G"), "200G")])
def test_what_a_job_may_write_is_asked_for_with_disk(service, code, himalia, words, asked):
    himalia("submit", *words, "--detach", "--", "true")

    (wish,) = service.requests
    assert wish.disk == asked


def test_a_directorys_file_may_ask_for_it_too(service, code, himalia):
    (code / "himalia-job.toml").write_text('disk = "20G"\n')

    himalia("submit", "--detach", "--", "true")

    assert service.requests[0].disk == "20G"


def test_what_it_asked_for_is_shown(service, himalia):
    job = service.add_job(disk_bytes=200 * GiB)

    assert b"1 CPU, 2.0 GB, 200 GB of disk, GPUs 0, 1 h" in himalia("show", job.view.id).out


def test_who_submits_reads_which_storage_is_nearly_full(service, code, himalia):
    places = [
        DiskView(place="/storage", used_bytes=10, files=1, level="nearly", sentence=NEARLY),
        DiskView(place="home", used_bytes=10, files=1),
    ]
    service.me = service.me.model_copy(update={"disk": tuple(places)})

    outcome = himalia("submit", "--detach", "--", "true")

    assert outcome.code == 0
    assert outcome.err.splitlines().count(NEARLY) == 1


def test_a_question_about_storages_that_is_not_answered_is_no_fault_of_the_job(service, code, himalia, monkeypatch):
    real = Client.me

    def me(client: Client) -> Me:
        if service.requests:
            raise Unavailable("The service starts anew.")
        return real(client)

    monkeypatch.setattr(Client, "me", me)

    assert himalia("submit", "--detach", "--", "true").code == 0
    assert len(service.requests) == 1


def test_who_has_no_room_left_reads_what_to_do_and_nothing_is_submitted(service, code, himalia):
    service.breaks("POST", "jobs", DiskFull(FULL))

    outcome = himalia("submit", "--", "true")

    assert (outcome.code, service.requests) == (125, [])
    assert FULL in outcome.err
