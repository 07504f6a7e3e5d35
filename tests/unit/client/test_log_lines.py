"""Lines of a log that are picked, over connections that break: nothing twice, nothing left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest
from job_bodies import ended
from job_service import TOKEN, URL, Blocks

from himalia.client import Client
from himalia.client.log_lines import Picked
from himalia.errors import FieldError, LocalError
from himalia.line_patterns import left_out
from himalia.moments import parse_since
from himalia.states import JobState

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def client(service):
    with Client(URL, TOKEN) as client:
        yield client


def answered(content: bytes, offset: int, end: int, cut: int | None = None) -> httpx.Response:
    """Return an answer with lines of a log, whose connection may break."""
    headers = {"Himalia-Log-Offset": str(offset), "Himalia-Log-End": str(end)}
    return httpx.Response(200, headers=headers, stream=Blocks(content, cut))


def test_a_log_is_read_on_after_a_cut_from_where_the_service_began(service, client):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    job.logs = [b"0123456789"]
    service.breaks("GET", "jobs/.*/logs", answered(b"6789", 6, 10, cut=2))

    assert b"".join(client.log(job.view.id, picked=Picked(tail=1))) == b"6789"
    assert [(query.get("tail"), query["offset"]) for query in service.queries] == [("1", "0"), (None, "8")]


def gone_on(content: bytes, offset: int) -> httpx.Response:
    """Return an answer with a log's bytes, of which some may be left out at the fifth."""
    return httpx.Response(
        200, headers={"Himalia-Log-Offset": str(offset), "Himalia-Log-Gap": "5"}, stream=Blocks(content, None)
    )


@pytest.mark.parametrize("follow", [False, True])
def test_for_what_a_log_leaves_out_there_is_a_line(service, client, monkeypatch, follow):
    monkeypatch.setattr("himalia.client.patience.PAUSE_SECONDS", 0)
    job = service.add_job(**ended("a" * 12), id="a" * 12)
    service.breaks("GET", "jobs/.*/logs", gone_on(b"01234", 0), gone_on(b"end", 1005))

    assert b"".join(client.log(job.view.id, follow=follow)) == b"01234" + left_out(1000) + b"end"
    assert [query["offset"] for query in service.queries if "offset" in query] == ["0", "5"]


def test_a_log_that_ends_where_something_could_be_left_out_is_asked_for_once_more(service, client):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    service.breaks("GET", "jobs/.*/logs", gone_on(b"01234", 0), gone_on(b"", 5))

    assert b"".join(client.log(job.view.id)) == b"01234"


def test_lines_that_had_come_before_a_cut_are_passed_over(service, client):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    lines = b"loss 1\nloss 2\n"
    service.breaks("GET", "jobs/.*/logs", answered(lines, 5, 90, cut=9), answered(lines + b"loss 3\n", 5, 120))

    picked = Picked(grep="loss", ignore_case=True, tail=2, since=NOON)

    assert b"".join(client.log(job.view.id, picked=picked)) == b"loss 1\nloss 2\nloss 3\n"
    first, second = service.queries
    assert first["since"] == "2026-05-04T12:00:00+00:00" and first["tail"] == "2" and first["ignore_case"] == "1"
    assert (second["offset"], second["grep"], "tail" in second, "since" in second) == ("5", "loss", False, False)


def marked(content: bytes, offset: int, cut: int | None = None) -> httpx.Response:
    """Return an answer with lines that are followed, whose connection may break."""
    headers = {"Himalia-Log-Offset": str(offset), "Himalia-Log-Marked": "1"}
    return httpx.Response(200, headers=headers, stream=Blocks(content, cut))


def asked_for(service) -> list[dict[str, str]]:
    """Return what was asked of logs."""
    return [query for query in service.queries if "offset" in query]


def test_who_follows_lines_has_one_stream_and_after_a_cut_goes_on_behind_the_last_whole_piece(
    service, client, monkeypatch
):
    monkeypatch.setattr("himalia.client.patience.PAUSE_SECONDS", 0)
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    job.looks = [{}, ended(job.view.id)]
    whole, half = b"50 5\nx 1\n\n80 0\n", b"90 9\nx 2"
    service.breaks(
        "GET",
        "jobs/.*/logs",
        marked(whole + half, 4, cut=len(whole + half)),
        marked(b"95 4\nx 2\n", 80),
        answered(b"", 95, 95),
    )

    followed = b"".join(client.log(job.view.id, follow=True, picked=Picked(grep="x", tail=1)))

    assert followed == b"x 1\n\nx 2\n"
    first, second, last = asked_for(service)
    assert (first["tail"], first["follow"], first["marked"], first["grep"]) == ("1", "1", "1", "x")
    assert (second["offset"], second["follow"], "tail" in second) == ("80", "1", False)
    assert (last["offset"], last["grep"], "follow" in last) == ("95", "x", False)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pieces_are_told_however_the_network_cuts_them(service, client, monkeypatch, size):
    monkeypatch.setattr("himalia.client.patience.PAUSE_SECONDS", 0)
    job = service.add_job(**ended("a" * 12), id="a" * 12)
    content = b"7 6\n1 one\n9 0\n20 6\n1 two\n"
    blocks = [content[at : at + size] for at in range(0, len(content), size)]
    headers = {"Himalia-Log-Marked": "1"}
    service.breaks(
        "GET", "jobs/.*/logs", httpx.Response(200, headers=headers, content=iter(blocks)), answered(b"", 20, 20)
    )

    followed = list(client.log(job.view.id, follow=True, picked=Picked(grep="1")))

    assert followed == [b"1 one\n", b"1 two\n"]


def test_the_next_attempt_is_followed_from_its_first_byte(service, client, monkeypatch):
    monkeypatch.setattr("himalia.client.patience.PAUSE_SECONDS", 0)
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    again = {"state": JobState.RUNNING, "attempt": 2}
    job.looks = [{}, again, again, ended(job.view.id) | {"attempt": 2}]
    first, second = ((marked(b"9 2\n%s\n" % text, 0), answered(b"", 9, 9)) for text in (b"a", b"b"))
    service.breaks("GET", "jobs/.*/logs", *first, *second)

    assert b"".join(client.log(job.view.id, follow=True, picked=Picked(timestamps=True))) == b"a\nb\n"
    assert [(query["attempt"], query["offset"]) for query in asked_for(service)] == [
        ("1", "0"),
        ("1", "9"),
        ("2", "0"),
        ("2", "9"),
    ]


def test_a_platform_that_does_not_say_how_far_it_looked_is_told_to_be_older(service, client):
    job = service.add_job(state=JobState.RUNNING, attempt=1)
    service.breaks("GET", "jobs/.*/logs", answered(b"x\n", 0, 2))

    with pytest.raises(LocalError, match="older than this himalia"):
        list(client.log(job.view.id, follow=True, picked=Picked(grep="x")))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOON - timedelta(minutes=10)),
        ("1h30m", NOON - timedelta(minutes=90)),
        ("2026-05-04T10:00", NOON - timedelta(hours=4)),
        ("2026-05-04T10:00Z", NOON - timedelta(hours=2)),
        ("2026-05-04 10:00:00+02:00", NOON - timedelta(hours=4)),
    ],
)
def test_a_moment_is_so_long_ago_or_a_time_in_the_readers_zone(text, moment):
    assert parse_since(text, NOON, timezone(timedelta(hours=2))) == moment


@pytest.mark.parametrize("options", [{"since": "yesterday"}, {"since": ""}, {"grep": "*"}])
def test_what_cannot_be_picked_is_told_before_anything_is_asked(service, options):
    with pytest.raises(FieldError):
        Picked.parse(**options)

    assert service.asked == []
