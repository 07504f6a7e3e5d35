"""Of a log that is longer than its limit the middle is left out: every offset still means the same, and nobody reads zeros."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from service_at_work import AtWork

from himalia.line_patterns import left_out
from himalia.states import JobState
from himalia.units import GiB, MiB
from himalia_jobs.engines.logfiles import read_log, seal_log

HEAD, TAIL = b"first\nfirst loss\n", b"last loss\nlast"
BEGIN, END = len(HEAD), len(HEAD) + 5000
SIZE = END + len(TAIL)
WHOLE = HEAD + left_out(5000) + TAIL


def leave_out(own: Path, begin: int = BEGIN, end: int = END) -> None:
    """Write a log as the launcher does that has given back its middle."""
    (own / "run").mkdir(parents=True, exist_ok=True)
    (own / "run" / "log").write_bytes(HEAD + bytes(5000) + TAIL)
    (own / "run" / "log.left-out").write_bytes(b"%015d %015d\n" % (begin, end))


@pytest.fixture(params=["still written", "sealed"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An attempt's directory with a log that leaves something out."""
    leave_out(tmp_path)
    if request.param == "sealed":
        assert seal_log(tmp_path, MiB) == (SIZE, hashlib.sha256(HEAD + TAIL).hexdigest())
        assert (tmp_path / "log").stat().st_size == len(HEAD + TAIL)
        for path in (tmp_path / "run").iterdir():
            path.unlink()
    return tmp_path


@pytest.mark.parametrize(
    ("offset", "limit", "begins", "data"),
    [
        (0, 9000, 0, HEAD),
        (3, 2, 3, HEAD[3:5]),
        (BEGIN, 9000, END, TAIL),
        (BEGIN + 77, 4, END, TAIL[:4]),
        (END, 9000, END, TAIL),
        (END + 3, 2, END + 3, TAIL[3:5]),
        (SIZE, 9000, SIZE, b""),
    ],
)
def test_an_offset_means_the_same_before_and_behind_what_is_left_out(own: Path, offset, limit, begins, data):
    chunk = read_log(own, offset, limit)

    assert (chunk.begins, chunk.data, chunk.next_offset) == (begins, data, begins + len(data))
    assert (chunk.size_bytes, chunk.left_out) == (SIZE, (BEGIN, END))


@pytest.mark.fault(8)
def test_a_log_is_sealed_again_after_a_crash(tmp_path: Path):
    leave_out(tmp_path)
    (tmp_path / "log.left-out").write_bytes(b"7 9\n")
    (tmp_path / "log.part").write_bytes(b"half")

    assert seal_log(tmp_path, MiB)[0] == SIZE
    assert seal_log(tmp_path, MiB)[0] == SIZE


@pytest.mark.parametrize(
    "forged", [b"x", b"", b"9 3\n", b"-5 9\n", b"0 999999999999999\n", b"1 2 3\n", b"\xff" * 64, b"1" * 5000]
)
def test_a_job_that_forges_what_is_left_out_harms_its_own_log_alone(tmp_path: Path, forged):
    leave_out(tmp_path)
    (tmp_path / "run" / "log.left-out").write_bytes(forged)

    assert read_log(tmp_path, 0, 5).data == HEAD[:5]
    size, _ = seal_log(tmp_path, MiB)
    assert size == SIZE
    assert read_log(tmp_path, SIZE - 4, 9).data == TAIL[-4:]


@pytest.mark.parametrize("size", [10 * GiB, 64 * MiB])
def test_a_log_that_the_job_itself_made_too_long_takes_no_more_room_than_its_limit(tmp_path: Path, size):
    leave_out(tmp_path)
    with (tmp_path / "run" / "log").open("r+b") as log:
        log.truncate(size - 3)
        log.seek(0, 2)
        log.write(b"end")
    with (tmp_path / "run" / "log.times").open("wb") as forged:
        forged.truncate(10 * GiB)

    assert seal_log(tmp_path, MiB)[0] == size

    assert (tmp_path / "log").stat().st_size <= MiB
    assert (tmp_path / "log.times").stat().st_size <= 64 * MiB
    head, tail = read_log(tmp_path, 0, 9000), read_log(tmp_path, size - 3, 9)
    assert (head.data, tail.data, head.left_out) == (HEAD, b"end", (BEGIN, size - MiB // 2))


async def running(work: AtWork) -> str:
    """Let a job run whose log leaves something out; return the log's address."""
    job = await work.submit()
    leave_out(await work.attempt(job["id"], JobState.RUNNING))
    return f"jobs/{job['id']}/logs"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", WHOLE),
        (f"offset={BEGIN + 10}", left_out(4990) + TAIL),
        ("tail=1", b"last"),
        ("tail=3", b"first loss\n" + left_out(5000) + TAIL),
        (f"offset={END}", TAIL),
        ("grep=loss", b"first loss\n" + left_out(5000) + b"last loss\n"),
        ("grep=loss&tail=1", b"last loss\n"),
    ],
)
async def test_a_line_says_exactly_how_many_bytes_are_left_out(work: AtWork, query, shown):
    assert (await work.ask("GET", f"{await running(work)}?{query}")).content == shown


@pytest.mark.asyncio
async def test_who_wants_the_bytes_alone_goes_on_behind_what_is_left_out(work: AtWork):
    path = await running(work)

    first = await work.ask("GET", f"{path}?exact=1")
    second = await work.ask("GET", f"{path}?exact=1&offset={first.headers['Himalia-Log-Gap']}")

    assert (first.content, first.headers["Himalia-Log-Gap"]) == (HEAD, str(BEGIN))
    assert (second.headers["Himalia-Log-Offset"], second.content) == (str(END), TAIL)
