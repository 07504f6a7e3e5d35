"""All benchmarks, one after the other, and at the end every goal in one table: `make bench`, `make bench GOALS="G1 G4"`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from measuring import machine
from measuring.judging import HEAD, TOLD, row_of, row_of_absent, table

HERE = Path(__file__).parent
#: Each benchmark with the goals that it judges, the most telling first.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "start": ("G1", "G2", "G4"),
    "throughput": ("G3", "G20"),
    "log_lag": ("G9",),
    "log_lines": ("G10", "G11"),
    "submit": (),
    "snapshots": ("G5", "G6"),
    "uploads": ("G7", "G8"),
    "strangers": (),
    "listing": ("G14",),
    "durable": ("G15",),
    "restart": ("G17", "G18"),
    "hostile": ("G21",),
    "fairness": ("G22",),
    "spawn": (),
    "handover": (),
    "gpus": (),
    "round": (),
}
SIZED = ("throughput", "log_lines", "snapshots", "uploads", "listing", "restart", "fairness")
#: The goals that these judge, and how each is run: where one has left nothing, the table says so.
ELSEWHERE = {
    "G16": (
        "nothing lost, begun twice or left over, wherever the service is killed or the power is cut",
        "make campaign",
    ),
    "G21": ("all faults and bad inputs of the tests end as they should", "make test"),
    "G23": ("no later than jupyter-scheduler and Slurm", "build/venv/bin/python benchmarks/peers.py"),
}
MOST_SECONDS = 900


@click.command()
@click.argument("goals", nargs=-1)
@click.option("--scale", default=1.0, show_default=True, help="How large what is measured is, as a share of the whole.")
@click.option(
    "--rounds", type=int, help="How often each side is measured, where another number than its own is wanted."
)
@click.option("--json", "file", default="build/bench.json", show_default=True, type=click.Path(path_type=Path))
def main(goals: tuple[str, ...], scale: float, rounds: int | None, file: Path) -> None:
    """Measure all, or what judges some GOALS alone; print tables, write JSON, and fail when a goal is missed."""
    wanted = {goal.upper() for word in goals for goal in word.replace(",", " ").split()}
    if unknown := wanted - {goal for judged in BENCHMARKS.values() for goal in judged} - set(ELSEWHERE):
        raise click.UsageError(f"No benchmark judges {', '.join(sorted(unknown))}.")
    begun, before = time.monotonic(), machine.describe()
    reports = {}
    for name, judged in BENCHMARKS.items():
        if not wanted or wanted & set(judged):
            click.echo(f"== {name}")
            reports[name] = run(name, scale, rounds)
    found = [
        goal for report in reports.values() for goal in report.get("goals", ()) if not wanted or goal["goal"] in wanted
    ]
    found += [goal for goal in told(file.parent / TOLD) if not wanted or goal["goal"] in wanted]
    found.sort(key=lambda goal: int(goal["goal"][1:]))
    absent = [one for one in not_told(file.parent / TOLD) if not wanted or one["goal"] in wanted]
    broken = [name for name, report in reports.items() if "broken" in report]
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "machine": before,
        "seconds": time.monotonic() - begun,
        "goals": found,
        "not_measured": absent,
        "reports": reports,
    }
    file.write_text(json.dumps(whole, indent=1) + "\n")
    rows = [*(row_of(goal) for goal in found), *(row_of_absent(**one) for one in absent)]
    click.echo(table([HEAD, *sorted(rows, key=lambda row: int(row[0][1:]))]))
    missed = sorted(
        {goal["goal"] for goal in found if not (goal["passed"] or goal["stretch"])}, key=lambda name: int(name[1:])
    )
    click.echo(
        f"{whole['seconds']:.0f} s, load {before['load'][0]} before and {machine.load()[0]} after; all of it in {file}"
    )
    if broken or missed:
        raise click.ClickException(
            "; ".join([*(f"{name} broke off" for name in broken), *(f"{goal} missed" for goal in missed)])
        )


def run(name: str, scale: float, rounds: int | None) -> dict[str, Any]:
    """Run one benchmark in a process of its own; one that breaks off keeps no other from being measured."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--json"]
    command += ["--scale", str(scale)] if name in SIZED else []
    command += ["--rounds", str(rounds)] if rounds else []
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said, _ = process.communicate(timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            said, _ = process.communicate()
    if process.returncode:
        click.echo(f"{name} broke off after {time.monotonic() - begun:.0f} s")
        return {"broken": process.returncode}
    report: dict[str, Any] = json.loads(said)
    click.echo(report["text"])
    return report


def told(folder: Path) -> list[dict[str, Any]]:
    """Return the goals that longer runs than this have judged, as they left them, each with the day of it."""
    found = []
    for file in sorted(folder.glob("*.json")):
        day = datetime.fromtimestamp(file.stat().st_mtime, UTC).date()
        found += [goal | {"what": f"{goal['what']} ({day})"} for goal in json.loads(file.read_text())]
    return found


def not_told(folder: Path) -> list[dict[str, str]]:
    """Return the goals that a longer run judges and none has left, with what is to be run."""
    return [
        {"goal": goal, "what": what, "run": command}
        for goal, (what, command) in ELSEWHERE.items()
        if not (folder / f"{goal}.json").exists()
    ]


if __name__ == "__main__":
    main()
