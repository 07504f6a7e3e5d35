"""Himalia beside jupyter-scheduler and Slurm: the same script, notebook and directory on one machine, in one run (G23)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from measuring import Bound, Report, cpu_of, in_turn, main, own_platform, someone
from measuring.judging import TOLD, leave
from measuring.listening import Listener
from peering import jupyter_scheduler, slurm
from peering.ours import SETTINGS, Ours
from peering.workload import AT_ONCE, FILES, Peer, write_large, write_workload

if TYPE_CHECKING:
    from collections.abc import Callable

BUILD = Path(__file__).resolve().parents[1] / "build" / "peers"
OURS = "himalia"
NO_LATER = 1.0


def measure(rounds: int) -> Report:
    """Measure each peer in turn; one that cannot be installed here is told in words."""
    report = Report(title="The same work by himalia and by its peers, each as it comes")
    with tempfile.TemporaryDirectory(prefix="himalia-bench-") as name:
        folder, large = Path(name) / "work", Path(name) / "large"
        write_workload(folder)
        write_large(large)
        with peers(folder, report) as found:
            for kind in ("script", "notebook"):
                compare(report, rounds, kind, [peer for peer in found if kind in peer.kinds])
            many(report, found)
            largest(report, found, large)
            report.notes += [f"{peer.name}: {peer.killed()}" for peer in found]
    if report.judged:
        leave(BUILD.parent / TOLD, report.judged)
    report.notes.append(
        "himalia runs each in a container, with limits and a network of its own; the others run processes of the same user"
    )
    report.notes.append(
        "jupyter-scheduler runs notebooks only, all at once; Slurm copies nothing: what is changed later reaches the job"
    )
    return report


@contextmanager
def peers(folder: Path, report: Report) -> Iterator[list[Peer]]:
    """Give all that can be had on this machine."""
    with ExitStack() as stack:
        platform = stack.enter_context(own_platform(SETTINGS))
        from live_platform import free_ports

        client, _ = stack.enter_context(someone(platform))
        listener = stack.enter_context(Listener(platform.service_url, platform.person("ada").token))
        found: list[Peer] = [Ours(platform, client, listener, folder)]
        scheduler = installed("jupyter-scheduler", jupyter_scheduler.install, report)
        if scheduler is not None:
            found.append(stack.enter_context(jupyter_scheduler.JupyterScheduler(scheduler, folder, free_ports(1)[0])))
            root = installed("Slurm", slurm.install, report)
            if root is not None:
                one, two = free_ports(2)
                notebooks = scheduler / "bin" / "jupyter-nbconvert"
                try:
                    found.append(stack.enter_context(slurm.Slurm(root, folder, (one, two), notebooks)))
                except (TimeoutError, OSError) as error:
                    report.notes.append(f"Slurm does not start here: {error}")
        yield found


def installed(name: str, install: Callable[[Path], Path], report: Report) -> Path | None:
    """Return where a peer is installed below `build`; where that is not possible, say so."""
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        click.echo(f"installing {name} below {BUILD}, unless it is there", err=True)
        return install(BUILD)
    except (subprocess.CalledProcessError, OSError) as error:
        report.notes.append(f"{name} cannot be installed here: {error}")
        return None


def compare(report: Report, rounds: int, kind: str, found: list[Peer]) -> None:
    """Run one after the other, each round all peers."""
    taken = in_turn(rounds, {peer.name: partial(peer.run, kind) for peer in found})
    for what, read in (
        ("submit answered", lambda seen: seen.taken),
        ("first instruction", lambda seen: seen.began),
        ("first line", lambda seen: seen.line),
        ("end told", lambda seen: seen.ended),
    ):
        for name, side in taken.items():
            beside = "" if name == OURS else f"{kind}: {what}, {OURS}"
            report.add(f"{kind}: {what}, {name}", "s", [read(seen) for seen in side.samples], beside=beside)
    for name, side in taken.items():
        ended = ([seen.ended for seen in one.samples] for one in (taken[OURS], side))
        judge(report, f"{kind}: submit to its end, told", name, *ended)
    report.notes.append(f"CPU seconds of the machine for one {kind}: " + told(cpu_of(taken)))


def judge(report: Report, what: str, peer: str, ours: list[float], theirs: list[float]) -> None:
    """Judge what takes as long with himalia as with a peer, at most."""
    if peer != OURS:
        report.judge("G23", what, "s", ours, theirs, bound=Bound(limit=NO_LATER), other_side=peer)


def many(report: Report, found: list[Peer]) -> None:
    """Submit many at once."""
    taken = in_turn(1, {peer.name: partial(peer.run_many, AT_ONCE) for peer in found}, warm_up=False)
    for name, side in taken.items():
        beside = "" if name == OURS else f"{AT_ONCE} at once, {OURS}"
        report.add(f"{AT_ONCE} at once, {name}", "s", side.samples, beside=beside)
        judge(report, f"{AT_ONCE} at once, all ended", name, taken[OURS].samples, side.samples)
    report.notes.append(f"CPU seconds of the machine for {AT_ONCE} at once: " + told(cpu_of(taken)))


def largest(report: Report, found: list[Peer], large: Path) -> None:
    """Submit a large directory, and the same once more."""
    for what in ("first time", "unchanged"):
        for peer in found:
            name = f"{FILES:,} files, 192 MiB, {what}"
            beside = "" if peer.name == OURS else f"{name}, {OURS}"
            report.add(f"{name}, {peer.name}", "s", [peer.submit_large(large)], beside=beside)


def told(cpu: dict[str, float]) -> str:
    """Return CPU seconds as words."""
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in cpu.items())


if __name__ == "__main__":
    main(measure, rounds=5)
