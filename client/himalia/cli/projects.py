"""`himalia projects`: list, make, show and delete projects."""

from __future__ import annotations

import click

from ..client import Client
from ..owners import Owner
from .output import ago, print_json, print_table, printable, say
from .session import session


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def projects(context: click.Context, as_json: bool) -> None:
    """List projects; or make, show or delete one."""
    if context.invoked_subcommand is not None:
        return
    with session() as client:
        found = client.projects()
    if as_json:
        print_json(found)
    elif not found:
        say("No projects yet. The first job of a directory makes one with its name.")
    else:
        rows = ((p.name, p.owner, str(p.job_count), str(p.live_job_count), ago(p.last_job_at)) for p in found)
        print_table(("PROJECT", "OWNER", "JOBS", "WAITING OR RUNNING", "LAST JOB"), rows)


@projects.command()
@click.argument("name")
@click.option("--owner", help="user:NAME or team:NAME; else you.")
@click.option("--description", default="", help="What it is about.")
def create(name: str, owner: str | None, description: str) -> None:
    """Make a project."""
    with session() as client:
        made = client.create_project(name, owner, description)
    say(f"{made.owner}/{made.name} is there.")


@projects.command()
@click.argument("name")
@click.option("--owner", help="user:NAME or team:NAME; else you.")
def show(name: str, owner: str | None) -> None:
    """Show a project."""
    with session() as client:
        found = client.project(_owner(client, owner), name)
    for label, text in (
        ("project", f"{found.owner}/{found.name}"),
        ("about", found.description),
        ("jobs", str(found.job_count)),
        ("live", str(found.live_job_count)),
        ("last job", ago(found.last_job_at)),
    ):
        if text:
            click.echo(f"{label:<10} {printable(text)}")


@projects.command()
@click.argument("name")
@click.option("--owner", help="user:NAME or team:NAME; else you.")
def delete(name: str, owner: str | None) -> None:
    """Delete a project that has no jobs."""
    with session() as client:
        client.delete_project(_owner(client, owner), name)
    say(f"{name}: deleted.")


def _owner(client: Client, owner: str | None) -> str:
    return owner or str(Owner.user(client.me().name))
