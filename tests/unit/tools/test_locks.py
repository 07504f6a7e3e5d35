"""What is installed is locked: each package at one version, with the hashes of its files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"^[a-zA-Z0-9][\w.-]*(\[[\w,]+\])?==[^ ;]+( ;[^\\]*)? \\$")


@pytest.mark.parametrize(("lock", "fewest"), [("host.txt", 50), ("server.txt", 50), ("gpu.txt", 20)])
def test_each_python_package_has_one_version_and_hashes_and_no_address(lock, fewest):
    text = (ROOT / "requirements" / lock).read_text()
    entries = [entry for entry in re.split(r"\n(?=[a-zA-Z0-9])", text) if not entry.startswith("#")]

    assert len(entries) > fewest
    for entry in entries:
        first, *hashes = entry.splitlines()
        assert PINNED.match(first), first
        assert [line for line in hashes if "--hash=sha256:" in line], first
    assert "://" not in text


@pytest.mark.parametrize("folder", ["labextension", "proxy"])
def test_each_npm_package_has_one_version_and_a_hash(folder):
    packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]

    loose = [
        name for name, package in packages.items() if name and not package.get("integrity") and not package.get("link")
    ]
    assert loose == []


def test_python_packages_are_installed_with_their_hashes_checked():
    for file in ("tools/venv.sh", "images/lab/Dockerfile", "images/server/build.sh", "images/gpu/build.sh"):
        assert "--require-hashes" in (ROOT / file).read_text()


def test_no_command_takes_the_node_that_happens_to_be_there():
    for file in (ROOT / "Makefile", *(ROOT / "tools").glob("*.sh"), *(ROOT / "images").rglob("*.sh")):
        commands = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
        assert not [line for line in commands if re.search(r"(^|@|&&|;|\|)\s*(node|npm|npx|jlpm) ", line)], file


def test_the_gpu_image_changes_no_package_of_the_server_image():
    server, gpu = (packages_of(ROOT / "requirements" / f"{name}.txt") for name in ("server", "gpu"))

    assert {name: version for name, version in gpu.items() if server.get(name, version) != version} == {}
    assert "torch" in gpu


def packages_of(lock: Path) -> dict[str, str]:
    """Return the packages of a lock and their versions."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE))
