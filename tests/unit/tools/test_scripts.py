"""What the scripts behind `make` say and do on machines of all kinds, which stand here as folders of pretended commands."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
USUAL = "basename bash env cat cp cut dirname find grep head ls mkdir mktemp paste rm sed seq sha256sum sleep sort tail timeout touch tr"
PACKAGES = ("gcc", "python3-venv")


class Machine:
    """A machine with the usual commands, and those that a test gives it; what is called is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.work = folder / "work"
        self.work.mkdir()
        self.log = folder / "calls"
        self.log.write_text("")
        for name in USUAL.split():
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.has("id", 'case "$1" in -u) echo 0 ;; *) echo root ;; esac')
        self.installed("")

    def has(self, name: str, script: str = "exit 0") -> None:
        """Give it a command."""
        file = self.bin / name
        file.unlink(missing_ok=True)
        file.write_text(f'#!/bin/bash\necho "{name} $*" >>{self.log}\n{script}\n')
        file.chmod(0o755)

    def installed(self, packages: str) -> None:
        """Say which Debian packages it has; `apt-get` gives it what it is asked for."""
        self.has("dpkg-query", f'[[ " {packages} " == *" ${{!#}} "* ]] && echo "install ok installed"')
        self.has("apt-get")

    def is_used_by(self, name: str) -> None:
        """Say that somebody who is not root sits there."""
        self.has("id", f'case "$1" in -u) echo 1000 ;; *) echo {name} ;; esac')

    def run(self, script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of our scripts there."""
        # Nothing of the real machine may be reached: a real second Engine would take the first one's socket away.
        nowhere = {
            "SBIN": "",
            "DOCKERD_PATH": str(self.bin),
            "SYSTEMD": str(self.folder / "systemd"),
            "DOCKER_SOCKET": str(self.folder / "socket"),
            "DOCKER_PIDFILE": str(self.folder / "docker.pid"),
            "PROC": str(self.folder / "proc"),
            "DOCKER_WAIT_TENTHS": "5",
        }
        return subprocess.run(
            [str(ROOT / "tools" / script), *words],
            env={"PATH": str(self.bin), "HOME": str(self.folder), **nowhere, **environment},
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        """What was called, in order."""
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a machine that has nothing."""
    return Machine(tmp_path)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port of 127.0.0.1 that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    """Give a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


ENGINE_RUNS = 'case "$1" in info) exit 0 ;; version) echo 26.1.5 ;; image) exit 1 ;; esac'
ENGINE_IS_DOWN = 'case "$1" in info) exit 1 ;; image) exit 1 ;; esac'


def announced(machine: Machine, port: int, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Announce the demo for a data directory of its own."""
    return machine.run("announce.sh", str(port), *PACKAGES, HIMALIA_DATA=str(tmp_path / "data"), **environment)


def test_the_demo_says_what_a_bare_machine_gets_and_changes_nothing_by_that(machine, free_port, tmp_path):
    done = announced(machine, free_port, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "installs Debian packages: gcc python3-venv" in done.stdout
    assert "installs a Docker Engine (Debian's docker.io), as there is none, and starts it" in done.stdout
    assert "builds the images himalia/base, himalia/lab and himalia/server" in done.stdout
    assert f"people reach them at 127.0.0.1:{free_port}" in done.stdout
    assert "It touches no driver" in done.stdout
    assert "minutes" in done.stdout
    assert not [call for call in machine.calls if call.startswith(("apt-get", "docker ", "sudo"))]
    assert not (tmp_path / "data").exists()


def test_the_demo_says_what_is_there_already(machine, free_port, tmp_path):
    machine.installed(" ".join(PACKAGES))
    machine.has("docker", ENGINE_RUNS.replace("image) exit 1", "image) exit 0"))

    done = announced(machine, free_port, tmp_path)

    assert "installs no Debian package" in done.stdout
    assert "uses the Docker Engine that runs (26.1.5), and changes no setting of it" in done.stdout
    assert "uses the image himalia/server:dev that is here" in done.stdout


def test_the_demo_does_not_say_that_all_is_here_when_only_the_engine_is_missing(machine, free_port, tmp_path):
    machine.installed(" ".join(PACKAGES))

    done = announced(machine, free_port, tmp_path)

    assert "installs no Debian package beside those of the Engine" in done.stdout
    assert "installs a Docker Engine (Debian's docker.io)" in done.stdout


def test_a_port_that_is_taken_is_told_before_anything_is_set_up(machine, taken_port, tmp_path):
    done = announced(machine, taken_port, tmp_path)

    assert done.returncode == 1
    assert f"Port {taken_port} of 127.0.0.1 is taken" in done.stderr
    assert "make demo PORT=8010" in done.stderr


def test_a_port_that_the_operator_has_set_is_told_with_its_setting(machine, taken_port, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "himalia.toml").write_text(f"[platform]\nport = {taken_port}\n")

    done = announced(machine, 8000, tmp_path)

    assert done.returncode == 1
    assert f"choose another `port` under [platform] in {tmp_path}/data/himalia.toml" in done.stderr


def test_the_port_of_the_platform_that_runs_here_is_not_held_against_it(machine, taken_port, tmp_path):
    (tmp_path / "data" / "run").mkdir(parents=True)
    (tmp_path / "data" / "run" / "supervisord.pid").write_text("1")

    assert announced(machine, taken_port, tmp_path).returncode == 0


def test_somebody_who_is_not_root_is_told_that_sudo_will_ask(machine, free_port, tmp_path):
    machine.is_used_by("ada")
    machine.has("sudo")

    done = announced(machine, free_port, tmp_path)

    assert done.returncode == 0
    assert "You are ada, not root: sudo asks for your password" in done.stdout


def test_without_root_and_without_sudo_it_ends_before_it_begins(machine, free_port, tmp_path):
    machine.is_used_by("ada")

    done = announced(machine, free_port, tmp_path)

    assert done.returncode == 1
    assert "Run this as root, or install sudo" in done.stdout


def test_roots_commands_go_through_sudo_for_others_with_our_settings(machine):
    machine.is_used_by("ada")
    machine.has("sudo")

    assert machine.run("as-root.sh", "docker", "info").returncode == 0
    (call,) = [call for call in machine.calls if call.startswith("sudo")]
    assert call.endswith(" docker info")
    assert "HIMALIA_DATA" in call


def test_roots_commands_say_what_to_do_where_there_is_no_sudo(machine):
    machine.is_used_by("ada")

    done = machine.run("as-root.sh", "/somewhere/himalia-platform", "up")

    assert done.returncode == 1
    assert "needs root" in done.stderr
    assert "(himalia-platform)" in done.stderr


def test_packages_that_are_missing_are_installed_and_none_is_ever_removed(machine):
    machine.installed("gcc")

    done = machine.run("apt.sh", *PACKAGES)

    assert done.returncode == 0, done.stderr
    (install,) = [call for call in machine.calls if "apt-get install" in call or call.startswith("apt-get install")]
    assert "--no-remove" in install
    assert install.endswith(" python3-venv")


def test_packages_that_are_there_are_left_alone(machine):
    machine.installed(" ".join(PACKAGES))

    assert machine.run("apt.sh", *PACKAGES).returncode == 0
    assert not [call for call in machine.calls if call.startswith("apt-get")]


def test_a_machine_without_apt_is_told_what_to_install(machine):
    (machine.bin / "apt-get").unlink()

    done = machine.run("apt.sh", *PACKAGES)

    assert done.returncode == 1
    assert "gcc python3-venv" in done.stderr


def test_an_engine_that_runs_is_used_as_it_is(machine):
    machine.has("docker", ENGINE_RUNS)  # no dockerd here: its socket comes from elsewhere

    assert machine.run("docker-up.sh").returncode == 0
    assert machine.calls == ["docker info"]


def test_an_engine_whose_socket_only_root_may_open_is_asked_as_root(machine):
    machine.is_used_by("ada")
    machine.has("dockerd")
    machine.has("docker", '[ -n "$AS_ROOT" ]')
    machine.has("sudo", 'shift; AS_ROOT=1 exec "$@"')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(machine.folder / "socket"))

        said = machine.run("docker-up.sh", "--say")
        done = machine.run("docker-up.sh")

    assert "ada may not open its socket" in said.stdout
    assert done.returncode == 0
    assert not [call for call in machine.calls if call.startswith(("apt-get", "dockerd"))]


def test_an_engine_that_is_installed_is_started_by_systemd(machine):
    (machine.folder / "systemd").mkdir()
    machine.has("dockerd")
    machine.has("systemctl", f"touch {machine.folder}/runs")
    machine.has("docker", f"[ -e {machine.folder}/runs ]")

    done = machine.run("docker-up.sh")

    assert done.returncode == 0, done.stderr
    assert "systemctl start docker" in machine.calls
    assert not [call for call in machine.calls if call.startswith(("apt-get", "dockerd"))]


def test_where_there_is_no_engine_one_is_installed(machine):
    machine.has(
        "apt-get",
        f"""
[ "$1" = install ] || exit 0
printf '#!/bin/bash\\nexit 0\\n' >{machine.bin}/docker; chmod 755 {machine.bin}/docker""".replace(
            "chmod", str(shutil.which("chmod"))
        ),
    )

    done = machine.run("docker-up.sh")

    assert done.returncode == 0, done.stderr
    assert any("--no-remove docker.io" in call for call in machine.calls)


def test_without_systemd_the_engine_is_started_with_its_own_pid_file_and_is_ours_to_stop(machine):
    machine.has("setsid", f"echo 4711 >{machine.folder}/docker.pid; sleep 1")
    machine.has("dockerd")
    machine.has("docker", f"[ -e {machine.folder}/docker.pid ]")

    done = machine.run("docker-up.sh")

    assert done.returncode == 0, done.stderr
    assert f"setsid dockerd --pidfile {machine.folder}/docker.pid" in machine.calls
    assert (machine.work / "build" / "dockerd.pid").read_text() == "4711\n"


def test_an_engine_that_does_not_start_is_told_with_its_own_words(machine):
    machine.has("dockerd")
    machine.has("setsid", "echo 'failed to mount the cgroups' >&2; exit 1")
    machine.has("docker", ENGINE_IS_DOWN)

    done = machine.run("docker-up.sh")

    assert done.returncode == 1
    assert "The Docker Engine did not start" in done.stderr
    assert "failed to mount the cgroups" in done.stderr


def test_a_second_engine_is_never_started_beside_one_that_does_not_answer(machine):
    for pid in ("self", "4711"):
        (machine.folder / "proc" / pid / "ns").mkdir(parents=True)
    (machine.folder / "proc" / "4711" / "comm").write_text("dockerd\n")
    (machine.folder / "proc" / "self" / "ns" / "pid").write_text("")
    (machine.folder / "proc" / "4711" / "ns" / "pid").hardlink_to(machine.folder / "proc" / "self" / "ns" / "pid")
    machine.has("dockerd")
    machine.has("setsid")
    machine.has("docker", ENGINE_IS_DOWN)

    done = machine.run("docker-up.sh")

    assert done.returncode == 1
    assert "(pid 4711) does not answer" in done.stderr
    assert not [call for call in machine.calls if call.startswith(("setsid", "dockerd", "systemctl"))]


def test_an_engine_that_we_did_not_start_is_never_stopped(machine):
    (machine.work / "build").mkdir()
    assert machine.run("docker-down.sh").returncode == 0

    # A pid that another program has by now.
    (machine.work / "build" / "dockerd.pid").write_text(str(os.getpid()))
    assert machine.run("docker-down.sh").returncode == 0

    assert not (machine.work / "build" / "dockerd.pid").exists()


def test_python_that_is_too_old_is_told(machine):
    machine.has("python3", '[ "$1" != -c ] || exit 1; echo Python 3.10.12')

    done = machine.run("venv.sh", PYTHON3=str(machine.bin / "python3"))

    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert "3.10.12" in done.stderr


def test_what_tests_leave_behind_is_told_and_removed_and_fails_them(machine):
    machine.has(
        "docker",
        f"""case "$1 $2" in
  "ps -a") echo "before container old"; [ ! -e {machine.folder}/left ] || echo "during container forgotten" ;;
  *) : ;;
esac""",
    )

    clean = machine.run("leftovers.sh", "bash", "-c", "exit 0")
    dirty = machine.run("leftovers.sh", "touch", str(machine.folder / "left"))
    failed = machine.run("leftovers.sh", "bash", "-c", "exit 3")

    assert (clean.returncode, clean.stderr) == (0, "")
    assert dirty.returncode == 1
    assert dirty.stderr == "left behind: container forgotten\n"
    assert "docker rm -f -v forgotten" in machine.calls
    assert "docker rm -f -v old" not in machine.calls
    assert failed.returncode == 3


def test_a_platform_that_somebody_starts_beside_the_tests_is_no_leftover(machine):
    started = machine.folder / "started"
    machine.has("docker", f'[ "$1 $2" != "ps -a" ] || [ ! -e {started} ] || echo "theirs container server"')
    process = machine.folder / "proc" / "12"
    process.mkdir(parents=True)
    (process / "cmdline").write_text("python3\0/srv/himalia/bin/himalia-service\0")
    with tempfile.TemporaryDirectory() as data:  # not one of the tests' own directories
        (process / "environ").write_text(f"HOME=/root\0HIMALIA_DATA={data}\0")
        secrets = Path(data, "secrets")
        secrets.mkdir()
        (secrets / "installation").write_text("theirs\n")

        done = machine.run("leftovers.sh", "touch", str(started))

    assert (done.returncode, done.stderr) == (0, "")
    assert "docker rm -f -v server" not in machine.calls
