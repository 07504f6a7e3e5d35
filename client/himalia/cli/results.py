"""`himalia artifacts`, `himalia download` and `himalia packages`: what a job left, and what it ran with."""

from __future__ import annotations

from pathlib import Path

import click

from ..units import format_size
from .output import local, print_json, print_table, printable, say
from .session import resolve, session


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--attempt", type=int, default=0, help="Which attempt; else the last.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def artifacts(job_id: str, attempt: int, as_json: bool) -> None:
    """List what a job has written to /artifacts, also while it runs."""
    with session() as client:
        ask = client.all_artifacts if as_json else client.artifacts
        listing = ask(resolve(job_id), attempt)
    if as_json:
        print_json(listing.artifacts)
    elif not listing.artifacts:
        say("Nothing is in /artifacts" + (" yet." if listing.live else "."))
    else:
        rows = (
            (
                entry.path,
                format_size(entry.size_bytes) if entry.type == "file" else entry.type,
                local(entry.modified_at),
            )
            for entry in listing.artifacts
        )
        print_table(("PATH", "SIZE", "CHANGED"), rows)
        if listing.truncated:
            say("There are more. List them all with --json, or fetch them with `himalia download`.")


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("patterns", nargs=-1, metavar="[PATTERN...]")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Directory to write to.")
@click.option("--attempt", type=int, default=0, help="Which attempt; else the last.")
def download(job_id: str, patterns: tuple[str, ...], to: Path, attempt: int) -> None:
    """Fetch a job's artifacts: those that match a pattern, or all."""
    with session() as client:
        written = client.download(resolve(job_id), to, patterns, attempt)
    for file in written:
        click.echo(printable(str(file)))
    if not written:
        say("Nothing is in /artifacts.")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--attempt", type=int, default=0, help="Which attempt; else the last.")
def packages(job_id: str, attempt: int) -> None:
    """List the Python packages that a job could import when it began, as `pip freeze` writes them."""
    with session() as client:
        click.echo(printable(client.packages(resolve(job_id), attempt)), nl=False)
