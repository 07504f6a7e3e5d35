"""The launcher's file: where it was built, and where containers mount it."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..layout import DataLayout
from ..settings import launcher_from_environment
from .containers import LAUNCHER_NAME
from .errors import EngineError


def find_launcher(given: Path | None) -> Path:
    """Return the launcher that was built: the one that is named, the environment's, or the checkout's."""
    checkout = Path(__file__).resolve().parents[3] / "build" / "launcher" / LAUNCHER_NAME
    for place in (given, launcher_from_environment(), checkout):
        if place is not None and place.is_file():
            return place
    raise EngineError(f"the launcher is not built: {checkout} is missing. Run `make build/launcher/himalia-launcher`")


def install_launcher(layout: DataLayout, given: Path | None) -> None:
    """Put the launcher where containers mount it; those that run keep the one they started with."""
    source = find_launcher(given)
    layout.launcher.mkdir(parents=True, exist_ok=True)
    target = layout.launcher / LAUNCHER_NAME
    if target.exists() and target.read_bytes() == source.read_bytes():
        return
    draft = target.with_suffix(".new")
    shutil.copyfile(source, draft)
    draft.chmod(0o755)
    draft.rename(target)
    layout.launcher.chmod(0o755)
