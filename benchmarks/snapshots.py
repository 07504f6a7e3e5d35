"""What a submit reads and sends when nothing, a little or all has changed: one large file, 2,000 and 50,000 files. G5 and G6."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from measuring import Bound, Report, in_turn, main, own_service
from measuring.sent import MB, Counted, counted, write_noise

import himalia
from himalia.snapshot import pack, scan

LARGE_BYTES, CHANGED_BYTES, PLACE = 2_000 * MB, 20 * MB, 777 * MB + 7
FILES, FILE_BYTES, FOLDERS = 2_000, 100_000, 20
SMALL_FILES, SMALL_BYTES, SMALL_FOLDERS = 50_000, 1_000, 100
LEAST_SCALE = 0.5  #: below it what is sent once for any change, and what any submit takes, is more than the rest
SETTLED_SECONDS = 3.0  #: younger files are hashed at each submit: their clock may not have ticked
WALKS = 9
#: One job has all there is, so that what is submitted waits in line and nothing else is done meanwhile.
SETTINGS = """
[limits]
cpus = 1.0
[[profiles]]
name = "all"
cpus = 1.0
memory = "64M"
"""


@dataclass(kw_only=True)
class Samples:
    """Seconds and bytes sent, by what had changed."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    sent: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, seconds: float, sent: float) -> None:
        """Add one submit."""
        self.seconds.setdefault(what, []).append(seconds)
        self.sent.setdefault(what, []).append(sent)


class Bench:
    """Somebody who submits directories."""

    def __init__(self, client: himalia.Client, network: Counted) -> None:
        self.client = client
        self.network = network
        self.samples = Samples()
        self.submit_nothing("sleep", "3600")

    def submit_nothing(self, *command: str) -> None:
        """Submit a job without files, and wait until it runs."""
        job = himalia.submit(None, command=command, profile="all", project="bench", client=self.client)
        while job.refresh().state != "running":
            time.sleep(0.1)

    def submit(self, what: str, folder: Path) -> float:
        """Submit a directory; return the seconds until the job is in line."""
        before, begun = self.network.bytes, time.monotonic()
        job = himalia.submit(folder, command=["true"], profile="all", project="bench", client=self.client)
        seconds = time.monotonic() - begun
        self.samples.add(what, seconds, self.network.bytes - before)
        job.cancel()
        return seconds


def measure(rounds: int, scale: float = 1.0) -> Report:
    """Measure submits straight to a job service of its own: cold, unchanged, changed in part; seconds and bytes sent."""
    scale = max(LEAST_SCALE, scale)
    report = Report(title=f"Submits, straight to the service, at {scale:g} of full size")
    with own_service(SETTINGS) as service, tempfile.TemporaryDirectory() as place, counted() as network:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        bench = Bench(service.client(), network)
        one_large_file(bench, report, Path(place, "large"), rounds, scale)
        some_files(bench, report, Path(place, "some"), rounds, scale)
        very_many_files(bench, report, Path(place, "many"), scale)
    for what, seconds in bench.samples.seconds.items():
        report.add(what, "s", seconds)
        report.add(f"{what}: sent", "MB", [sent / MB for sent in bench.samples.sent[what]])
    report.notes.append("sent: the bodies of all requests, the manifest among them")
    return report


def one_large_file(bench: Bench, report: Report, folder: Path, rounds: int, scale: float) -> None:
    """One file of 2 GB: new, unchanged, 20 MB of it changed in place, 20 MB appended."""
    size, changed = round(LARGE_BYTES * scale), round(CHANGED_BYTES * scale)
    folder.mkdir()
    file = folder / "weights.bin"
    kinds = {
        "cold": lambda: write_noise(file, size),
        "unchanged": lambda: None,
        "20 MB in place": lambda: write_noise(file, changed, round(PLACE * scale)),
        "20 MB appended": lambda: write_noise(file, changed, file.stat().st_size),
    }
    for _ in range(rounds):
        file.unlink(missing_ok=True)
        for what, change in kinds.items():
            change()
            time.sleep(SETTLED_SECONDS)
            bench.submit(f"2 GB file, {what}", folder)
    seconds, sent = bench.samples.seconds, bench.samples.sent
    cold, unchanged = seconds["2 GB file, cold"], seconds["2 GB file, unchanged"]
    report.judge("G5", "2 GB file, unchanged", "s", unchanged, bound=Bound(limit=1.0))
    report.judge("G5", "2 GB file, unchanged", "s", unchanged, cold, bound=Bound(limit=0.01), other_side="cold")
    for what in ("20 MB in place", "20 MB appended"):
        share = [sent_bytes / size for sent_bytes in sent[f"2 GB file, {what}"]]
        report.judge("G6", f"2 GB file, {what}: share of it that is sent", "", share, bound=Bound(limit=0.02))


def some_files(bench: Bench, report: Report, folder: Path, rounds: int, scale: float) -> None:
    """2,000 files of 100 kB: new, and 1 % of them changed."""
    count = round(FILES * scale)
    changed = count // 100
    for _ in range(rounds):
        write_files(folder, count, FILE_BYTES, FOLDERS)
        time.sleep(SETTLED_SECONDS)
        bench.submit("2,000 files, cold", folder)
        write_files(folder, changed, FILE_BYTES, FOLDERS)
        time.sleep(SETTLED_SECONDS)
        bench.submit("2,000 files, 1 % changed", folder)
    manifest = len(pack(scan(folder)).manifest.model_dump_json())
    seconds, sent = bench.samples.seconds, bench.samples.sent
    more = [(sent_bytes - manifest) / (changed * FILE_BYTES) for sent_bytes in sent["2,000 files, 1 % changed"]]
    report.judge("G6", "2,000 files, 1 % changed: sent over changed", "", more, bound=Bound(limit=1.1))
    report.judge(
        "G6",
        "2,000 files, 1 % changed",
        "s",
        seconds["2,000 files, 1 % changed"],
        seconds["2,000 files, cold"],
        bound=Bound(limit=0.1),
        other_side="cold",
    )


def very_many_files(bench: Bench, report: Report, folder: Path, scale: float) -> None:
    """50,000 files, once new, then unchanged beside a walk that only looks at each."""
    write_files(folder, round(SMALL_FILES * scale), SMALL_BYTES, SMALL_FOLDERS)
    time.sleep(SETTLED_SECONDS)
    bench.submit("50,000 files, cold", folder)
    sides: dict[str, Callable[[], float]] = {
        "submit": lambda: bench.submit("50,000 files, unchanged", folder),
        "walk": lambda: walked(folder),
    }
    taken = in_turn(WALKS, sides)
    report.judge(
        "G5",
        "50,000 files, unchanged",
        "s",
        taken["submit"].samples,
        taken["walk"].samples,
        bound=Bound(limit=2.5),
        other_side="a stat of each",
    )


def walked(folder: Path) -> float:
    """Look at everything in a directory, and no more; return the seconds."""
    begun = time.monotonic()
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for entry in found:
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return time.monotonic() - begun


def write_files(folder: Path, count: int, size_bytes: int, folders: int) -> None:
    """Write the first files of a directory anew, with contents that never were before."""
    for number in range(folders):
        Path(folder, f"{number:03}").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Path(folder, f"{number % folders:03}", f"{number:06}.bin").write_bytes(os.urandom(size_bytes))
    os.sync()


if __name__ == "__main__":
    main(measure, rounds=3, sized=True)
