"""Hostile requests, by the numbers of the faults that they are."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from contextlib import AbstractContextManager
from itertools import repeat
from pathlib import Path
from typing import Any

from blake3 import blake3

from himalia.snapshot import wire
from himalia.units import MiB

from .target import Input, Place, Target, until_refused

SLOW, SLOW_SECONDS, SLOW_PAUSE = 50, 1.0, 0.02
STREAMS = 150  #: that read, and as many that do not
BETWEEN_JOBS_SECONDS = 0.2
HUGE = 2_000 * 1000 * 1000
BOMB = bytes(32 * MiB)
FILE: dict[str, Any] = {
    "path": "f",
    "type": "file",
    "mode": 0o644,
    "size_bytes": 5,
    "chunks": [blake3(b"right").hexdigest()],
}
PATHS = ("../up", "/etc/passwd", "a//b", ".", "", "a\0b", "/".join("d" * 1000), "x" * 300)
NO_NUMBERS: tuple[dict[str, Any], ...] = (
    {"gpus": "-1"},
    {"gpus": "9"},
    {"gpus": "1.5"},
    {"gpus": "all"},
    {"gpus": str(10**18)},
    {"cpus": -1},
    {"cpus": 10**9},
    {"memory": "900T"},
    {"memory": "lots"},
    {"timeout": "400d"},
)
NAMES: tuple[dict[str, Any], ...] = (
    {"name": "x" * 1_000_000},
    {"name": "two\nlines"},
    {"name": "\x1b]0;title\x07"},
    {"command": ["x" * 1_000_000]},
    {"command": ["a\0b"]},
    {"env": {"A": "x" * 1_000_000}},
    {"env": {"A=B": "x"}},
    {"env": {"LD_PRELOAD": "x"}},
)
NO_BODIES = (
    b'{"project": "work", "command": "true", "project": "other"}',
    b'{"project": "work", "command": "true", "cpus": NaN}',
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a": [' + b"[]," * 600_000 + b"[]]}",  # 1.8 MB, as long as such a body may be
    b'{"a": {"' + b'":0,"'.join(b"%06d" % number for number in range(180_000)) + b'":0}}',
)
RANGES = ("bytes=0-", "bytes=-1", "bytes=" + ",".join(f"{at}-{at + 9}" for at in range(1000)), "bytes=9-1", "bytes=x")


def numbers(target: Target) -> None:
    """61, 62: requests for numbers that are none, and for more than there is."""
    for fields in NO_NUMBERS:
        target.expect(f"a job with {fields}", "POST", "jobs", 422, json={"project": "x", "command": "true"} | fields)


def slowly(target: Target) -> None:
    """66: uploads and other bodies byte by byte, heads that never end, lengths that lie."""
    snapshot = opened(target)
    slow = [target.by_hand("PUT", f"snapshots/{snapshot}/contents", "Content-Length: 45") for _ in range(SLOW // 2)]
    slow += [target.by_hand("POST", "jobs", "Content-Length: 100000") for _ in range(SLOW // 2)]
    pack, end = packed(), time.monotonic() + SLOW_SECONDS
    for at in range(len(pack)):
        for one in slow:
            with contextlib.suppress(ConnectionError):
                one.sendall(pack[at : at + 1])
        time.sleep(SLOW_PAUSE)
        if time.monotonic() > end:
            break
    for one in slow:
        one.close()
    shorter = target.by_hand("PUT", f"snapshots/{snapshot}/contents", f"Content-Length: {len(pack) - 10}")
    with shorter:
        shorter.sendall(pack)
        target.that("an upload longer than it said is refused", b" 400 " in shorter.recv(100))
    longer = target.by_hand("PUT", f"snapshots/{snapshot}/contents", f"Content-Length: {len(pack) + 10}")
    longer.sendall(pack)
    longer.close()


def too_much(target: Target) -> None:
    """67: 2 GB where five bytes are missing, and as a job."""
    snapshot = opened(target)
    connection = target.by_hand("PUT", f"snapshots/{snapshot}/contents", f"Content-Length: {HUGE}")
    answer = until_refused(connection, repeat(bytes(MiB), HUGE // MiB))
    target.that(f"2 GB where 5 bytes are missing are refused: {answer[:20]!r}", answer[9:12] in (b"413", b""))
    answer = until_refused(target.by_hand("POST", "jobs", f"Content-Length: {HUGE}"), repeat(bytes(MiB), HUGE // MiB))
    target.that(f"a job of 2 GB is refused: {answer[:20]!r}", answer[9:12] in (b"400", b"413", b""))


def strangers(target: Target) -> None:
    """69: contents that others have sent, or nobody has."""
    for _ in range(20):
        digest = blake3(os.urandom(8)).hexdigest()
        answer = opening(target, [FILE | {"chunks": [digest]}], 201)
        target.that("what is not one's own is missing", answer is not None and answer.json()["missing"] == [digest])


def paths(target: Target) -> None:
    """70: paths that lead out, that cannot be, that are there twice."""
    for path in PATHS:
        opening(target, [FILE | {"path": path}], 422, 413)
    opening(target, [FILE, FILE], 422)
    opening(target, [FILE, FILE | {"path": "f/below"}], 422)
    opening(target, [FILE | {"path": f"{'d' * 50}{number}"} for number in range(20_000)] + [FILE | {"path": ".."}], 422)


def bombs(target: Target) -> None:
    """71: packs whose numbers lie, and that unfold without end."""
    snapshot = opened(target)
    digest = FILE["chunks"][0]
    packs = [wire.PLAIN + wire.header(digest, length) + b"right" + wire.END for length in (2**63, 4, 6, 0)]
    packs += [wire.PLAIN + wire.header("ab" * 32, 0) * 1000 + wire.END, b"PK\x03\x04" + bytes(100), packed()[:-1]]
    if wire.zstd:
        frame = wire.zstd.ZstdCompressor().compress(BOMB)
        packs.append(wire.SQUEEZED + wire.header(digest, 5) + len(frame).to_bytes(4, "big") + frame + wire.END)
    for number, pack in enumerate(packs):
        target.expect(f"pack {number}", "PUT", f"snapshots/{snapshot}/contents", 400, content=pack)


def names(target: Target) -> None:
    """86: names, arguments and variables that mean harm."""
    for fields in NAMES:
        said = f"a job with {str(fields)[:40]}"
        target.expect(said, "POST", "jobs", 422, json={"project": "x", "command": "true"} | fields)


def lists(target: Target) -> None:
    """92: lists without measure, and cursors that are none."""
    for query, status in (
        ("limit=1000000000&offset=1000000", 200),
        ("limit=-1", 200),
        ("cursor=1e3", 422),
        ("cursor=' OR 1=1", 422),
        ("limit=" + "9" * 5000, 422),
    ):
        target.expect(f"jobs?{query[:40]}", "GET", f"jobs?{query}", status)


def streams(target: Target) -> None:
    """93: jobs come and go, and many are told of it, half of whom take nothing."""
    made = target.expect("a job", "POST", "jobs", 201, json={"project": "x", "command": "true", "gpus": "1"})
    if made is not None and made.status_code == 201:
        target.expect("its end", "POST", f"jobs/{made.json()['id']}/cancel", 200)
    time.sleep(BETWEEN_JOBS_SECONDS)


def listen(place: Place) -> AbstractContextManager[object]:
    """93: many who follow all events, half of them taking nothing."""
    sys.path.append(str(Path(__file__).parents[2] / "tests" / "support"))
    from crowd_of_streams import Crowd

    return Crowd(place.url, place.token, readers=STREAMS, silent=STREAMS)


def bodies(target: Target) -> None:
    """94: JSON that is deep, long, or means two things."""
    for number, body in enumerate(NO_BODIES):
        target.expect(f"body {number}", "POST", "jobs", 400, 422, content=body)
    target.expect(
        "100 MB",
        "POST",
        "jobs",
        400,
        413,
        0,
        content=repeat(b" " * MiB, 100),
        headers={"Content-Length": str(100 * MiB)},
    )


def ranges(target: Target) -> None:
    """95: odd ranges of a large file, and a thousand at once."""
    for wanted in RANGES:
        with target.http.stream(
            "GET", f"/jobs/{target.place.job}/artifacts/large", headers={"Range": wanted}
        ) as answer:
            target.that(f"{wanted[:20]}: {answer.status_code}", answer.status_code in (200, 206, 416))
            for _ in answer.iter_raw():
                pass


def listings(target: Target) -> None:
    """41, 45, 48: what a job left, in pages, with names and links that mean harm, and all of it as one archive."""
    cursor, count = "", 0
    while True:
        wanted = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
        answer = target.expect("a page", "GET", f"jobs/{target.place.job}/artifacts", 200, params=wanted)
        if answer is None or answer.status_code != 200:
            return
        page = answer.json()
        count += len(page["artifacts"])
        cursor = page["cursor"] or ""
        if not cursor:
            break
    target.that(f"all is listed: {count}", count > 1000)
    for path in ("link", "up/etc/passwd", "../run/log", "%2e%2e/log", "pipe"):
        target.expect(path, "GET", f"jobs/{target.place.job}/artifacts/{path}", 404)
    target.expect("a terabyte", "GET", f"jobs/{target.place.job}/artifacts/huge", 413)


def archive(target: Target) -> None:
    """41, 44: all that a job left, as one archive."""
    with target.http.stream("GET", f"/jobs/{target.place.job}/artifacts.zip") as answer:
        target.that(f"an archive: {answer.status_code}", answer.status_code == 200)
        for _ in answer.iter_raw():
            pass


def logs(target: Target) -> None:
    """37: a log of a million lines, read whole, and looked through."""
    with target.http.stream("GET", f"/jobs/{target.place.job}/logs") as answer:
        target.that(f"a log: {answer.status_code}", answer.status_code == 200)
        for _ in answer.iter_raw():
            pass
    target.expect("grep", "GET", f"jobs/{target.place.job}/logs?grep=nothing.like.this&tail=10", 200)


def opening(target: Target, entries: list[dict[str, Any]], *statuses: int) -> Any:
    """Ask for a snapshot of these entries."""
    body = json.dumps({"owner": target.place.owner, "manifest": {"entries": entries}}).encode()
    return target.expect(f"a manifest with {entries[-1]['path'][:40]!r}", "POST", "snapshots", *statuses, content=body)


def opened(target: Target) -> str:
    """Open a snapshot of which a content of five bytes is missing."""
    answer = opening(target, [FILE], 201)
    return str(answer.json()["id"]) if answer is not None else ""


def packed() -> bytes:
    """Return the pack of that content, with a byte of it wrong."""
    return wire.PLAIN + wire.header(FILE["chunks"][0], 5) + b"wrong" + wire.END


REQUESTS = {
    "61 numbers that are none": Input(send=numbers),
    "66 byte by byte, lengths that lie": Input(send=slowly),
    "67 2 GB where 5 bytes are missing": Input(send=too_much),
    "69 what others have sent": Input(send=strangers),
    "70 paths that lead out": Input(send=paths),
    "71 packs that lie, bombs": Input(send=bombs),
    "86 names that mean harm": Input(send=names),
    "92 lists without measure": Input(send=lists),
    f"93 {2 * STREAMS} streams, half never read": Input(send=streams, hold=listen),
    "94 JSON deep, long, twofold": Input(send=bodies),
    "95 a thousand ranges": Input(send=ranges),
    "37 a log of 1,000,000 lines, read": Input(send=logs),
    "41, 45, 48 odd artifacts, listed": Input(send=listings),
    "41, 44 odd artifacts, as an archive": Input(send=archive),
}
