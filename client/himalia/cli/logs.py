"""`himalia logs`: a job's output."""

from __future__ import annotations

from typing import Any

import click

from ..sdk import Job
from .following import follow as follow_job
from .session import resolve, session
from .terminal import printing


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended, and end with its exit code.")
@click.option("--attempt", type=int, default=0, help="Which attempt; else the last.")
@click.option(
    "--tail", "-n", type=click.IntRange(min=0), metavar="N", help="The last N lines; with --grep, of those that match."
)
@click.option(
    "--since", metavar="WHEN", help="What came since then: 10m (ago), 2h, or a time such as 2026-05-04T10:00."
)
@click.option(
    "--grep",
    default="",
    metavar="PATTERN",
    help="Lines with this text; * stands for anything in between, \\* for a star.",
)
@click.option("--ignore-case", "-i", is_flag=True, help="With --grep: large and small letters are the same.")
@click.option("--timestamps", "-t", is_flag=True, help="Before each line the second in which it came, in UTC.")
def logs(job_id: str, follow: bool, attempt: int, **picked: Any) -> int:
    """Print a job's output, byte by byte as it wrote it, or the lines of it that are asked for.

    On a terminal what reaches beyond the job's own lines (titles, links, the clipboard, a cleared screen) is left out.
    """
    with session() as client:
        job = Job(client, client.job(resolve(job_id)))
        if follow and not attempt:
            return follow_job(job, **picked)
        with printing() as show:
            for block in job.log(follow=follow, attempt=attempt, **picked):
                show(block)
    return 0
