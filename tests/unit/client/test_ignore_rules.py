"""What is left out: rules as git reads them, `.himaliaignore` before them, and a few always."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia.errors import LocalError
from himalia.snapshot import scan
from himalia.snapshot.ignore import ALWAYS
from himalia.snapshot.patterns import read_pattern


def tree(root: Path, *files: str, **rules: str) -> set[str]:
    """Make files and rules, and return which of the files are sent."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x")
    for name, text in rules.items():
        (root / name).write_text(text)
    return {entry.path for entry in scan(root).entries if entry.path in files}


# What `git ls-files --others --exclude-standard` shows of the same trees.
@pytest.mark.parametrize(
    ("rules", "files", "sent"),
    [
        ("*.txt", "a.txt b.py d/c.txt", "b.py"),
        ("/a", "a d/a", "d/a"),
        ("d/", "d/a e/d/b f", "f"),
        ("d/", "e/d", "e/d"),
        ("a/b", "a/b c/a/b", "c/a/b"),
        ("**/e", "e d/e d/f/e d/g", "d/g"),
        ("d/**/a", "d/a d/e/a d/e/f/a a", "a"),
        ("d/**", "d/a d/e/b c", "c"),
        ("d/**/", "d/a d/e/b", "d/a"),
        ("d/*\n!d/keep", "d/a d/keep d/e/x", "d/keep"),
        ("*\n!*/\n!*.py", "a.py b.txt d/c.py d/e.txt", "a.py d/c.py"),
        ("*\n!*.py\n!*/", "a.py d/c.py d/e.txt", "a.py d/c.py"),
        ("d/\n!d/a", "d/a", ""),
        ("!a\na", "a", ""),
        ("a\n!a", "a", "a"),
        ("!", "a", "a"),
        ("a\\", "a", "a"),
        ("[a", "a [a", "a [a"),
        ("[ab].py", "a.py b.py c.py", "c.py"),
        ("[!a].py", "a.py b.py", "a.py"),
        ("[^a].py", "a.py b.py", "a.py"),
        ("[a-c]1", "a1 b1 d1", "d1"),
        ("[[:digit:]]x", "1x ax", "ax"),
        ("[[:nope:]]x", "1x ax", "1x ax"),
        ("a?", "ab a abc", "a abc"),
        ("a[[]1]", "a[1]", ""),
        ("\\#x\n# y", "#x y", "y"),
        ("\\!x", "!x y", "y"),
        ("x ", "x y", "y"),
        ("*.log\r\nb\r\n", "a.log b c", "c"),
        ("\ufeffa", "a b", "b"),
        ("{a,b}", "a b", "a b"),
        ("/", "a", "a"),
        ("//", "a", "a"),
        ("", "a", "a"),
    ],
)
def test_a_rule_means_what_it_means_to_git(tmp_path, rules, files, sent):
    assert tree(tmp_path, *files.split(), **{".gitignore": rules}) == set(sent.split())


def test_a_nested_file_speaks_of_what_is_below_it_and_wins_over_those_above(tmp_path):
    files = ("a.log", "sub/a.log", "sub/b", "sub/deep/b", "b")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_text("!a.log\n/b\n")

    assert tree(tmp_path, *files, **{".gitignore": "*.log"}) == {"sub/a.log", "sub/deep/b", "b"}


def test_a_nested_rule_that_keeps_directories_keeps_nothing_that_is_in_them(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_text("!*/\n")

    assert tree(tmp_path, "sub/d/b.txt", "sub/d/a", **{".gitignore": "*.txt"}) == {"sub/d/a"}


def test_himaliaignore_stands_in_for_every_gitignore(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_text("b\n")

    sent = tree(tmp_path, "a", "sub/b", "c", **{".gitignore": "a\n", ".himaliaignore": "c\n"})

    assert sent == {"a", "sub/b"}


@pytest.mark.fault(76)
def test_some_are_always_left_out_whatever_the_rules_say(tmp_path):
    kept = "".join(f"!{name}\n" for name in ALWAYS)

    assert tree(tmp_path, *(f"d/{name}/x" for name in ALWAYS), "d/y", **{".himaliaignore": kept}) == {"d/y"}


@pytest.mark.fault(77)
def test_what_is_private_in_a_home_is_left_out_there_and_nowhere_else(home):
    files = (".ssh/id", ".netrc", ".bash_history", ".cache/x", ".gitconfig", "code/.ssh/id", "code/.config/x")

    assert tree(home, *files) == {".gitconfig", "code/.ssh/id", "code/.config/x"}
    assert tree(home / "code", ".ssh/id", ".config/x") == {".ssh/id", ".config/x"}


@pytest.mark.fault(77)
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("conf/.env", True),
        (".env.production", True),
        (".env.example", False),
        ("keys/id_ed25519", True),
        ("keys/id_ed25519.pub", False),
        ("server.pem", True),
        ("secrets.toml", True),
        ("environment.py", False),
        ("monkey", False),
        (".env/settings.py", False),
    ],
)
def test_a_file_beside_code_that_is_called_like_a_key_or_password_is_told(tmp_path, name, told):
    tree(tmp_path, name, "train.py")

    assert scan(tmp_path).suspects() == ([name] if told else [])


def test_what_is_private_is_told_with_its_kind(home):
    tree(home, ".aws/credentials", ".zsh_history", ".nv/kernel")

    assert {left.path: left.rule for left in scan(home).left_out} == {
        ".aws": "secrets",
        ".zsh_history": "history",
        ".nv": "cache",
    }


def test_a_home_above_which_somebody_stands_is_a_home_as_well(home):
    below = home.name

    assert scan(home.parent, homes=[]).root == home.parent
    (home / ".ssh").mkdir()
    assert f"{below}/.ssh" in {left.path for left in scan(home.parent).left_out}
    assert f"{below}/.ssh" not in {left.path for left in scan(home.parent, homes=[]).left_out}


def test_storage_where_caches_and_packages_are_put_is_a_home_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))

    assert tree(tmp_path, ".cache/model", ".himalia/python/x", "data") == {"data"}


@pytest.mark.parametrize("rules", ["!.ssh", "!/.ssh/", "*\n!.ssh\n!.ssh/id"])
def test_a_rule_that_names_it_sends_what_is_private_after_all(home, rules):
    assert tree(home, ".ssh/id", ".aws/id", **{".himaliaignore": rules}) == {".ssh/id"}


def test_a_rule_that_keeps_all_kinds_of_things_sends_nothing_private(home):
    assert tree(home, ".ssh/a.py", "a.py", "b", **{".gitignore": "*\n!*/\n!*.py\n!.*"}) == {"a.py"}


def test_a_link_under_a_private_name_is_left_out_as_well(home, tmp_path):
    (home / ".ssh").symlink_to(tmp_path)

    assert ".ssh" not in {entry.path for entry in scan(home).entries}


def test_what_is_left_out_is_told_with_its_size_and_its_rule(tmp_path):
    (tmp_path / "sub" / "data").mkdir(parents=True)
    (tmp_path / "sub" / "data" / "big").write_bytes(bytes(5000))
    (tmp_path / "sub" / ".gitignore").write_text("data/\n")
    (tmp_path / ".venv").mkdir()

    left = {out.path: (out.size_bytes, out.rule, out.is_dir) for out in scan(tmp_path).left_out}

    assert left == {"sub/data": (5000, "sub/.gitignore", True), ".venv": (0, "always left out", True)}


def test_a_gitignore_that_is_a_link_says_nothing_and_a_pipe_does_not_hang(tmp_path):
    (tmp_path / "rules").write_text("a\n")
    (tmp_path / ".gitignore").symlink_to("rules")
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "sub" / ".gitignore")

    assert tree(tmp_path, "a", "sub/a") == {"a", "sub/a"}


def test_a_himaliaignore_may_be_a_link(tmp_path):
    (tmp_path / "rules").write_text("a\n")
    (tmp_path / ".himaliaignore").symlink_to("rules")

    assert tree(tmp_path, "a", "b") == {"b"}


def test_rules_without_end_are_refused(tmp_path):
    (tmp_path / ".gitignore").write_text("a\n" * 600_000)

    with pytest.raises(LocalError, match=r"\.gitignore is larger than 1 MB"):
        scan(tmp_path)


@given(st.text(max_size=30), st.text(alphabet="ab/[]*?\\!^-: .", min_size=1, max_size=20))
def test_no_line_and_no_name_is_a_stumbling_block(line, name):
    for text in (line, name):
        pattern = read_pattern(text)
        assert pattern is None or pattern.matches(name, is_dir=True) in (True, False)


@given(
    st.text(
        alphabet=st.characters(blacklist_characters="/\0\n\r", blacklist_categories=["Cs"]), min_size=1, max_size=20
    )
)
def test_a_name_with_its_special_letters_escaped_matches_itself_alone(name):
    escaped = "".join(f"\\{letter}" if letter in "\\*?[!# " else letter for letter in name)

    pattern = read_pattern(escaped)

    assert pattern is not None
    assert pattern.matches(name, is_dir=False)
    assert pattern.matches(f"d/{name}", is_dir=False)
    assert not pattern.matches(f"{name}x", is_dir=False)
