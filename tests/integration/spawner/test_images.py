"""The image has what notebooks and jobs need, and is built anew only as far as something has changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

IMAGE = os.environ.get("HIMALIA_TEST_IMAGE", "himalia/server:dev")
ROOT = Path(__file__).parents[3]
CODE_CHANGE_SECONDS = 60  #: on a machine that runs all tests; 2 to 3 on a quiet one


def inside(*command: str, user: str = "1000:100", options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command in the image, without a network."""
    words = ["docker", "run", "--rm", "--network", "none", "--user", user, *options, IMAGE, *command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=180)


def test_it_has_the_libraries_and_git():
    script = """
import importlib.metadata as m, json, ipykernel, matplotlib, numpy, pandas, papermill, sklearn, himalia
print(json.dumps({name: m.version(name) for name in ("jupyterlab", "notebook", "jupyterhub", "himalia")}))
"""
    done = inside("sh", "-c", f"git --version && python3 -s - <<'END'\n{script}\nEND")

    assert done.returncode == 0, done.stderr
    versions = json.loads(done.stdout.splitlines()[-1])
    assert versions["jupyterlab"].startswith("4.6.")
    assert versions["notebook"].startswith("7.")
    assert versions["jupyterhub"].startswith("6.1.")


def test_both_extensions_are_enabled_and_nothing_is_missing():
    lab = inside("jupyter", "labextension", "list")
    server = inside("jupyter", "server", "extension", "list")
    packages = inside("python3", "-s", "-m", "pip", "check")

    assert "himalia v" in lab.stdout + lab.stderr and "enabled" in lab.stdout + lab.stderr
    assert "himalia_server_extension" in server.stdout + server.stderr
    assert "OK" in server.stdout + server.stderr
    assert "No broken requirements found" in packages.stdout


def test_our_licence_is_in_it_and_no_secret_and_no_build_tool():
    found = inside(
        "sh", "-c", "cat /usr/local/lib/python3*/dist-packages/himalia-*/licenses/LICENSE; command -v gcc; id -u"
    )

    assert "BSD 3-Clause" in found.stdout or "Redistribution and use" in found.stdout
    assert found.stdout.splitlines()[-1] == "1000"
    assert "gcc" not in found.stdout.splitlines()[-2]


@pytest.fixture
def changed_code(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Give a name for an image, and a build folder whose wheel has just changed."""
    shutil.copytree(ROOT / "build" / "wheel", tmp_path / "wheel")
    (tmp_path / "wheel" / "himalia.whl.digest").write_text(uuid.uuid4().hex)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("himalia/changed.txt", uuid.uuid4().hex)
    name = f"himalia/server:test-{uuid.uuid4().hex[:12]}"
    yield name, tmp_path
    subprocess.run(["docker", "rmi", "--force", name], capture_output=True, check=False)


def test_a_change_in_our_code_builds_one_small_layer_and_no_change_builds_nothing(changed_code):
    name, folder = changed_code
    client = docker.from_env()
    build = [str(ROOT / "images" / "server" / "build.sh"), name]
    environment = {**os.environ, "HIMALIA_BUILD": str(folder), "HIMALIA_PULL": "0"}
    try:
        begun = time.monotonic()
        first = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begun
        assert first.returncode == 0, first.stderr
        made = client.images.get(name).id
        second = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

        assert "lab image" not in first.stdout  # the heavy half is found by what it is made of
        assert seconds < CODE_CHANGE_SECONDS
        assert second.stdout == ""
        assert client.images.get(name).id == made
    finally:
        client.close()


@pytest.mark.parametrize("user", ["0:0", "1000:100"])
def test_a_bare_debian_is_told_what_the_demo_would_do_and_nothing_happens(user):
    files = ("--volume", f"{ROOT}/tools:/src/tools:ro", "--workdir", "/src", "--read-only")

    done = inside("bash", "tools/announce.sh", "", "gcc", "python3", options=files, user=user)

    assert "installs Debian packages: gcc" in done.stdout, done.stderr
    assert "installs a Docker Engine (Debian's docker.io), as there is none" in done.stdout
    assert "people reach them at 127.0.0.1:8000" in done.stdout
    if user == "0:0":
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1
        assert "Run this as root, or install sudo." in done.stdout
