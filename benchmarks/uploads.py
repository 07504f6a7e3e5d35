"""How fast a service takes in what it does not know, with how much memory, and what others notice of uploads: G7 and G8."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Bound, Report, cpu_of, in_turn, main, own_platform, own_service
from measuring.probe import Probe
from measuring.sent import MB, write_noise

import himalia
from himalia.snapshot import Packed, pack, scan, send
from himalia.units import MiB

if TYPE_CHECKING:
    from live_platform import LivePlatform
    from own_service import OwnService

UPLOAD_BYTES, AT_ONCE, OTHERS = 1_000 * MB, 4, 3
SPEED, MEMORY, MEMORY_EACH, SLOWER = 0.8, 64 * MiB, 8 * MiB, 1.5
BLOCK = MiB
IDLE_SECONDS = 5.0
SETTINGS = '[[profiles]]\nname = "tiny"\ncpus = 0.1\nmemory = "64M"\n'


def measure(rounds: int, scale: float = 1.0) -> Report:
    """Measure uploads of 1 GB that the service does not know, beside a bare socket; and everybody's pages during three of them."""
    size = round(UPLOAD_BYTES * scale)
    report = Report(title=f"Uploads of {size / MB:.0f} MB that the service does not know")
    with own_service(SETTINGS) as service, tempfile.TemporaryDirectory() as place:
        speed(service, report, Path(place), size, rounds)
        memory(service, report, Path(place), size)
    with own_platform(SETTINGS) as platform, tempfile.TemporaryDirectory() as place:
        others(platform, report, Path(place), size, rounds)
    return report


def speed(service: OwnService, report: Report, place: Path, size: int, rounds: int) -> None:
    """Upload, and send the same over a bare socket to somebody who hashes and writes it, in turn.

    What came is removed before the other side's turn: who writes into memory that was a file's a moment ago is quicker.
    """
    client = service.client()

    def upload() -> float:
        seconds = uploaded(client, new_pack(place / "data", size))
        for content in (service.data / "blobs").glob("*/??/*"):
            content.unlink()
        return seconds

    taken = in_turn(
        rounds,
        {
            "upload": upload,
            "socket": lambda: over_a_socket(place / "data", place / "received", size),
        },
    )
    per_second = {name: [size / MB / seconds for seconds in side.samples] for name, side in taken.items()}
    report.judge(
        "G7",
        "upload, hashed and written",
        "MB/s",
        per_second["upload"],
        per_second["socket"],
        bound=Bound(limit=SPEED, at_least=True),
        other_side="socket, sha256, write",
        cpu_seconds=cpu_of(taken),
    )


def memory(service: OwnService, report: Report, place: Path, size: int) -> None:
    """How much the service's memory grows by one upload, and by some at once."""
    assert service.process is not None
    pid = service.process.pid
    for count, limit in ((1, MEMORY), (AT_ONCE, MEMORY + (AT_ONCE - 1) * MEMORY_EACH)):
        packs = [new_pack(place / f"data-{number}", size // AT_ONCE) for number in range(count)]
        before = resident(pid)
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the most from now on
        at_once(service.client(), packs)
        grown = max(0, resident(pid, most=True) - before) / MiB
        what = "memory of the service, grown by "
        what += "one upload" if count == 1 else f"{count} at once"
        report.judge("G7", what, "MiB", [grown], bound=Bound(limit=limit / MiB))


def others(platform: LivePlatform, report: Report, place: Path, size: int, rounds: int) -> None:
    """How fast everybody's requests are answered through the proxy, idle and while three people upload through it."""
    page = f"{platform.url}/services/jobs/api/me"
    idle, busy = [], []
    with ExitStack() as stack:
        people = [platform.person(name) for name in ("ada", "bob", "eve", "dan")]
        senders = [
            stack.enter_context(closing(himalia.Client(f"{platform.url}/services/jobs/api", person.token)))
            for person in people[:OTHERS]
        ]
        for _ in range(rounds):
            idle.append(answered(page, people[-1].token, lambda: time.sleep(IDLE_SECONDS)))
            packs = [new_pack(place / f"data-{number}", size // OTHERS) for number in range(OTHERS)]
            busy.append(answered(page, people[-1].token, lambda packs=packs: each_sends(senders, packs)))
    report.judge(
        "G8",
        "GET through the proxy, p50, during 3 uploads through it",
        "ms",
        busy,
        idle,
        bound=Bound(limit=SLOWER),
        other_side="idle",
    )


def new_pack(folder: Path, size: int) -> Packed:
    """Return a directory with one file that never was before, hashed."""
    folder.mkdir(exist_ok=True)
    write_noise(folder / "noise.bin", size)
    return pack(scan(folder))


def uploaded(client: himalia.Client, packed: Packed) -> float:
    """Upload; return the seconds until all is on the service's disk."""
    begun = time.monotonic()
    send(client, f"user:{client.me().name}", packed)
    return time.monotonic() - begun


def at_once(client: himalia.Client, packs: list[Packed]) -> None:
    """Upload all at once."""
    with ThreadPoolExecutor(len(packs)) as threads:
        list(threads.map(lambda packed: uploaded(client, packed), packs))


def each_sends(clients: list[himalia.Client], packs: list[Packed]) -> None:
    """Let each person upload a pack of their own at once."""
    with ThreadPoolExecutor(len(packs)) as threads:
        list(threads.map(uploaded, clients, packs))


def answered(url: str, token: str, work: object) -> float:
    """Return how fast half of the answers came while something was done."""
    assert callable(work)
    with Probe(url, token) as probe:
        work()
    return probe.percentile(50)


def over_a_socket(folder: Path, target: Path, size: int) -> float:
    """Send a new file to a thread that hashes and writes what comes; return the seconds until it is on the disk."""
    write_noise(folder / "noise.bin", size)
    ours, theirs = socket.socketpair()
    begun = time.monotonic()
    receiver = threading.Thread(target=receive, args=(theirs, target))
    receiver.start()
    with (folder / "noise.bin").open("rb") as file, ours:
        ours.sendfile(file)
        ours.shutdown(socket.SHUT_WR)
        receiver.join()
    seconds = time.monotonic() - begun
    target.unlink()
    return seconds


def receive(connection: socket.socket, target: Path) -> None:
    """Hash and write all that comes."""
    digest = hashlib.sha256()
    with connection, target.open("wb") as file:
        for block in blocks(connection):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def blocks(connection: socket.socket) -> Iterator[memoryview]:
    """Yield what comes."""
    buffer = memoryview(bytearray(BLOCK))
    while count := connection.recv_into(buffer):
        yield buffer[:count]


def resident(pid: int, *, most: bool = False) -> int:
    """Return a process's memory now, or the most since that was last reset."""
    name = "VmHWM:" if most else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main(measure, rounds=3, sized=True)
