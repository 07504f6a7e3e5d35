"""How a command is found and started, and what a person is told when it cannot be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

IS_ROOT = os.geteuid() == 0

#: As a job's container runs: a plain user without any right. Who is not root has none anyway.
BECOME_PLAIN_USER = ("--reuid=1000", "--regid=100", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all")
AS_PLAIN_USER = ("setpriv", *(BECOME_PLAIN_USER if IS_ROOT else ()), "--no-new-privs")

#: Make the least that a container has, without a shell, and go there.
IN_A_BARE_ROOT = """
root="$1"; shift
touch "$root/dev/null"; mount --bind /dev/null "$root/dev/null"
exec chroot "$root" "$@"
"""


def write_script(path: Path, text: str, mode: int = 0o755) -> Path:
    """Write a script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.fault(23)
@pytest.mark.parametrize("name", ["python33", "./python33", "/usr/bin/python33", "", "no such/place"])
def test_a_command_that_is_not_there_gives_127_and_a_sentence(start: Any, name: str) -> None:
    run = start(name).end()

    assert run.log == f"himalia: {name}: command not found\n".encode()
    assert run.code == run.record["code"] == 127
    assert run.record["log_bytes"] == len(run.log)


@pytest.mark.fault(23)
def test_a_file_that_is_not_executable_gives_126_and_what_to_do(start: Any, tmp_path: Path) -> None:
    script = write_script(tmp_path / "train.py", "print(1)", mode=0o644)

    run = start(str(script)).end()

    assert run.log == f"himalia: {script}: not executable (try chmod +x, or name its interpreter before it)\n".encode()
    assert run.code == run.record["code"] == 126


def test_a_directory_is_no_command(start: Any, tmp_path: Path) -> None:
    run = start(str(tmp_path)).end()

    assert run.code == 126
    assert b"not executable" in run.log


def test_a_script_whose_interpreter_is_missing_gives_126_and_says_so(start: Any, tmp_path: Path) -> None:
    script = write_script(tmp_path / "script", "#!/usr/bin/python33\n")

    run = start(str(script)).end()

    assert run.log == f"himalia: {script}: cannot be run: the interpreter in its first line is not there\n".encode()
    assert run.code == 126


def test_a_script_without_a_first_line_runs_as_in_a_shell(start: Any, tmp_path: Path) -> None:
    script = write_script(tmp_path / "script", 'echo "got $1"; exit 7')

    run = start(str(script), "an argument").end()

    assert (run.code, run.log) == (7, b"got an argument\n")


def test_a_command_is_looked_for_in_the_path_of_the_environment(start: Any, tmp_path: Path) -> None:
    write_script(tmp_path / "plain" / "train", "echo not this one", mode=0o644)
    write_script(tmp_path / "first" / "train", "#!/bin/sh\necho first")
    write_script(tmp_path / "second" / "train", "#!/bin/sh\necho second")

    run = start("train", env={"PATH": f"/nowhere:{tmp_path}/plain:{tmp_path}/first:{tmp_path}/second"}).end()

    assert run.log == b"first\n"


def test_a_file_in_the_path_that_is_not_executable_gives_126(start: Any, tmp_path: Path) -> None:
    write_script(tmp_path / "plain" / "train", "echo", mode=0o644)

    run = start("train", env={"PATH": f"{tmp_path}/plain:/nowhere"}).end()

    assert run.code == 126


def test_an_empty_place_in_the_path_is_the_working_directory(start: Any, tmp_path: Path) -> None:
    write_script(tmp_path / "work" / "train", "#!/bin/sh\necho here")

    run = start("train", env={"PATH": "/nowhere:"}, options=["--workdir", str(tmp_path / "work")]).end()

    assert run.log == b"here\n"


def test_without_a_path_the_usual_places_are_looked_in(start: Any) -> None:
    run = start("echo", "hello", env={}).end()

    assert run.log == b"hello\n"


@pytest.mark.fault(86)
def test_a_command_gets_its_arguments_and_environment_as_they_are(start: Any, tmp_path: Path) -> None:
    script = write_script(tmp_path / "show", '#!/bin/sh\nprintf "%s|" "$@" "$NAME"')

    run = start(str(script), "a b", "", "$HOME", "--log", "ü\n", env={"NAME": "its value"}).end()

    assert run.log.decode() == "a b||$HOME|--log|ü\n|its value|"


def test_a_job_starts_in_its_working_directory(start: Any, tmp_path: Path) -> None:
    run = start("pwd", "-P", options=["--workdir", str(tmp_path)]).end()

    assert run.log.decode().strip() == str(tmp_path.resolve())


@pytest.mark.fault(88)
@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.touch()], ids=["missing", "a file"])
def test_a_working_directory_that_is_none_gives_125_and_a_sentence(start: Any, tmp_path: Path, make: Any) -> None:
    make(tmp_path / "work")

    run = start("touch", str(tmp_path / "ran"), options=["--workdir", str(tmp_path / "work")]).end()

    assert run.log.startswith(f"himalia: {tmp_path}/work: cannot work in this directory: ".encode())
    assert run.code == run.record["code"] == 125
    assert not (tmp_path / "ran").exists()


def test_directories_are_made_with_those_above_them(start: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    wanted = [tmp_path / "there", tmp_path / "a" / "b" / "c", tmp_path / "work" / "sub"]
    options = [word for path in wanted for word in ("--mkdir", str(path))]

    run = start("pwd", options=[*options, "--workdir", str(tmp_path / "work" / "sub")]).end()

    assert run.code == 0
    assert all(path.is_dir() for path in wanted)


def test_a_directory_that_cannot_be_made_gives_125_and_a_sentence(start: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    run = start("true", options=["--mkdir", str(tmp_path / "file" / "sub")]).end()

    assert run.log == f"himalia: {tmp_path}/file/sub: the directory cannot be made: Not a directory\n".encode()
    assert run.code == 125


@pytest.mark.parametrize(
    "option",
    ["--grace=soon", "--grace=-1", "--grace=nan", "--grace=inf", "--grace=", "--colour=red"],
)
def test_an_option_that_makes_no_sense_gives_125_and_the_usage(start: Any, option: str) -> None:
    run = start("true", options=[option]).end()

    assert run.code == 125
    assert b"usage: --log FILE --exit FILE" in run.stderr
    assert not run.exit_path.exists()


def test_no_command_gives_125_and_the_usage(start: Any) -> None:
    run = start().end()

    assert run.code == 125
    assert b"usage: " in run.stderr


@pytest.fixture
def start_as_plain_user(start: Any, open_directory: Path) -> Any:
    """The same as `start`, in a directory that a plain user can use."""
    start.binary, start.directory = shutil.copy(start.binary, open_directory), open_directory / "run"
    start.directory.mkdir()
    if IS_ROOT:
        os.chown(start.directory, 1000, 100)
    return start


def test_it_runs_as_a_plain_user_without_any_right(start_as_plain_user: Any) -> None:
    script = "id -u; echo x > /dev/stderr; setsid sleep 1000 & grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    run = start_as_plain_user.sh(script, before=AS_PLAIN_USER)

    uid = 1000 if IS_ROOT else os.geteuid()
    assert run.end().log.split() == [str(uid).encode(), b"x", b"CapEff:", b"0" * 16, b"NoNewPrivs:", b"1"]
    assert (run.code, run.stderr) == (0, b"")
    assert run.exit_path.stat().st_uid == uid


@pytest.mark.fault(52)
def test_a_job_cannot_reach_the_files_of_the_launcher(start_as_plain_user: Any) -> None:
    run = start_as_plain_user.sh("ls /proc/$PPID/fd", before=AS_PLAIN_USER).end()

    assert b"Permission denied" in run.log


def test_a_job_has_a_session_of_its_own(start: Any) -> None:
    run = start.sh("read -r pid name state parent group session rest < /proc/$$/stat; echo $(($$ - session))").end()

    assert run.log == b"0\n"


@pytest.mark.parametrize(
    ("command", "ends"), [("python33", (127, b"himalia: python33: command not found\n")), ("train", (0, b"found\n"))]
)
def test_a_directory_in_the_path_that_may_not_be_read_is_passed_over(
    start_as_plain_user: Any, open_directory: Path, command: str, ends: tuple[int, bytes]
) -> None:
    (open_directory / "closed").mkdir(mode=0)
    write_script(open_directory / "bin" / "train", "#!/bin/sh\necho found")

    # setpriv itself has to be found too.
    path = f"{open_directory}/closed:{open_directory}/bin:{os.environ['PATH']}"
    run = start_as_plain_user(command, before=AS_PLAIN_USER, env={"PATH": path}).end()

    assert (run.code, run.log) == ends


def test_it_runs_where_there_is_no_shell_no_library_and_no_proc(
    start: Any, tmp_path: Path, private_mounts: tuple[str, ...], pid_1: tuple[str, ...]
) -> None:
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    (root / "run").mkdir()
    shutil.copy(start.binary, root / "launcher")

    # The launcher itself is the only static program at hand: its usage is what the job prints.
    run = start_in_bare_root(start, root, (*private_mounts, *pid_1), ["/launcher", "--help"]).end()

    assert b"usage: --log FILE" in (root / "run" / "log").read_bytes()
    assert run.code == 125
    assert b'"code":125' in (root / "run" / "exit").read_bytes()


def test_a_shell_that_is_not_in_the_image_gives_127_and_a_sentence(
    start: Any, tmp_path: Path, private_mounts: tuple[str, ...], pid_1: tuple[str, ...]
) -> None:
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    (root / "run").mkdir()
    shutil.copy(start.binary, root / "launcher")

    run = start_in_bare_root(start, root, (*private_mounts, *pid_1), ["sh", "-c", "true"]).end()

    assert run.code == 127
    assert (root / "run" / "log").read_bytes() == b"himalia: sh: command not found\n"


def start_in_bare_root(start: Any, root: Path, namespaces: tuple[str, ...], command: list[str]) -> Any:
    """Start the launcher as pid 1 in a root directory that holds nothing but it and /dev/null."""
    launcher = ["/launcher", "--log", "/run/log", "--exit", "/run/exit", "--", *command]
    return start.run([*namespaces, "sh", "-ec", IN_A_BARE_ROOT, "sh", str(root), *launcher])
