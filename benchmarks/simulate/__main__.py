"""The command behind `make simulate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from . import campaign, scenes
from .tables import scenes_text, table
from .workload import DAYS


@click.command()
@click.option("--gpus", multiple=True, type=int, help="How many GPUs; several times for several. [8, 16, 64]")
@click.option("--load", multiple=True, type=float, help="What is asked for, over what there is. [0.7, 0.85, 0.95]")
@click.option("--seed", multiple=True, type=int, help="Which month is drawn; several are averaged. [1]")
@click.option("--days", default=float(DAYS), show_default=True, help="Length of the month.")
@click.option("--at-once", default=1, show_default=True, help="How many processes.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="Write all figures to this file.")
@click.option("--pictures", type=click.Path(file_okay=False), help="Draw the pictures into this directory.")
@click.option(
    "--again", multiple=True, type=click.Path(exists=True, dir_okay=False), help="Replay nothing: take files of --json."
)
def simulate(
    gpus: tuple[int, ...],
    load: tuple[float, ...],
    seed: tuple[int, ...],
    days: float,
    at_once: int,
    json_file: str | None,
    pictures: str | None,
    again: tuple[str, ...],
) -> None:
    """Replay months of notebooks and jobs through the policy of the job service, in virtual time."""
    if again:
        files = [json.loads(Path(file).read_text()) for file in again]
        found = {"runs": [one for file in files for one in file["runs"]], "scenes": files[0]["scenes"]}
    else:
        found = {"runs": [], "scenes": scenes.play()}
        todo = campaign.tasks(gpus or campaign.SIZES, load or campaign.LOADS, seed or (1,), days)
        for figures in campaign.run_all(todo, at_once=at_once):
            found["runs"].append(figures)
            click.echo(f"{len(found['runs'])} of {len(todo)} replayed, {figures['cpu_seconds']:.0f} s", err=True)
            _write(json_file, found)  # what was replayed so far is kept
    _write(json_file, found)
    click.echo(table(found["runs"]))
    click.echo(scenes_text(found["scenes"]))
    if pictures:
        from .pictures import draw  # the drawing library takes a second to load

        for file in draw(found["runs"], Path(pictures)):
            click.echo(f"drawn: {file}", err=True)


def _write(file: str | None, found: dict[str, Any]) -> None:
    if file:
        Path(file).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    simulate(prog_name="make simulate")
