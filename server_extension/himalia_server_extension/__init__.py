"""Himalia in each notebook server: packs the directory in front of a person and submits it as a job."""

from __future__ import annotations

from .app import HimaliaExtension

__all__ = ["HimaliaExtension"]


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Tell Jupyter Server where the extension is."""
    return [{"module": "himalia_server_extension", "app": HimaliaExtension}]
