"""Fixtures: a notebook server in this process (pytest-jupyter's), and the job service that it submits to.

`service`     a job service that takes submissions
`home`        the server's root directory; `storage` and `team` lie beside it
`ask`         sends a request to the extension as who is logged in, and gives status and JSON: `ask("POST", "preview", {…})`
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403  # its fixtures and hooks, for the tests of this folder alone
from receiving_service import ReceivingService

Ask = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
def service() -> Iterator[ReceivingService]:
    """A job service that takes submissions."""
    with ReceivingService().listening() as service:
        yield service


@pytest.fixture
def home(jp_root_dir: Path) -> Path:
    """The home of the person, with a directory that can be submitted."""
    (jp_root_dir / "digits").mkdir()
    (jp_root_dir / "digits" / "train.py").write_text("print('training')\n")
    return jp_root_dir


@pytest.fixture
def jp_server_config(
    home: Path, service: ReceivingService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A server with the extension, as the image sets it up."""
    for name in ("storage", "team", "cache"):
        (tmp_path / name).mkdir(exist_ok=True)
    monkeypatch.setenv("HIMALIA_API_URL", service.url)
    monkeypatch.setenv("HIMALIA_TOKEN", "ada")
    monkeypatch.setenv("HIMALIA_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("HIMALIA_TEAM", str(tmp_path / "team"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return {
        "ServerApp": {
            "jpserver_extensions": {"himalia_server_extension": True, "jupyter_server_terminals": False},
            "allow_unauthenticated_access": False,
        }
    }


@pytest.fixture
def ask(jp_asyncio_loop: Any, jp_fetch: Callable[..., Any]) -> Ask:
    """Asks the extension as one person, and gives status and body of whatever it answers."""
    # Without a cookie Jupyter takes each request for somebody new.
    greeting = jp_asyncio_loop.run_until_complete(jp_fetch("himalia/api/info"))
    cookie = "; ".join(line.split(";")[0] for line in greeting.headers.get_list("Set-Cookie"))

    async def send(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        text = body if isinstance(body, str) else None if body is None else json.dumps(body)
        answer = await jp_fetch(
            "himalia/api", path, method=method, body=text, headers={"Cookie": cookie}, raise_error=False
        )
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.code, json.loads(answer.body) if answer.body and is_json else None

    return send
