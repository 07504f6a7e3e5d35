"""`himalia logs`: a job's output."""

from __future__ import annotations

import sys

import click

from ..sdk import Job
from .following import follow as follow_job
from .session import resolve, session


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended, and end with its exit code.")
@click.option("--attempt", type=int, default=0, help="Which attempt; else the last.")
def logs(job_id: str, follow: bool, attempt: int) -> int:
    """Print a job's output, byte by byte as it wrote it."""
    with session() as client:
        job = Job(client, client.job(resolve(job_id)))
        if follow and not attempt:
            return follow_job(job)
        for block in job.log(follow=follow, attempt=attempt):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
    return 0
