"""Snapshots, the sender's side: walk a directory, leave out what is ignored, hash, and send what is missing."""

from __future__ import annotations

from .found import LeftOut, Scan
from .naming import project_name
from .pack import Packed, pack
from .scan import refuse_too_large, scan
from .send import Progress, SnapshotTransport, send

__all__ = [
    "LeftOut",
    "Packed",
    "Progress",
    "Scan",
    "SnapshotTransport",
    "pack",
    "project_name",
    "refuse_too_large",
    "scan",
    "send",
]
