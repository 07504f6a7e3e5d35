"""What a person installs in a notebook's terminal is there in their jobs, and nothing they install locks them out."""

from __future__ import annotations

import json
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from live_platform import eventually
from terminal import Terminal, connect

PACKAGE = "himalia_test_package"
PROGRAM = "himalia-test-program"
WHEEL = f"{PACKAGE}-1.0-py3-none-any.whl"
SAYS = f"import {PACKAGE}; print({PACKAGE}.WORD)"
BROKEN = "raise RuntimeError('broken by its owner')"
PIP = "pip install --no-index --disable-pip-version-check"


def write_wheel(folder: Path, word: str) -> Path:
    """Write a package that says a word, as a wheel."""
    about = f"{PACKAGE}-1.0.dist-info"
    files = {
        f"{PACKAGE}/__init__.py": f"WORD = {word!r}\n\n\ndef main():\n    print(WORD)\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{PROGRAM} = {PACKAGE}:main\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, text in (files | {f"{about}/RECORD": record}).items():
            wheel.writestr(name, text)
    return folder / WHEEL


@pytest.fixture
def notebook(live, tmp_path):
    """Gives a person's notebook server, with a directory `work` that holds a wheel, and starts it anew as asked."""
    people = {}

    def start(name, *, clean=False):
        person = people[name] = live.person(name)
        person.stop_server()
        options = {"profile": "cpu", "clean": clean}
        person.post(f"hub/api/users/{name}/server", {"user_options": options}).raise_for_status()
        eventually(lambda: person.get(f"user/{name}/api/status").status_code == 200)
        return person

    yield start
    for person in people.values():
        person.stop_server()


@pytest.fixture
def wheel_of(tmp_path):
    """Puts a wheel into the directory `work` of a person's home."""

    def put(person, word):
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        write_wheel(folder, word)
        person.upload(folder, "work")

    return put


def job_says(person, command, **options):
    """Submit the directory `work` from the notebook; return the exit code and what the job printed."""
    job = person.submit("work", {"project": "packages", "profile": "cpu", "command": command, **options})
    said = b"".join(person.follow(job.id)).decode()
    return person.ended(job.id).exit_code, said.strip().splitlines()[-1:]


def jobs_of(person):
    """Return a person's jobs, the newest first."""
    return person.get("services/jobs/api/jobs").json()["jobs"]


def packages_of(person, job_id):
    """Return the packages that a job could import, as they are listed beside its start."""
    answer = eventually(lambda: (found := person.get(f"services/jobs/api/jobs/{job_id}/packages")).is_success and found)
    return [line for line in answer.text.splitlines() if not line.startswith("#")]


def test_a_package_installed_in_a_terminal_is_imported_by_the_next_job(notebook, wheel_of):
    judy = notebook("judy")
    wheel_of(judy, "shared")

    with Terminal(judy) as terminal:
        code, shown = terminal.run(f"{PIP} work/{WHEEL}")
        assert code == 0, shown
        assert terminal.run(PROGRAM)[0] == 0

    assert job_says(judy, ["python3", "-c", SAYS]) == (0, ["shared"])
    assert job_says(judy, [PROGRAM]) == (0, ["shared"])
    assert job_says(judy, ["python3", "-c", SAYS], clean=True) == (
        1,
        [f"ModuleNotFoundError: No module named '{PACKAGE}'"],
    )
    clean, with_it = (packages_of(judy, job["id"]) for job in jobs_of(judy)[:2])
    assert f"{PACKAGE.replace('_', '-')}==1.0" in with_it
    assert set(clean) < set(with_it) and any(line.startswith("numpy==") for line in clean)


def test_a_clean_start_leaves_a_persons_packages_out_and_the_next_start_has_them(notebook, wheel_of):
    kate = notebook("kate")
    wheel_of(kate, "kept")
    with Terminal(kate) as terminal:
        assert terminal.run(f"{PIP} work/{WHEEL}")[0] == 0

    with Terminal(notebook("kate", clean=True)) as terminal:
        assert terminal.run(f"python3 -c '{SAYS}'")[0] == 1

    with Terminal(notebook("kate")) as terminal:
        code, shown = terminal.run(f"python3 -c '{SAYS}'")
    assert (code, "kept" in shown) == (0, True)


def test_a_persons_own_environment_works_in_notebook_and_job(notebook, wheel_of):
    leo = notebook("leo")
    wheel_of(leo, "own")

    with Terminal(leo) as terminal:
        assert terminal.run("python3 -m venv storage/.venv")[0] == 0
        code, shown = terminal.run(f"storage/.venv/bin/{PIP} work/{WHEEL}")
        assert code == 0, shown
        assert terminal.run(f"storage/.venv/bin/python -c '{SAYS}'")[0] == 0
        assert terminal.run(f"python3 -c '{SAYS}'")[0] == 1

    assert job_says(leo, ["/storage/.venv/bin/python", "-c", SAYS]) == (0, ["own"])


def test_broken_packages_never_keep_lab_from_starting_and_a_clean_start_leaves_them_out(notebook):
    mona = notebook("mona")
    site, config = "$(python3 -m site --user-site)", "$PYTHONUSERBASE/etc/jupyter/jupyter_server_config.d"
    enabled = json.dumps({"ServerApp": {"jpserver_extensions": {"tornado": True}}})
    with Terminal(mona) as terminal:
        assert terminal.run(f"mkdir -p {site} {config} $PYTHONUSERBASE/bin")[0] == 0
        for module in ("tornado", "jupyter_server", "jupyterhub", "ipykernel", "usercustomize"):
            assert terminal.run(f'echo "{BROKEN}" > {site}/{module}.py')[0] == 0
        assert terminal.run(f"echo '{enabled}' > {config}/broken.json")[0] == 0
        for program in ("python3", "jupyterhub-singleuser", "ls", "ln"):
            write = f"printf '#!/bin/sh\\nexit 3\\n' > $PYTHONUSERBASE/bin/{program}"
            assert terminal.run(f"{write}; chmod +x $PYTHONUSERBASE/bin/{program}")[0] == 0

    mona = notebook("mona")

    with Terminal(mona) as terminal:
        assert terminal.run("python3 --version")[0] == 3
        assert terminal.run("/usr/bin/python3 -c 'import tornado'")[0] == 1
    assert kernel_starts(notebook("mona", clean=True))


def kernel_starts(person):
    """Tell whether a kernel of the person's server gets to work."""
    kernel = person.post(f"user/{person.name}/api/kernels", {"name": "python3"}).json()["id"]

    def state():
        answer = person.get(f"user/{person.name}/api/kernels/{kernel}")
        found = answer.json()["execution_state"] if answer.status_code == 200 else "dead"
        return found if found in ("idle", "dead") else None

    with closing(connect(person, f"api/kernels/{kernel}/channels")):
        return eventually(state) == "idle"
