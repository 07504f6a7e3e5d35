"""What long runs of faults came to: told as a table once all tests are over."""

from __future__ import annotations

FIGURES: list[tuple[str, str]] = []


def tell_figure(what: str, figure: str) -> None:
    """Add a line to the table."""
    FIGURES.append((what, figure))


def table() -> str:
    """Return all lines; empty where nothing was told."""
    width = max((len(what) for what, _ in FIGURES), default=0)
    return "\n".join(f"{what:<{width}}  {figure}" for what, figure in FIGURES)
