"""`himalia doctor` on a real platform's machine: well, and with one thing after the other broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from live_platform import LivePlatform, eventually

from himalia_spawner.platform.engine import belongings, remove_belongings, remove_rules
from himalia_spawner.platform.place import Place
from himalia_spawner.platform.starting import answers

HIMALIA = str(Path(sys.executable).parent / "himalia")
#: What a confined machine, or one without GPUs, may lack without harm.
NOTES = {"limits", "workspaces", "live-restore", "gpu driver", "gpu toolkit"}


def ask(config: Path, *words: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HIMALIA_")}
    clean["XDG_CONFIG_HOME"] = str(config.parent / "no-login")
    return subprocess.run(
        [HIMALIA, "doctor", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
        env=clean | environment,
    )


def found(live: LivePlatform, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and what came of each check."""
    done = ask(live.place.config, "--config", str(live.place.config), "--json", **environment)
    assert done.stderr == ""
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {row["check"]: row for row in rows}


def test_a_platform_that_runs_is_well(live):
    began = time.monotonic()

    code, rows = found(live)

    assert code == 0, rows
    assert {name for name, row in rows.items() if row["ok"] is not True} <= NOTES
    assert time.monotonic() - began < 20
    platform = live.place.site.platform
    for port in (platform.port, platform.proxy_api_port, platform.service_port, platform.hub_port):
        assert f"{port} ours" in rows["ports"]["message"]
    assert "4 × Simulated" in rows["gpus"]["message"]


def test_the_rules_are_shown_to_those_who_ask(live):
    done = ask(live.place.config, "--config", str(live.place.config), "-v")

    assert done.returncode == 0, done.stdout
    assert f"iptables -A himalia-{live.place.installation}-in -j REJECT" in done.stdout
    assert f"iptables -A DOCKER-USER -i hmj-{live.place.installation[:11]}" in done.stdout


def test_the_file_is_found_as_the_platform_finds_it(live):
    named = ask(live.place.config, HIMALIA_CONFIG=str(live.place.config))
    beside = ask(live.place.config, HIMALIA_DATA=str(live.place.config.parent))

    assert f"ok   settings: {live.place.config}" in named.stdout
    assert f"ok   settings: {live.place.config}" in beside.stdout


@pytest.mark.parametrize("program", ["hub", "proxy", "service"])
def test_a_process_that_is_down_is_told_with_what_to_do(live, program):
    with live.stopped(program):
        code, rows = found(live)
    live.start()  # it returns once all three answer

    assert code == 1
    assert rows[program]["ok"] is False
    assert "does not answer" in rows[program]["message"]
    assert f"{program}.log" in rows[program]["advice"]


def test_rules_that_somebody_flushed_are_told(live):
    remove_rules(live.place.installation)
    code, rows = found(live)
    live.kill("service")  # it puts them back when it starts, as it does every minute
    eventually(lambda: answers(f"{live.service_url}/health"))

    assert code == 1
    assert rows["firewall"]["ok"] is False
    assert f"himalia-{live.place.installation}-in is missing" in rows["firewall"]["message"]


def test_without_an_engine_there_is_one_fault_of_it_and_no_traceback(live):
    code, rows = found(live, DOCKER_HOST="unix:///nowhere/docker.sock")

    assert code == 1
    assert rows["docker"]["ok"] is False
    assert "systemctl start docker" in rows["docker"]["advice"]
    assert rows["images"]["message"] == "not looked at: the Docker Engine does not answer"
    assert rows["service"]["ok"] is True


def test_a_second_platform_on_the_same_ports_is_told_who_has_them(live, tmp_path):
    other = tmp_path / "himalia.toml"
    other.write_text(live.place.config.read_text())
    installation = Place.load(other).installation
    try:
        done = ask(other, "--config", str(other))
    finally:
        remove_belongings(installation, belongings(installation))

    assert done.returncode == 1
    port = live.place.site.platform.port
    assert f"{port} ([platform] port) is taken by node (process {live.pid('proxy')})" in done.stdout


def test_a_file_that_is_wrong_is_told(live, tmp_path):
    config = tmp_path / "himalia.toml"
    config.write_text("[platform]\nprot = 8000\n")

    done = ask(config, "--config", str(config))

    assert done.returncode == 1
    assert "platform.prot" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_in_a_notebooks_terminal_the_connection_is_checked(live, tmp_path):
    done = ask(
        tmp_path / "himalia.toml",
        folder=tmp_path,
        HIMALIA_API_URL=live.service_url,
        HIMALIA_TOKEN=live.person("ada").token,
    )

    assert done.returncode == 0, done.stdout
    assert "ok   token: logged in as ada" in done.stdout
    assert "docker" not in done.stdout
