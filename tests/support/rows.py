"""Rows of the database as tests put them there."""

from __future__ import annotations

from typing import Any

from himalia.ids import new_id


def server_lease(**changes: Any) -> dict[str, Any]:
    """Return the columns of a lease that a server waits for."""
    return {
        "id": new_id(),
        "kind": "server",
        "node_id": "local",
        "user_id": "u",
        "user": "eve",
        "holder": "",
        "spawn_id": new_id(),
        "profile": "small",
        "cpus": 1.0,
        "memory_bytes": 1024**3,
        "gpus": "1",
        "teams": {},
        **changes,
    }
