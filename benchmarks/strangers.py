"""What somebody could learn of another's files by the time that an answer takes: naming what they have, and what nobody has."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from blake3 import blake3
from measuring import Report, in_turn, main, own_service

import himalia
from himalia.models import Entry, EntryType, Manifest
from himalia.snapshot import pack, scan, send

ASKS = 200  #: in each round, of each kind, in turn
BYTES = 4_096


def measure(rounds: int) -> Report:
    """Measure how long the answer takes to who names contents that somebody else has sent, and contents that nobody has."""
    report = Report(title="Naming contents, straight to the service")
    count = ASKS * rounds + 1
    with own_service("") as service, tempfile.TemporaryDirectory() as folder:
        theirs = [os.urandom(BYTES) for _ in range(count)]
        for number, content in enumerate(theirs):
            Path(folder, f"{number:06}").write_bytes(content)
        send(service.client("ada"), "user:ada", pack(scan(folder)))
        stranger, waiting = service.client("eve"), iter(theirs)
        taken = in_turn(
            ASKS * rounds,
            {
                "theirs": lambda: ask(stranger, next(waiting)),
                "nobody's": lambda: ask(stranger, os.urandom(BYTES)),
            },
        )
    report.add("named: what nobody has sent", "s", taken["nobody's"].samples)
    report.add("named: what somebody else has sent", "s", taken["theirs"].samples, beside="named: what nobody has sent")
    report.notes.append("each answer is a snapshot written down; the ratio has to stay between 0.9 and 1.1")
    return report


def ask(client: himalia.Client, content: bytes) -> float:
    """Open a snapshot of one file with this content, which is said to be missing; return the seconds."""
    digest = blake3(content).hexdigest()
    file = Entry(path="f", type=EntryType.FILE, size_bytes=len(content), chunks=(digest,))
    begun = time.perf_counter()
    answer = client.open_snapshot("user:eve", Manifest(entries=(file,)))
    seconds = time.perf_counter() - begun
    assert answer.missing == (digest,)
    return seconds


if __name__ == "__main__":
    main(measure, rounds=3)
