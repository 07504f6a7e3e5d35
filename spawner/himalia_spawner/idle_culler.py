"""The hub's own `jupyterhub-idle-culler`, with our answer to what is idle: servers without GPUs that nobody uses are stopped.

The hub starts it, as a service of its own, and starts it again when it ends. How long a server has been idle is asked of
the job service, which asks the kernels: an open tab is no use, a computation that says nothing for a day is. Servers with
GPUs are left to the job service, which tells their owners before.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import httpx
from jupyterhub_idle_culler import IdleCuller

from himalia.models import ServerView

from .settings import service_connection

TIMEOUT_SECONDS = 10.0
DIES_WITH_PARENT = 1  #: PR_SET_PDEATHSIG


def is_idle(
    server: Mapping[str, Any], known: Mapping[tuple[str, str], ServerView], inactive: timedelta | None, limit: float
) -> bool:
    """Tell whether a server is to be stopped; one that the job service does not know is judged by the hub's own word."""
    found = known.get(name_of(server))
    if found is None:
        return inactive is not None and inactive.total_seconds() >= limit
    return not found.gpus and found.idle_seconds >= limit


def name_of(server: Mapping[str, Any]) -> tuple[str, str]:
    """Return whose server this is, and its name, from its address in the hub."""
    parts = [unquote(part) for part in str(server.get("url") or "").strip("/").split("/")]
    after = parts[parts.index("user") + 1 :] if "user" in parts else []
    return (after[0] if after else ""), str(server.get("name") or "")


async def arbiter(*, inactive: timedelta | None, inactive_limit: float, server: Mapping[str, Any], **_: Any) -> bool:
    """Tell the culler whether to stop a server; while the job service is silent, none is."""
    url, token = service_connection()
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
            answer = await http.get(f"{url}/servers", headers={"Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            found = [ServerView.model_validate(one) for one in answer.json()["servers"]]
    except (httpx.HTTPError, ValueError, KeyError):
        return False
    return is_idle(server, {(one.user, one.server): one for one in found}, inactive, inactive_limit)


def main() -> None:
    """Run the culler until the hub that started it ends."""
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGTERM)
    # The hub ends it by this signal, which is ignored in all that a script starts in the background.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.getppid() == 1:
        return  # the hub has gone already
    culler = IdleCuller.instance()
    culler.config_file = ""
    culler.cull_arbiter_hook = arbiter
    culler.initialize()
    culler.start()


if __name__ == "__main__":
    main()
