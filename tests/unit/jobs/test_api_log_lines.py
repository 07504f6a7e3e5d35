"""`GET jobs/{id}/logs` with `tail`, `since`, `grep` and `timestamps`: the right bytes, however long the log and its lines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_at_work import AtWork

from himalia.errors import FieldError
from himalia.line_patterns import LONGEST_LINE, LinePattern
from himalia.states import JobState
from himalia_jobs.api import log_reading, logs
from himalia_jobs.api.log_reading import LogReader, Wish
from himalia_jobs.engines.fake import FakeLogs

TEN = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
LOG = b"epoch 1\nloss 0.9\nepoch 2\nloss 0.5\nepoch 3\nloss 0.2"


def times(*entries: tuple[int, float]) -> bytes:
    """Return a list of times as the launcher writes it: offsets, and seconds after ten."""
    return b"".join(b"%016d %014d\n" % (offset, (TEN.timestamp() + after) * 1000) for offset, after in entries)


async def running(work: AtWork, log: bytes, *entries: tuple[int, float]) -> tuple[str, Path]:
    """Let a job run that has printed something; return the address of its log, and its attempt's directory."""
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.RUNNING, log=log)
    (own / "run" / "log.times").write_bytes(times(*entries))
    return f"jobs/{job['id']}/logs", own


@pytest.mark.parametrize(
    ("query", "shown", "offset"),
    [
        ("tail=1", b"loss 0.2", 42),
        ("tail=3", b"loss 0.5\nepoch 3\nloss 0.2", 25),
        ("tail=0", b"", len(LOG)),
        ("tail=1000", LOG, 0),
        ("since=2026-05-04T10:00:02Z", b"epoch 3\nloss 0.2", 34),
        ("since=2026-05-04T12:00:02%2B02:00", b"epoch 3\nloss 0.2", 34),
        ("since=2030-01-01", b"", len(LOG)),
        ("since=2020-01-01", LOG, 0),
        ("since=2026-05-04T10:00:01Z&tail=1", b"loss 0.2", 42),
        ("offset=17&tail=1000", LOG[17:], 17),
    ],
)
@pytest.mark.asyncio
async def test_a_log_is_sent_from_where_it_is_wanted(work: AtWork, query, shown, offset):
    path, _ = await running(work, LOG, (0, 0), (17, 1), (34, 2.5))

    answer = await work.ask("GET", f"{path}?{query}")

    assert (answer.content, answer.headers["Himalia-Log-Offset"]) == (shown, str(offset))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("grep=epoch", b"epoch 1\nepoch 2\nepoch 3\n"),
        ("grep=EPOCH", b""),
        ("grep=EPOCH&ignore_case=1", b"epoch 1\nepoch 2\nepoch 3\n"),
        ("grep=l*s 0.5", b"loss 0.5\n"),
        ("grep=epoch&tail=2", b"epoch 2\nepoch 3\n"),
        ("grep=.*", b"loss 0.9\nloss 0.5\n"),
        (
            "timestamps=1&tail=4",
            b"2026-05-04T10:00:01Z epoch 2\n2026-05-04T10:00:01Z loss 0.5\n2026-05-04T10:00:02Z epoch 3\n",
        ),
        ("timestamps=1&grep=0.9", b"2026-05-04T10:00:00Z loss 0.9\n"),
    ],
)
@pytest.mark.asyncio
async def test_lines_of_a_log_that_still_grows_are_sent_once_they_are_whole(work: AtWork, query, shown):
    path, _ = await running(work, LOG, (0, 0), (17, 1), (34, 2.5))

    answer = await work.ask("GET", f"{path}?{query}")

    assert (answer.content, answer.headers["Himalia-Log-End"]) == (shown, "42")


@pytest.mark.asyncio
async def test_the_last_line_of_a_job_that_has_ended_needs_no_newline(work: AtWork):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.SUCCEEDED)
    (own / "log").write_bytes(LOG)
    (own / "log.times").write_bytes(times((0, 0)))

    found = await work.ask("GET", f"jobs/{job['id']}/logs?grep=0.2&timestamps=1")

    assert found.content == b"2026-05-04T10:00:00Z loss 0.2"


@pytest.mark.asyncio
async def test_who_follows_gets_lines_that_match_as_they_are_written(work: AtWork):
    path, own = await running(work, b"one\nstep 1\nst", (0, 0))
    url, headers = f"/services/jobs/api/{path}?follow=1&grep=step", {"Authorization": "Bearer ada-token"}

    async with asyncio.timeout(20), work.http.stream("GET", url, headers=headers) as log:
        pieces = log.aiter_bytes()
        first = await anext(pieces)
        with (own / "run" / "log").open("ab") as file:
            file.write(b"ep 2\nthree\n")
        second = await anext(pieces)

    assert (first, second) == (b"step 1\n", b"step 2\n")


@pytest.mark.asyncio
async def test_each_piece_of_followed_lines_says_up_to_where_of_the_log_it_goes(work: AtWork, monkeypatch):
    monkeypatch.setattr(logs, "MARK_SECONDS", 0.0)
    path, own = await running(work, b"one\nstep 1\nst", (0, 0))
    url, headers = f"/services/jobs/api/{path}?follow=1&marked=1&grep=step", {"Authorization": "Bearer ada-token"}

    async with asyncio.timeout(20), work.http.stream("GET", url, headers=headers) as log:
        pieces = log.aiter_bytes()
        got = [await anext(pieces)]
        for more in (b"ep 2\nthree\n", b"four\n"):
            with (own / "run" / "log").open("ab") as file:
                file.write(more)
            got.append(await anext(pieces))

    assert log.headers["Himalia-Log-Marked"] == "1"
    assert got == [b"11 7\nstep 1\n", b"24 7\nstep 2\n", b"29 0\n"]


@pytest.mark.asyncio
async def test_the_last_marked_piece_goes_to_the_end_of_the_log(work: AtWork):
    job = await work.submit()
    own = await work.attempt(job["id"], JobState.SUCCEEDED)
    (own / "log").write_bytes(LOG)

    found = await work.ask("GET", f"jobs/{job['id']}/logs?grep=loss&follow=1&marked=1&attempt=1&offset=25")

    assert found.content == b"42 9\nloss 0.5\n50 8\nloss 0.2"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "since"),
        ("since=10m", "since"),
        ("timestamps=1", "timestamps"),
        ("grep=**", "grep"),
        ("grep=" + "a" * 501, "grep"),
        ("tail=x", "tail"),
    ],
)
@pytest.mark.asyncio
async def test_what_cannot_be_picked_is_told(work: AtWork, query, field):
    path, own = await running(work, LOG)
    (own / "run" / "log.times").unlink()

    answer = await work.ask("GET", f"{path}?{query}")

    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, [field])


@pytest.mark.parametrize("kind", ["a link", "odd", "empty"])
@pytest.mark.asyncio
async def test_times_that_the_job_has_forged_harm_nobody(work: AtWork, kind):
    path, own = await running(work, LOG)
    forged = own / "run" / "log.times"
    forged.unlink()
    if kind == "a link":
        forged.symlink_to("/etc/passwd")
    else:
        forged.write_bytes({"odd": b"9" * 300 + b"\xff -1 x\n" * 90, "empty": b""}[kind])

    answer = await work.ask("GET", f"{path}?since=10m&timestamps=1")

    assert answer.status_code in (200, 422)
    assert b"root" not in answer.content


@pytest.mark.asyncio
async def test_a_line_without_end_is_looked_at_in_pieces(work: AtWork):
    endless = b"x" * (3 * LONGEST_LINE) + b"needle" + b"y" * (3 * LONGEST_LINE)
    path, _ = await running(work, endless + b"\nlast\n")

    found, last = [await work.ask("GET", f"{path}?{query}") for query in ("grep=needle", "tail=1")]

    assert b"needle" in found.content and len(found.content) <= len(endless) + 1
    assert last.content == b"last\n"


class InMemory:
    """What a reader needs of an engine: one log."""

    def __init__(self, log: bytes) -> None:
        self.logs = FakeLogs()
        self.logs.add("a.1", log, TEN)

    async def read_log(self, attempt, offset, limit, wait_seconds=0.0):
        return self.logs.read(attempt, offset, limit)

    async def log_times(self, attempt, *, since=None, first=0, last=0):
        return self.logs.times(attempt, since, first, last)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    log=st.text("ab\n", max_size=80).map(str.encode),
    tail=st.integers(0, 12),
    offset=st.integers(0, 30),
    pattern=st.sampled_from(["", "a", "b*a"]),
)
def test_the_last_lines_are_those_that_a_plain_reading_gives(monkeypatch, log, tail, offset, pattern):
    monkeypatch.setattr(log_reading, "CHUNK_BYTES", 90)
    offset = min(offset, len(log))
    wish = Wish(offset=offset, tail=tail, pattern=LinePattern.parse(pattern) if pattern else None)

    start = asyncio.run(LogReader(InMemory(log), "a.1").start(wish))

    lines = log[offset:].splitlines(keepends=True)
    parts = pattern.encode().split(b"*")
    wanted = [line for line in lines if parts[0] in line and parts[-1] in line[line.find(parts[0]) :]]
    if len(wanted) < tail:
        assert start == offset
    elif tail == 0:
        assert start == len(log)
    else:
        assert [line for line in log[start:].splitlines(keepends=True) if line in wanted][-tail:] == wanted[-tail:]
        assert log[start:].startswith(wanted[-tail])


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=20), after=st.integers(-3, 25))
def test_nothing_that_came_since_a_moment_is_left_out(sizes, after):
    logs = FakeLogs()
    for second, size in enumerate(sizes):
        logs.add("a.1", b"x" * (size - 1) + b"\n", TEN + timedelta(seconds=second))
    engine = InMemory(b"")
    engine.logs = logs

    start = asyncio.run(LogReader(engine, "a.1").start(Wish(since=TEN + timedelta(seconds=after))))

    begins = [sum(sizes[:second]) for second in range(len(sizes) + 1)]
    assert start in begins
    assert start <= begins[min(max(0, after), len(sizes))]
    assert start >= begins[min(max(0, after - 1), len(sizes))]
    assert all(first < second for first, second in pairwise(begins))


@pytest.mark.parametrize(
    ("pattern", "line", "matches"),
    [
        ("CUDA out of memory", "RuntimeError: CUDA out of memory. Tried", True),
        ("a*b", "b a", False),
        ("a*b*c", "xaxbxcx", True),
        (r"2 \* 3", "2 * 3", True),
        (r"2 \* 3", "2 x 3", False),
        ("*", "", None),
        ("(a+)+$", "(a+)+$", True),
        ("ä", "ä", True),
    ],
)
def test_a_pattern_is_text_and_stars(pattern, line, matches):
    if matches is None:
        with pytest.raises(FieldError):
            LinePattern.parse(pattern)
    else:
        block = f"before\n{line}\nafter\n".encode()
        found = [block[begin:end].decode() for begin, end in LinePattern.parse(pattern).spans(block)]
        assert found == ([f"{line}\n"] if matches else [])
