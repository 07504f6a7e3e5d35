"""`himalia usage`: GPU hours, and how much of them was idle."""

from __future__ import annotations

import click

from ..models import UsageBy, UsageRow
from .output import print_json, print_table, say
from .session import session

BY = {UsageBy.USER: "USER", UsageBy.TEAM: "TEAM", UsageBy.PROJECT: "PROJECT"}


@click.command()
@click.option("--by", type=click.Choice([str(by) for by in UsageBy]), default=str(UsageBy.USER), help="Added up by.")
@click.option("--from", "first", metavar="MONTH", help="First month, as 2030-01; else the last one.")
@click.option("--to", "last", metavar="MONTH", help="Last month; else this one.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for spreadsheets.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def usage(by: str, first: str | None, last: str | None, as_csv: bool, as_json: bool) -> None:
    """Show GPU hours of you and your teams (administrators: everybody), and in how much of them no kernel ran."""
    with session() as client:
        if as_csv:
            click.echo(client.usage_table(UsageBy(by), first, last), nl=False)
            return
        view = client.usage(UsageBy(by), first, last)
    if as_json:
        print_json([view])
        return
    if view.rows:
        columns = ("MONTH", BY[view.by], "GPU HOURS", "JOBS", "NOTEBOOKS", "IDLE")
        print_table(columns, (_row(row) for row in view.rows))
        say(f"{view.gpu_hours:.1f} GPU hours together.")
    else:
        say("No GPU hours in this time.")
    if view.note:
        say(view.note)


def _row(row: UsageRow) -> tuple[str, ...]:
    idle = "" if row.idle_share is None else f"{row.idle_share:.0%}"
    return (row.month, row.name, f"{row.gpu_hours:.1f}", f"{row.job_hours:.1f}", f"{row.server_hours:.1f}", idle)
