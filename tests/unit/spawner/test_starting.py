"""Starting, stopping and removing a platform: under systemd, after the supervisor's death, and only when it was meant."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from himalia.errors import LocalError
from himalia_spawner.passwords import load_passwords
from himalia_spawner.platform import cli, demo, orphans, starting, systemd, units
from himalia_spawner.platform.logins import first_login
from himalia_spawner.platform.place import Place, write_config
from himalia_spawner.platform.programs import Program
from himalia_spawner.platform.systemd import UNITS, has_units
from himalia_spawner.settings import caller

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a systemd that takes every command, with a directory of units; what it was told is kept in this file."""
    programs, log = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    log.write_text("")
    systemctl = programs / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >>{log}\n[ "$1" != is-active ] || echo active\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "UNITS_DIR", tmp_path / "units")
    monkeypatch.setattr(units, "SYSTEMD_RUNS", tmp_path)
    monkeypatch.setattr(starting, "answers", lambda url: True)
    monkeypatch.setattr(starting, "health", lambda place: [])
    return log


@pytest.fixture
def lonely(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process of the installation whose supervisor is gone."""
    command = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
    program = Program(name="service", title="job service", command=command, ready_url="")
    monkeypatch.setattr(orphans, "programs", lambda place: (program,))
    monkeypatch.setattr(orphans, "proxy_command", lambda place: ["no such program"])
    environment = {**os.environ, "HIMALIA_CONFIG": str(place.config)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is itself from here on; before, it could still be a copy of this process
        yield process
        process.kill()


def installed(place: Place, units_dir: Path) -> list[str]:
    """Write the units."""
    said: list[str] = []
    units.install(place, said.append, units_dir=units_dir, start=False)
    return said


def test_up_and_down_go_through_systemd_where_the_units_are(place, calls, tmp_path):
    installed(place, tmp_path / "units")
    said: list[str] = []

    starting.bring_up(place, said.append)
    starting.bring_down(place, said.append, everything=False)

    assert calls.read_text().splitlines() == [f"start {' '.join(UNITS)}", f"stop {' '.join(UNITS)}"]
    assert "under systemd" in said[0]
    assert not place.run_dir.joinpath("supervisord.pid").exists()


def test_units_of_another_installation_are_not_ours(place, calls, tmp_path):
    other = tmp_path / "other" / "himalia.toml"
    write_config(other)
    installed(Place.load(other), tmp_path / "units")

    assert has_units(Place.load(other))
    assert not has_units(place)


def test_installing_makes_what_a_unit_may_not_write(place, calls, tmp_path):
    installed(place, tmp_path / "units")

    assert stat.S_IMODE((place.site.data / "secrets" / "installation").stat().st_mode) == 0o600


def test_installing_starts_the_units_and_removing_them_tells_systemd(place, calls, tmp_path, monkeypatch):
    monkeypatch.setattr(units, "_must_suit_systemd", lambda place: None)

    units.install(place, lambda _: None, units_dir=tmp_path / "units")
    units.uninstall(lambda _: None, units_dir=tmp_path / "units")

    assert calls.read_text().splitlines() == [
        "daemon-reload",
        f"enable --now {' '.join(UNITS)}",
        f"disable --now {' '.join(UNITS)}",
        "daemon-reload",
    ]
    assert list((tmp_path / "units").iterdir()) == []


def test_a_machine_without_systemd_is_told_what_to_use(place, calls, tmp_path, monkeypatch):
    monkeypatch.setattr(units, "SYSTEMD_RUNS", tmp_path / "missing")

    with pytest.raises(LocalError, match="himalia-platform up"):
        units.install(place, print, units_dir=tmp_path / "units")
    assert not (tmp_path / "units").exists()


def test_what_lies_in_tmp_is_refused_because_units_have_another_tmp(calls, monkeypatch, tmp_path):
    config = Path("/tmp/himalia-no-such-place/himalia.toml")
    place = Place(config, Place.load(_written(tmp_path / "x" / "himalia.toml")).site.model_copy())
    site = place.site.model_copy(
        update={"platform": place.site.platform.model_copy(update={"data": Path("/tmp/himalia-no-such-place")})}
    )

    with pytest.raises(LocalError, match="lies in /tmp"):
        units._must_suit_systemd(Place(config, site))


def test_processes_whose_supervisor_was_killed_are_found_and_ended(place, lonely):
    said: list[str] = []
    assert orphans.orphans(place) == [lonely.pid]

    starting.bring_down(place, said.append, everything=False)

    assert lonely.wait(10) == -signal.SIGTERM
    assert "had lost their supervisor" in said[0]


def test_processes_of_another_installation_are_left_alone(place, lonely, tmp_path):
    other = Place.load(_written(tmp_path / "other" / "himalia.toml"))

    assert orphans.end_orphans(other) == 0
    assert lonely.poll() is None


def test_the_password_is_shown_once_and_kept_for_root_alone(place):
    first, second = first_login(place), first_login(place)

    password = load_passwords(place.site.data).user
    assert password in first
    assert password not in second
    assert str(place.site.data / "secrets" / "login_password") in second
    assert stat.S_IMODE((place.site.data / "secrets" / "login_password").stat().st_mode) == 0o600


def test_purge_asks_and_does_nothing_without_a_yes(place, monkeypatch):
    purged: list[Place] = []
    monkeypatch.setattr(cli, "what_would_go", lambda place: "This ends and removes, for good: everything")
    monkeypatch.setattr(cli, "purge", lambda place, say: purged.append(place))
    words = ["--config", str(place.config), "purge"]

    no = CliRunner().invoke(cli.cli, words, input="n\n")
    nothing_said = CliRunner().invoke(cli.cli, words, input="")
    refused = purged.copy()
    yes = CliRunner().invoke(cli.cli, words, input="y\n")

    assert "for good" in no.output and no.output.endswith("Nothing was removed.\n")
    assert (no.exit_code, nothing_said.exit_code, refused) == (0, 1, [])
    assert (yes.exit_code, len(purged)) == (0, 1)


def test_the_demos_port_is_written_into_a_new_file(tmp_path, monkeypatch):
    config = tmp_path / "himalia.toml"

    write_config(config, demo.what_differs(8010))

    assert Place.load(config).site.platform.port == 8010


def test_the_demos_port_does_not_change_a_file_that_is_there(place):
    with pytest.raises(LocalError, match="Change `port` under"):
        demo.run_demo(place.config, lambda _: None, port=8010)


@pytest.mark.parametrize(("uid", "found"), [("1234", (1234, 1235)), ("", None)])
def test_what_the_demo_fetches_belongs_to_who_asked_for_it(monkeypatch, uid, found):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", uid)
    monkeypatch.setenv("SUDO_GID", "1235")

    assert caller() == found


def test_somebody_who_may_not_read_it_is_told_to_be_root(monkeypatch, capsys, tmp_path):
    def refuse() -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "data"))

    monkeypatch.setattr(cli, "cli", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 1
    assert "Run this as root, or with sudo" in capsys.readouterr().err


def _written(config: Path) -> Path:
    write_config(config)
    return config
