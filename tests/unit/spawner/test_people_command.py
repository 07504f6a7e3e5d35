"""What `himalia-platform people` and `reattach` print, and what they say when the service does not answer."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from himalia.models import KnownPerson
from himalia_spawner.platform import people
from himalia_spawner.platform.cli import cli
from himalia_spawner.platform.place import Place, write_config

ADA = KnownPerson(
    id="aaaaaaaaaaaa",
    name="ada",
    created="2026-01-02T03:04:05Z",
    present=True,
    last_seen="2026-11-24T15:00:00Z",
    job_count=12,
)
NOBODY = KnownPerson(id="bbbbbbbbbbbb", name="", present=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Give the file of an installation that does not run."""
    file = tmp_path / "himalia.toml"
    write_config(file, {"\n# hub_port = 8081\n# service_port = 8082\n": "\nservice_port = 9\n"})
    return file


def test_everybody_has_a_line():
    assert people.table([ADA, NOBODY], sizes=False) == [
        "ID            NAME  IN THE HUB  CREATED           LAST SEEN         JOBS",
        "aaaaaaaaaaaa  ada   yes         2026-01-02 03:04  2026-11-24 15:00  12",
        "bbbbbbbbbbbb  -     no          -                 -                 0",
    ]


def test_sizes_count_what_the_disk_holds_once_and_follow_no_link(tmp_path):
    home, storage = tmp_path / "home", tmp_path / "storage"
    for folder in (home / "deep", storage):
        folder.mkdir(parents=True)
    (home / "deep" / "file").write_bytes(os.urandom(300_000))
    os.link(home / "deep" / "file", home / "same")
    (storage / "link").symlink_to("/usr")
    (storage / "sparse").touch()
    os.truncate(storage / "sparse", 10**12)
    person = ADA.model_copy(update={"directories": (str(home), str(storage))})

    head, line = people.table([person], sizes=True)

    assert head.endswith("SIZE")
    assert line.split()[-2] in {str(number) for number in range(293, 330)}
    assert line.endswith("KB")


def test_a_service_that_does_not_answer_is_told(config):
    for words in (["people"], ["reattach", "ada", "aaaaaaaaaaaa"]):
        done = CliRunner().invoke(cli, ["--config", str(config), *words])

        assert done.exception.message == people.SILENT


def test_the_service_is_asked_with_its_own_token_and_its_refusal_is_told(config, monkeypatch):
    asked = []

    def request(method: str, url: str, **options: object) -> httpx.Response:
        asked.append((method, url, options))
        said = {"error": {"code": "conflict", "message": "bob is in the hub now.", "fields": {}}}
        return httpx.Response(409, json=said)

    monkeypatch.setattr(httpx, "request", request)
    done = CliRunner().invoke(cli, ["--config", str(config), "reattach", "ada", "../x", "--force"])

    ((method, url, options),) = asked
    token = Place.load(config).credentials.service_token
    assert (method, url) == ("POST", "http://127.0.0.1:9/services/jobs/api/people/..%2Fx/attach")
    assert options["headers"] == {"Authorization": f"Bearer {token}"}
    assert options["json"] == {"name": "ada", "force": True}
    assert done.exception.message == "bob is in the hub now."
