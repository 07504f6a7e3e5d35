"""`himalia checkout` and `himalia diff`: what a job ran, and what it had over its commit."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..git.checkout import check_out, check_out_branch
from ..units import counted
from .output import printable, say
from .session import resolve, session


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="New directory to write to; else one named after project and job.",
)
@click.option(
    "--branch",
    metavar="NAME",
    help="In a clone of the job's repository: the directory becomes a work tree with a new branch at the job's commit.",
)
def checkout(job_id: str, to: Path | None, branch: str | None) -> None:
    """Get a job's files back as they were submitted, byte for byte."""
    with session() as client:
        job = client.job(resolve(job_id))
        place = to or Path(f"{job.project}-{job.id}")
        count = check_out(client, job, place) if branch is None else check_out_branch(client, job, branch, place)
    say(f"{place}: {counted(count, 'file')} of {job.id}" + (f", branch {branch}" if branch else ""))


@click.command()
@click.argument("job_id", metavar="ID")
def diff(job_id: str) -> None:
    """Print what a job's files had over the commit they were submitted from, as git writes it."""
    with session() as client:
        found = client.diff(resolve(job_id))
    if sys.stdout.isatty():
        click.echo(printable(found.decode(errors="replace")), nl=False)
    else:
        sys.stdout.buffer.write(found)
        sys.stdout.buffer.flush()
