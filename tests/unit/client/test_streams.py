"""Logs and events over connections that break: nothing twice, nothing left out."""

from __future__ import annotations

from itertools import islice

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from job_bodies import NOW, attempt, ended
from job_service import TOKEN, URL

from himalia.client import Client
from himalia.errors import FieldError, NotFound, Unauthenticated, Unavailable
from himalia.models import Event, EventKind
from himalia.states import JobState


@pytest.fixture
def client(service):
    with Client(URL, TOKEN) as client:
        yield client


def followed(client: Client, job_id: str, **options: object) -> bytes:
    return b"".join(client.log(job_id, follow=True, **options))


def test_a_log_is_read_to_its_end_over_cuts(service, client):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    job.logs, service.cuts["logs"] = [b"0123456789"], [3, 0, 5]

    assert b"".join(client.log(job.view.id)) == b"0123456789"
    assert [query["offset"] for query in service.queries] == ["0", "3", "3", "8"]


def test_a_log_that_cannot_be_read_to_its_end_is_told(service, client, monkeypatch):
    monkeypatch.setattr("himalia.client.patience.GIVE_UP_SOON_SECONDS", 0)
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    job.logs, service.cuts["logs"] = [b"0123456789"], [3]

    with pytest.raises(Unavailable, match="The connection to .* broke"):
        list(client.log(job.view.id))


@pytest.mark.fault(97)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=st.binary(max_size=60), cuts=st.lists(st.integers(min_value=0, max_value=60), max_size=6))
def test_wherever_the_connection_breaks_a_follower_gets_every_byte_once(service, client, log, cuts):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    job.logs, service.cuts["logs"] = [log], list(cuts)
    job.looks = [{"state": JobState.RUNNING, "attempt": 1}] * 2 + [ended(job.view.id)]

    assert followed(client, job.view.id) == log


def test_each_attempt_is_followed_by_its_own_offsets(service, client):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    job.logs, service.cuts["logs"] = [b"first fails", b"second too", b"third"], [5, 2]
    job.looks = [
        {"state": JobState.RUNNING, "attempt": 1},
        {"state": JobState.QUEUED, "attempts": (attempt(job.view.id, 1),)},
        {"state": JobState.RUNNING, "attempt": 2},
        {"state": JobState.RUNNING, "attempt": 2, "attempts": (attempt(job.view.id, 1), attempt(job.view.id, 2))},
        {"state": JobState.QUEUED},
        ended(job.view.id, attempt=3),
    ]

    assert followed(client, job.view.id) == b"first failssecond toothird"
    asked = [(query["attempt"], query["offset"]) for query in service.queries if "attempt" in query]
    assert ("1", "5") in asked and max(asked)[0] == "3"


def test_a_job_that_waits_is_followed_from_its_first_byte(service, client):
    job = service.add_job(state=JobState.QUEUED)
    job.logs = [b"hello"]
    job.looks = [{}, ended(job.view.id)]

    assert followed(client, job.view.id) == b"hello"


def test_a_job_that_is_cancelled_in_the_queue_has_no_log(service, client):
    job = service.add_job(state=JobState.QUEUED)
    job.looks = [{}, {"state": JobState.CANCELLED}]
    service.breaks("GET", "jobs/.*/logs", NotFound("It has no attempt 1."))

    assert followed(client, job.view.id) == b""


def test_a_job_that_ends_while_its_artifacts_are_collected_has_no_further_attempt(service, client):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    job.logs = [b"all"]
    collecting = {"state": JobState.COLLECTING, "attempt": 1, "attempts": (attempt(job.view.id, 1),)}
    job.looks = [{}, collecting, collecting, ended(job.view.id)]

    assert followed(client, job.view.id) == b"all"
    assert "2" in [query.get("attempt") for query in service.queries]


def test_one_attempt_can_be_followed_alone(service, client):
    job = service.add_job(**ended("a" * 12, attempt=2), id="a" * 12)
    job.logs = [b"first", b"second"]

    assert followed(client, job.view.id, attempt=1) == b"first"


def test_a_silent_connection_is_made_anew_and_never_given_up(service, client, monkeypatch):
    monkeypatch.setattr("himalia.client.patience.GIVE_UP_SECONDS", 0)
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    job.logs = [b"after a while"]
    job.looks = [{}, ended(job.view.id)]

    class Silent(httpx.SyncByteStream):
        def __iter__(self):
            yield b""
            raise httpx.ReadTimeout("nothing came")

    service.breaks("GET", "jobs/.*/logs", *[httpx.Response(200, stream=Silent()) for _ in range(20)])

    assert followed(client, job.view.id) == b"after a while"


def test_a_service_that_is_away_is_waited_for(service, client):
    job = service.add_job(**ended("a" * 12), id="a" * 12)
    job.logs = [b"log"]
    service.breaks("GET", "jobs/.*/logs", *[httpx.ConnectError("refused")] * 7)

    assert followed(client, job.view.id) == b"log"


def test_a_service_that_stays_away_is_given_up_in_words(service, client, monkeypatch):
    monkeypatch.setattr("himalia.client.patience.GIVE_UP_SECONDS", 0)
    job = service.add_job(**ended("a" * 12), id="a" * 12)
    service.breaks("GET", "jobs/.*/logs", httpx.ConnectError("refused"))

    with pytest.raises(Unavailable, match="Nothing answers at"):
        followed(client, job.view.id)


@pytest.mark.parametrize("error", [Unauthenticated("The token is not known."), FieldError("offset", "Too far.")])
def test_what_no_patience_mends_is_raised_at_once(service, client, error):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    service.breaks("GET", "jobs/.*/logs", error)

    with pytest.raises(type(error)):
        followed(client, job.view.id)
    assert service.count("GET", "jobs/.*/logs") == 1


def test_a_deleted_job_ends_its_followers(service, client):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    service.breaks("GET", "jobs/.*/logs", NotFound("There is no job."))
    service.breaks("GET", f"jobs/{job.view.id}", httpx.Response(200, content=job.view.model_dump_json()))
    del service.jobs[job.view.id]

    with pytest.raises(NotFound, match="There is no job"):
        followed(client, job.view.id)


def events(*seqs: int) -> list[Event]:
    return [Event(seq=seq, at=NOW, kind=EventKind.LEDGER) for seq in seqs]


@pytest.mark.fault(97)
def test_events_resume_after_the_last_one_that_came(service, client):
    service.events = events(1, 2, 3, 4)
    line = len(b"id: 1\ndata: \n\n") + len(service.events[0].model_dump_json())
    service.cuts["events"] = [9 + 2 * line, 9 + line - 5]

    seen = [event.seq for event in islice(client.events(), 4)]

    assert seen == [1, 2, 3, 4]
    assert [headers.get("Last-Event-ID") for headers in service.headers] == [None, "2", "2"]


@pytest.mark.fault(38)
@pytest.mark.parametrize("line_end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_text_of_somebody_looks_like_no_event(service, client, line_end):
    forged = line_end.join(["", "id: 999", "event: resync", 'data: {"seq": 999}', ""])
    service.events = [one.model_copy(update={"detail": forged}) for one in events(1, 2)]
    service.cuts["events"] = [10**6]

    seen = list(islice(client.events(), 2))

    assert [(event.seq, event.detail) for event in seen] == [(1, forged), (2, forged)]
    assert [headers.get("Last-Event-ID") for headers in service.headers] == [None]


@pytest.mark.fault(98)
def test_events_go_on_from_where_somebody_left(service, client):
    service.events = events(1, 2, 3)

    assert next(client.events(last=2)).seq == 3


def test_an_event_of_a_kind_that_is_not_known_yet_is_passed_over(service, client):
    news = '{"seq": 2, "at": "2026-01-02T03:04:05Z", "kind": "news"}'
    text = f"id: 2\ndata: {news}\n\ndata: no json\n\n"
    service.breaks("GET", "events", httpx.Response(200, content=text))
    service.events = events(1, 2, 3)

    assert next(client.events()).seq == 3
    assert service.headers[1]["Last-Event-ID"] == "2"


def test_events_survive_a_service_that_is_away(service, client):
    service.events = events(1)
    service.breaks("GET", "events", httpx.ConnectError("refused"), Unavailable("The hub does not answer."))

    assert next(client.events()).seq == 1
