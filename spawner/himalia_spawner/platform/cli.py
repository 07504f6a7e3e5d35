"""`himalia-platform`: bring a platform up and down on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from himalia.errors import HimaliaError
from himalia_spawner.settings import config_file

from . import people as kept_people
from . import starting
from .demo import run_demo
from .logins import first_login
from .place import Place
from .purging import purge, what_would_go
from .report import report
from .systemd import UNITS_DIR
from .units import install


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="The operator's file; else HIMALIA_CONFIG, or himalia.toml in the data directory (HIMALIA_DATA, or ./data).",
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Bring a Himalia platform up and down on this machine."""
    context.obj = config or config_file()


@cli.command()
@click.pass_obj
def up(config: Path) -> None:
    """Start job service, hub and proxy; what runs already is left alone."""
    place = starting.prepare(config, click.echo)
    login = first_login(place)
    starting.bring_up(place, click.echo)
    for line in (*report(place)[0][-1:], login):
        click.echo(line)


@cli.command()
@click.option("--all", "everything", is_flag=True, help="End the servers and jobs as well; they live on otherwise.")
@click.pass_obj
def down(config: Path, everything: bool) -> None:
    """Stop proxy, hub and job service. Notebook servers and jobs live on."""
    starting.bring_down(Place.load(config), click.echo, everything=everything)


@cli.command()
@click.pass_context
def status(context: click.Context) -> None:
    """Say how the platform is; the exit code is 1 when something is wrong."""
    lines, well = report(Place.load(context.obj))
    for line in lines:
        click.echo(line)
    context.exit(0 if well else 1)


@cli.command()
@click.option("--sizes", is_flag=True, help="Count their files as well; this may take minutes.")
@click.pass_obj
def people(config: Path, sizes: bool) -> None:
    """List who was ever here, by the internal ids that name their directories."""
    for line in kept_people.table(kept_people.people(Place.load(config)), sizes=sizes):
        click.echo(line)


@cli.command()
@click.argument("name")
@click.argument("id")
@click.option("--force", is_flag=True, help="Also when somebody whom the hub has now loses it, and begins anew.")
@click.pass_obj
def reattach(config: Path, name: str, id: str, force: bool) -> None:
    """Give the hub's user NAME what is kept under the internal ID.

    That is home, storage and jobs: of a person who was renamed, or when the hub's database was lost. What NAME had until now stays under its own id.
    """
    for line in kept_people.reattach(Place.load(config), name, id, force=force):
        click.echo(line)


@cli.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=None,
    help="Port of the proxy, for an installation that is made now (else 8000).",
)
@click.pass_obj
def demo(config: Path, port: int | None) -> None:
    """Start the platform and run one job for real; leave the platform running."""
    run_demo(config, click.echo, port=port)


@cli.command("install")
@click.option("--units-dir", type=click.Path(path_type=Path, file_okay=False), default=UNITS_DIR, show_default=True)
@click.option("--no-start", is_flag=True, help="Only write the units.")
@click.pass_obj
def install_units(config: Path, units_dir: Path, no_start: bool) -> None:
    """Write systemd units for this installation, enable and start them."""
    place = starting.prepare(config, click.echo)
    install(place, click.echo, units_dir=units_dir, start=not no_start)


@cli.command("purge")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge_all(config: Path, yes: bool) -> None:
    """Remove everything of this installation: containers, networks, volumes, rules and data."""
    place = Place.load(config)
    click.echo(what_would_go(place))
    if yes or click.confirm("Go on?"):
        purge(place, click.echo)
    else:
        click.echo("Nothing was removed.")


def main() -> None:
    """Run the command; tell errors in words."""
    try:
        cli()
    except HimaliaError as error:
        click.echo(error.message, err=True)
        sys.exit(1)
    except PermissionError as error:
        if os.geteuid() == 0:
            raise
        click.echo(
            f"{error.filename or 'Something'} is root's alone, as the whole platform is. Run this as root, or with sudo.",
            err=True,
        )
        sys.exit(1)
