"""Somebody whom permissions stop, also where the tests run as root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def somebody_without_rights(*paths: Path) -> Iterator[None]:
    """Be somebody whom permissions stop, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    for path in paths:
        for above in (path, *path.parents):
            os.chmod(above, above.stat().st_mode | 0o055) if str(above).startswith("/tmp/") else None
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
