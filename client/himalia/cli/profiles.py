"""`himalia profiles`: what may be chosen, and what is free."""

from __future__ import annotations

import click

from ..units import format_duration, format_size
from .output import print_json, print_table
from .session import session


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def profiles(as_json: bool) -> None:
    """List the profiles you may use for jobs, and what is free."""
    with session() as client:
        found = client.profiles()
    if as_json:
        print_json(found)
        return
    rows = (
        (
            profile.name,
            profile.title,
            f"{profile.cpus:g}",
            format_size(profile.memory_bytes),
            profile.gpus,
            format_duration(profile.time_limit_seconds),
            profile.sentence,
        )
        for profile in found
    )
    print_table(("PROFILE", "TITLE", "CPUS", "MEMORY", "GPUS", "TIME", "NOW"), rows)
