"""The GPUs as a table that fits a terminal of 80 columns, also when there are 64; and the words below it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from ..models import GPUsView, SlotView, WaiterView
from ..moments import localised, stamp
from ..units import GiB, format_duration, format_size
from .output import WIDE, printable, say, why

ROWS_ABOVE = 4  #: the summary, the model, the names of the columns, and one that stays empty
GAP = 2
GIVING_WAY = (("MODEL", 12), ("HELD BY", 12), ("MODEL", 4))  #: and how narrow they may become, one after the other
JUSTIFY: dict[str, JustifyMethod] = {"MODEL": "left", "HELD BY": "left", "UNTIL AT MOST": "left"}
STYLES = {"free": "green", "held": "", "kept": "red"}


def print_gpus(view: GPUsView) -> None:
    """Print everything once: the table on stdout, the words on stderr."""
    if view.slots:
        screen = console()
        screen.print(table_of(view, width=screen.width if sys.stdout.isatty() else None))
    for line in words_of(view):
        say(line)


def console() -> Console:
    """Return what to print with: a program that reads it gets one line for each GPU, however long."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def screen_of(view: GPUsView, rows: int, width: int, now: str) -> RenderableType:
    """Return what a terminal of so many rows and columns shows; what does not fit is counted."""
    words = words_of(view)
    for_words = min(len(words), max(3, rows // 3))
    room = max(1, rows - ROWS_ABOVE - for_words)
    shown = view.slots if len(view.slots) <= room else view.slots[: room - 1]
    parts: list[RenderableType] = [Text(f"{summary_of(view)}   {now}", style="bold")]
    if view.slots:
        parts.append(table_of(view, shown, width))
    if len(shown) < len(view.slots):
        parts.append(Text(f"{len(view.slots) - len(shown)} more GPUs; enlarge the window to see them.", style="dim"))
    free = max(0, rows - ROWS_ABOVE - min(len(view.slots), room))
    parts += [Text(printable(line), no_wrap=True, overflow="ellipsis") for line in words[:free]]
    return Group(*parts)


def summary_of(view: GPUsView) -> str:
    """Return what is free and who waits, in a few words."""
    waiting = f", {len(view.queue)} waiting" if view.queue else ""
    return f"{view.free} of {view.gpus} GPUs free{waiting}"


def table_of(view: GPUsView, shown: Sequence[SlotView] | None = None, width: int | None = None) -> Table:
    """Return the GPUs as a table, of so many columns at most; their model has a column only where they differ."""
    slots = view.slots if shown is None else shown
    models = Counter((slot.model, slot.memory_bytes, slot.simulated) for slot in view.slots)
    several = len(models) > 1
    names = ["GPU", *(["MODEL"] if several else []), "MEMORY", "BUSY", "°C", "HELD BY", "UNTIL AT MOST"]
    rows = [_cells(slot, with_model=several) for slot in slots]
    table = Table(box=None, header_style="bold", padding=(0, GAP, 0, 0), pad_edge=False)
    for name, columns in zip(names, _widths(names, rows, width), strict=True):
        table.add_column(name, justify=JUSTIFY.get(name, "right"), no_wrap=True, overflow="ellipsis", width=columns)
    for slot, cells in zip(slots, rows, strict=True):
        *others, holder, until = (printable(cell).replace("\n", " ") for cell in cells)
        table.add_row(*map(Text, others), Text(holder, style=STYLES[state_of(slot)]), Text(until))
    if len(models) == 1:
        (model, memory, simulated) = next(iter(models))
        title = f"{view.gpus} × {model}, {format_size(memory)}{', simulated' * simulated}"
        table.title, table.title_justify, table.title_style = Text(printable(title)), "left", ""
    return table


def words_of(view: GPUsView) -> list[str]:
    """Return the lines below the table: what keeps GPUs back, who runs there, what is ahead, who waits."""
    lines = [line for slot in view.slots for line in _slot_words(slot)]
    lines += [view.note] if view.note else []
    lines += [localised(notice.text) for notice in view.notices]
    lines += [
        f"{node.cpus_free:g} of {node.cpus:g} CPUs and {format_size(node.memory_free_bytes)} of "
        f"{format_size(node.memory_bytes)} memory are free."
        for node in view.nodes
    ]
    return lines + [_waiter_words(waiter) for waiter in view.queue]


def state_of(slot: SlotView) -> str:
    """Return `free`, `held` or `kept` (back)."""
    if slot.holder:
        return "held"
    return "free" if slot.health == "ok" else "kept"


def _widths(names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the columns' widths: names give way where there is little room, numbers and times never do."""
    widest = [max([len(name), *(len(row[place]) for row in rows)]) for place, name in enumerate(names)]
    if width is None:
        return widest
    for name, least in GIVING_WAY:
        if name in names:
            over = sum(widest) + GAP * (len(names) - 1) - width
            place = names.index(name)
            widest[place] = max(min(least, widest[place]), widest[place] - max(0, over))
    return widest


def _cells(slot: SlotView, *, with_model: bool) -> list[str]:
    model = [f"{slot.model} (simulated)" if slot.simulated else slot.model] if with_model else []
    busy = "" if slot.busy_percent is None else f"{slot.busy_percent} %"
    heat = "" if slot.temperature_celsius is None else str(slot.temperature_celsius)
    until = localised(stamp(slot.until)) if slot.until else _idle(slot)
    return [slot.name.removeprefix("GPU "), *model, _memory(slot), busy, heat, _held(slot), until]


def _memory(slot: SlotView) -> str:
    whole = f"{slot.share_bytes / GiB:.0f} GB"
    if slot.memory_used_bytes is None:
        return whole
    used = slot.memory_used_bytes / GiB
    return f"{used:.0f}/{whole}" if used >= 10 or used == 0 else f"{used:.1f}/{whole}"


def _held(slot: SlotView) -> str:
    if slot.holder is None:
        return "free" if slot.health == "ok" else str(slot.health)
    kept = "" if slot.health == "ok" else f" ({slot.health})"
    return f"{slot.holder}{' (ending)' if slot.ending else ''}{kept}"


def _idle(slot: SlotView) -> str:
    return "" if slot.idle_seconds is None else f"idle {format_duration(slot.idle_seconds)}"


def _slot_words(slot: SlotView) -> Iterable[str]:
    """Say what keeps a GPU back, and to administrators what runs on it."""
    if slot.health != "ok":
        yield f"{slot.name} ({slot.uuid}) is {slot.health}. {slot.health_detail}".rstrip()
    if slot.over_share:
        used, share = format_size(slot.memory_used_bytes or 0), format_size(slot.share_bytes)
        yield f"{slot.name}: {slot.holder} uses {used}, more than its share of {share}; shared memory is not fenced."
    for process in slot.processes:
        where = f"container {process.container}" if process.container else f"user {process.user}"
        memory = "" if process.memory_bytes is None else f", {format_size(process.memory_bytes)}"
        yield f"{slot.name}: {process.command or 'process'} ({process.pid}, {where}{memory})"


def _waiter_words(waiter: WaiterView) -> str:
    who = waiter.job or waiter.name or waiter.kind
    return f"{who} {waiter.user}: {why(waiter)}".strip()
