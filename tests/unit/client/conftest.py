"""Fixtures for the client's unit tests.

`home`      a home directory of one's own; nothing of the machine's is read or written
`service`   a job service in memory that the client talks to
`code`      a small directory to submit
`himalia`   runs the command line: `himalia("jobs", "--json")` gives its code, output and words
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from job_service import TOKEN, URL, FakeService

from himalia.cli import main
from himalia.client.http import Http

PAUSES = [
    "himalia.client.http.FIRST_PAUSE_SECONDS",
    "himalia.client.patience.PAUSE_SECONDS",
    "himalia.snapshot.send.PAUSE_SECONDS",
    "himalia.sdk.FIRST_LOOK_SECONDS",
    "himalia.sdk.SLOWEST_LOOK_SECONDS",
    "himalia.cli.following.FIRST_LOOK_SECONDS",
    "himalia.cli.following.SLOWEST_LOOK_SECONDS",
]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a command."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of one's own."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HIMALIA_TOKEN", "HIMALIA_API_URL", "JUPYTERHUB_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for module, _, name in (pause.rpartition(".") for pause in PAUSES):
        monkeypatch.setattr(import_module(module), name, 0.001)
    return home


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """A job service in memory, and an environment that points to it."""
    fake = FakeService()
    monkeypatch.setattr(Http, "transport", httpx.MockTransport(fake))
    monkeypatch.setenv("HIMALIA_API_URL", URL)
    monkeypatch.setenv("HIMALIA_TOKEN", TOKEN)
    return fake


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small directory to submit, in front of the person."""
    folder = tmp_path / "digits"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text("print('hello')\n")
    (folder / "pkg" / "__init__.py").write_text("")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def himalia(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Outcome]:
    """Runs the command line as a person would."""

    def run(*words: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["himalia", *words])
        monkeypatch.setattr(sys, "stdin", StringIO(stdin))
        with pytest.raises(SystemExit) as end:
            main()
        said = capsysbinary.readouterr()
        return Outcome(code=int(end.value.code or 0), out=said.out, err=said.err.decode())

    return run
