"""`himalia gpus`: what there is, who has it, who waits; and what administrators do with it."""

from __future__ import annotations

import click

from ..client import Client
from ..errors import LocalError
from ..gpus import GPUMode, SlotKind
from ..models import GPUsView, SlotView
from .gpu_table import print_gpus
from .output import print_json, printable, say
from .session import session
from .watching import watch_gpus

FILE = "file"  #: in a mode's place: as the operator's file says
CONFIRM = "It ends {} on GPU {}; what was not saved is lost. Go on?"


@click.group(invoke_without_command=True)
@click.option("--watch", is_flag=True, help="Go on showing it as it changes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (with --watch: one for each change).")
@click.pass_context
def gpus(context: click.Context, watch: bool, as_json: bool) -> None:
    """Show every GPU, who holds it, what is free, and the queue. Its commands are for administrators, but for `ask`."""
    if context.invoked_subcommand is not None:
        return
    with session() as client:
        if watch:
            watch_gpus(client, as_json=as_json)
            return
        view = client.gpus()
    if as_json:
        print_json([view])
    else:
        print_gpus(view)


@gpus.command()
@click.argument("gpu")
@click.option("--why", default="", help="What people are told with it.")
def quarantine(gpu: str, why: str) -> None:
    """Give a GPU (its number or UUID) to nobody; what runs on it goes on. For administrators."""
    with session() as client:
        slot = _find(client, gpu)
        client.quarantine_gpu(slot.uuid, why)
    say(f"GPU {slot.index} is given to nobody until `himalia gpus return {slot.index}`.")


@gpus.command()
@click.argument("gpu")
@click.option("--why", default="", help="What people are told with it.")
def drain(gpu: str, why: str) -> None:
    """Empty a GPU: who has it keeps it, and nobody gets it next. For administrators."""
    with session() as client:
        slot = _find(client, gpu)
        client.drain_gpu(slot.uuid, why)
    left = f"{slot.holder} goes on; nobody" if slot.holder else "Nobody"
    say(f"{left} gets GPU {slot.index} next, until `himalia gpus return {slot.index}`.")


@gpus.command()
@click.argument("gpu")
@click.option("--why", default="", help="What the holder is told with it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def release(gpu: str, why: str, yes: bool) -> None:
    """End what holds a GPU: cancel the job, stop the notebook. It is written down with who and why. For administrators."""
    with session() as client:
        slot = _find(client, gpu, alone=True)
        if slot.holder is None:
            raise LocalError(f"Nobody holds {slot.name}.")
        if not yes:
            click.confirm(CONFIRM.format(slot.holder, slot.index), abort=True, err=True)
        client.release_gpu(slot.uuid, why)
    say(f"{slot.holder} is being ended. GPU {slot.index} is given out again once it is seen to be free.")


@gpus.command()
@click.argument("gpu")
@click.argument("mode", type=click.Choice([*map(str, GPUMode), FILE]), required=False)
@click.option("--seats", type=click.IntRange(1, 64), help="With shared and auto: how many may have a seat at once.")
def mode(gpu: str, mode: str | None, seats: int | None) -> None:
    """Give a GPU out whole, by seats, by its MIG devices or to nobody; `file`: as himalia.toml says. For administrators.

    Without a mode it says how the GPU is given out.
    """
    if mode is None and seats is not None:
        raise LocalError("Seats go with a mode: say shared or auto as well.")
    with session() as client:
        uuid = _find(client, gpu).gpu
        if mode is None:
            view = client.gpu_mode(uuid)
        elif mode == FILE:
            view = client.unset_gpu_mode(uuid)
        else:
            view = client.set_gpu_mode(uuid, GPUMode(mode), seats)
    say(view.sentence)


@gpus.command("return")
@click.argument("gpu")
def give_back(gpu: str) -> None:
    """Give a GPU out again that was taken out or emptied, or that reported an error. For administrators."""
    with session() as client:
        slot = _find(client, gpu)
        client.return_gpu(slot.uuid)
    say(f"GPU {slot.index} is given out again as soon as it is seen to be free.")


@gpus.command()
@click.argument("gpu")
def ask(gpu: str) -> None:
    """Ask whoever holds a GPU that you wait for to give it back. They are told in JupyterLab, and may keep it."""
    with session() as client:
        asked = client.ask_for_gpu(_find(client, gpu).uuid)
    say(f"{asked.sentence} `himalia notices` shows the answer.")


@gpus.command("log")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def interventions(as_json: bool) -> None:
    """Show what administrators did to GPUs, the last first. For administrators."""
    with session() as client:
        found = client.interventions()
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one.at.astimezone():%Y-%m-%d %H:%M}  {printable(one.sentence)}")
    if not found:
        say("No administrator has done anything to a GPU yet.")


def _find(client: Client, named: str, *, alone: bool = False) -> SlotView:
    """Return the GPU of a number or a UUID; a number is that of one machine. `alone`: one slot of it, as in `0#2`."""
    view: GPUsView = client.gpus()
    found = [slot for slot in view.slots if named in (slot.uuid, slot.gpu, str(slot.index), _short(slot))]
    if len({(slot.node_id, slot.gpu) for slot in found}) != 1:
        several = "Several GPUs have" if found else "No GPU has"
        raise LocalError(f"{several} the number or UUID {named}. `himalia gpus --json` shows their UUIDs.")
    if alone and len(found) > 1:
        which = ", ".join(_short(slot) for slot in found if slot.holder)
        raise LocalError(f"GPU {named} is shared. Say which: {which or 'nobody has any of it'}.")
    return found[0]


def _short(slot: SlotView) -> str:
    """Return the short name of a part of a GPU, `0#2` for a seat; of a slice its UUID."""
    return f"{slot.index}#{slot.uuid.partition('#')[2]}" if slot.kind is SlotKind.SEAT else slot.uuid
