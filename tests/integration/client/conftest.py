"""Fixtures for the client against a real platform.

`shell`     the installed `himalia` in a home of its own: `shell("jobs", "--json")`, as ada unless another is named
`code`      a small directory to submit
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from live_platform import LivePlatform

HIMALIA = Path(sys.executable).with_name("himalia")
TIMEOUT_SECONDS = 240


class Shell:
    """A terminal in front of a directory."""

    def __init__(self, url: str, token: str, home: Path, folder: Path) -> None:
        self.folder = folder
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("HIMALIA_", "XDG_", "JUPYTER"))
        }
        path = f"{HIMALIA.parent}{os.pathsep}{kept.get('PATH', '')}"
        own = {"HOME": str(home), "HIMALIA_API_URL": url, "HIMALIA_TOKEN": token, "LC_ALL": "C.UTF-8", "PATH": path}
        self.env = kept | own
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(
        self, *words: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [HIMALIA, *words],
            cwd=self.folder,
            env=self.env | (env or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )

    def json(self, *words: str) -> list[dict[str, Any]]:
        """Run a command and return its JSON lines."""
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command as a terminal would, and go on."""
        process = subprocess.Popen(
            [HIMALIA, *words],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A run in the background may have been started with Ctrl-C ignored, and would pass that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """End what still runs."""
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A small directory to submit."""
    folder = tmp_path / "cli-digits"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "__init__.py").write_text("GREETING = 'hello from a job'\n")
    (folder / "train.py").write_text(
        "import sys\nfrom pkg import GREETING\nprint(GREETING)\nopen('/artifacts/model.txt', 'w').write('42')\n"
        "sys.exit(int(sys.argv[1]) if sys.argv[1:] else 0)\n"
    )
    return folder


@pytest.fixture
def shell(live: LivePlatform, tmp_path: Path, code: Path) -> Iterator[Callable[..., Any]]:
    """The installed `himalia`."""
    home = tmp_path / "home"
    home.mkdir()
    shell = Shell(live.service_url, live.person("ada").token, home, code)
    yield shell
    shell.end()
