"""Only directories of home, storage and teams can be submitted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from himalia.errors import FieldError
from himalia_server_extension.directories import Roots, find_directory


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """A home, a storage and a team with a directory `work` each, as a server sees them."""
    for tree in ("home/work", "storage/work", "team/nlp/work", "home-of-another/work", "storage2/work", "teams/x"):
        (tmp_path / tree).mkdir(parents=True)
    home = tmp_path / "home"
    (home / "storage").symlink_to(tmp_path / "storage")
    (home / "team").symlink_to(tmp_path / "team")
    return Roots(root=home, home=home, storage=tmp_path / "storage", team=tmp_path / "team")


def refused(path: str, roots: Roots) -> str:
    with pytest.raises(FieldError) as raised:
        find_directory(path, roots)
    assert raised.value.field == "directory"
    return raised.value.message


@pytest.mark.parametrize(
    ("path", "project"),
    [
        ("work", "work"),
        ("/team/nlp/", "nlp"),
        ("./work", "work"),
        ("", "home"),
        ("storage", "storage"),
        ("storage/work", "work"),
        ("team/nlp", "nlp"),
        ("team/nlp/work", "work"),
    ],
)
def test_directories_of_home_storage_and_teams_are_found(roots, path, project):
    assert find_directory(path, roots).project == project


def test_a_project_has_a_legal_name_whatever_the_directory_is_called(roots):
    (roots.home / "my work (2)").mkdir()

    assert find_directory("my work (2)", roots).project == "my-work-2"


def test_the_directory_of_all_teams_is_nobodys(roots):
    assert "where all teams are" in refused("team", roots)


@pytest.mark.parametrize("target", ["home-of-another/work", "storage2/work", "teams/x", ".", "/", "/etc"])
def test_a_link_that_leads_out_is_refused_even_to_a_sibling_of_a_like_name(roots, target):
    (roots.home / "link").symlink_to(roots.home.parent / target)

    assert "Choose a directory in your home" in refused("link", roots)


@pytest.mark.parametrize("path", ["..", "work/../..", "work/../../storage2", "a/../work"])
def test_a_path_that_goes_up_is_refused(roots, path):
    assert "'..'" in refused(path, roots)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("work\0", "NUL"),
        ("nowhere", "not there"),
        ("\ud800", "letters that no file can have"),
        ("a" * 300, "too long"),
        ("loop", "leads to itself"),
        ("file", "is a file"),
        ("file/below", "not there"),
    ],
)
def test_what_is_no_directory_says_why_and_what_to_do(roots, path, said):
    (roots.home / "loop").symlink_to("loop")
    (roots.home / "file").write_text("")

    message = refused(path, roots)

    assert said in message
    assert "directory" in message


def test_a_server_that_shows_all_files_still_submits_from_the_home_alone(roots):
    everything = Roots(root=Path("/"), home=roots.home, storage=roots.storage, team=roots.team)

    assert find_directory(os.path.relpath(roots.home / "work", "/"), everything).project == "work"
    assert "outside" in refused("etc", everything)
    assert "outside" in refused("", everything)


def test_a_home_that_is_the_whole_machine_gives_nothing(roots):
    whole = Roots(root=Path("/"), home=Path("/"), storage=roots.storage, team=roots.team)

    assert "outside" in refused("etc", whole)
