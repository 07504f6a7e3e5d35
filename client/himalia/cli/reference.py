"""The page docs/reference/cli.md, from the commands themselves: `make docs` writes it."""

from __future__ import annotations

import click

from .main import cli

WIDTH = 100


def reference() -> str:
    """Return the page."""
    lines = [
        "# Command line",
        "",
        "Written from the commands themselves by `make docs`.",
        "",
        *sections(cli, "himalia"),
    ]
    return "\n".join(lines).rstrip() + "\n"


def sections(command: click.Command, name: str, parent: click.Context | None = None) -> list[str]:
    """Return the help of a command and of those below it, the same on every terminal."""
    context = click.Context(
        command,
        info_name=name.rpartition(" ")[2],
        parent=parent,
        terminal_width=WIDTH,
        **command.context_settings,
    )
    lines = [f"## `{name}`", "", "```", command.get_help(context).rstrip(), "```", ""]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            inner = command.get_command(context, child)
            if inner is not None:
                lines += sections(inner, f"{name} {child}", context)
    return lines
