"""The docs are true: generated pages are today's, names and links exist, and what is shown can be read."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from pydantic import BaseModel

from himalia.cli.jobfile import KEYS
from himalia.cli.main import cli
from himalia.container import Label
from himalia.reasons import Reason
from himalia.site import Profile, Site
from himalia.states import JobState, LeaseState
from himalia_jobs.api.routes import ROUTES
from himalia_jobs.app import main as service
from himalia_spawner.platform.cli import cli as platform

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
NOT_OURS = {"build", "data", "node_modules", ".git", "shared", "demo-artifacts", "lib", "dist"}
SHOWN = re.compile(r'(?:src|srcset)="([^"]+)"|!\[[^\]]*\]\(([^)\s]+)\)')
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SOURCES = (
    "client",
    "gpus",
    "jobs",
    "spawner",
    "server_extension",
    "images",
    "hub_config",
    "tools",
    "tests",
    "benchmarks",
)
VARIABLE = re.compile(r"""\b(HIMALIA_[A-Z]+(?:_[A-Z]+)*)\b|\benv(?:iron)?\.get\("([A-Z_]+)\"""")


def written() -> list[Path]:
    """Return all our Markdown files."""
    return sorted(file for file in ROOT.rglob("*.md") if not NOT_OURS & set(file.relative_to(ROOT).parts))


def code_of(text: str) -> list[str]:
    """Return all that is set as code in a page: blocks and spans."""
    return [block for _, block in CODE.findall(text)] + SPAN.findall(CODE.sub("", text))


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (file, text) of every block of a language."""
    return [
        (str(file.relative_to(ROOT)), text)
        for file in written()
        for name, text in CODE.findall(file.read_text())
        if name == language
    ]


def commands_below(command: click.Command, name: str) -> Iterator[str]:
    """Yield a command's full name and those of the commands below it."""
    yield name
    if isinstance(command, click.Group):
        for child, inner in command.commands.items():
            yield from commands_below(inner, f"{name} {child}")


def anchors(file: Path) -> set[str]:
    """Return what a link to a heading of a page may end in."""
    text = CODE.sub("", file.read_text())
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def reference(name: str) -> str:
    """Return a page of the reference."""
    return (REFERENCE / name).read_text()


def test_the_generated_pages_are_what_the_code_says_now(tmp_path):
    subprocess.run([sys.executable, ROOT / "docs" / "generate.py", tmp_path], check=True, timeout=120)

    fresh = {page.name: page.read_text() for page in tmp_path.iterdir()}
    stale = [name for name, text in fresh.items() if not (REFERENCE / name).exists() or reference(name) != text]
    assert stale == [], "run `make docs`"
    assert {page.name for page in REFERENCE.glob("*.md")} == set(fresh)


def test_every_setting_is_in_the_reference():
    page = reference("settings.md")
    for name, field in Site.model_fields.items():
        models = [part for part in (field.annotation, *get_args(field.annotation)) if _is_model(part)]
        section = re.search(rf"^## `\[+{name}\]+`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)

        assert section, name
        for model in models:
            assert [key for key in model.model_fields if f"`{key}`" not in section[1]] == []


def test_every_key_of_a_profile_is_told_in_the_operators_file():
    told = (ROOT / "hub_config" / "himalia.toml").read_text().partition("# Profiles:")[2].partition("[[profiles]]")[0]

    assert [key for key in Profile.model_fields if not re.search(rf"\b{key}\b", told)] == []


def test_every_state_and_reason_is_in_the_reference():
    page = reference("states.md")

    assert [word for word in (*JobState, *LeaseState, *Reason) if f"`{word}`" not in page] == []


def test_every_route_is_in_the_reference():
    page = reference("api.md")
    paths = [_path(pattern) for pattern, _ in ROUTES if "openapi" not in pattern]

    assert [path for path in paths if not re.search(rf"`[A-Z]+ {re.escape(path)}`", page)] == []
    assert "`GET openapi.json`" in page


def test_every_command_is_in_the_reference():
    pages = reference("cli.md") + reference("platform.md")

    assert [name for name in _commands() if f"## `{name}`\n" not in pages] == []


def test_every_key_of_a_job_file_and_every_label_is_in_the_reference():
    assert [key for key in KEYS if f"`{key}`" not in reference("job-file.md")] == []
    labels = [value for name, value in vars(Label).items() if name.isupper()]
    assert [label for label in labels if f"`{label}`" not in reference("container.md")] == []


def test_every_environment_variable_that_the_code_knows_is_in_the_reference():
    page = reference("environment.md")
    known: set[str] = set()
    for folder in SOURCES:
        for file in (ROOT / folder).rglob("*"):
            if (
                file.is_file()
                and file.suffix in {".py", ".sh", ".service", ".toml", ""}
                and "node_modules" not in file.parts
            ):
                known |= {one or other for one, other in VARIABLE.findall(file.read_text(errors="replace"))}

    assert {"HIMALIA_DATA", "DOCKER_HOST", "HIMALIA_JOB_ID"} <= known
    assert sorted(name for name in known if name not in page) == []


@pytest.mark.parametrize("file", written(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_and_picture_is_there(file):
    text = CODE.sub("", file.read_text())
    lost = []
    for target in LINK.findall(text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            lost.append(target)

    assert lost == []


def test_every_make_target_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    unknown = [
        (str(file.relative_to(ROOT)), target)
        for file in written()
        for code in code_of(file.read_text())
        for target in re.findall(r"(?:^|[ \n])make ([a-z][a-z-]*)(?![\w/.-])", code)
        if target not in targets
    ]

    assert unknown == []


def test_every_command_that_a_page_names_exists():
    known = set(_commands())
    unknown = [
        (str(file.relative_to(ROOT)), f"{program} {word}")
        for file in written()
        for code in code_of(file.read_text())
        for program, word in re.findall(r"(?:^|[ \n]|bin/)(himalia|himalia-platform) ([a-z]+)", code)
        if f"{program} {word}" not in known
    ]

    assert unknown == []


@pytest.mark.parametrize(("file", "text"), blocks("toml"))
def test_settings_that_a_page_shows_are_taken(file, text):
    table = tomllib.loads(text)

    if not set(table) <= KEYS:
        Site.model_validate(table)


@pytest.mark.parametrize(("file", "text"), blocks("python"))
def test_python_that_a_page_shows_can_be_read(file, text):
    ast.parse(text)


def test_every_page_can_be_found_from_the_first_one():
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        file = waiting.pop()
        if file in seen or file.suffix != ".md":
            continue
        seen.add(file)
        paths = [target.partition("#")[0] for target in LINK.findall(file.read_text())]
        waiting += [(file.parent / path).resolve() for path in paths if path and "://" not in path]

    pages = [file for file in written() if file.is_relative_to(ROOT / "docs")]
    assert sorted(str(page.relative_to(ROOT)) for page in pages if page not in seen) == []


def test_every_picture_is_shown_somewhere_and_is_there():
    shown = {
        (file.parent / (plain or marked)).resolve()
        for file in written()
        for plain, marked in SHOWN.findall(CODE.sub("", file.read_text()))
        if "://" not in plain + marked
    }

    assert {picture for picture in shown if not picture.exists()} == set()
    assert set((ROOT / "docs" / "images").iterdir()) - shown == set()


def _is_model(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _commands() -> list[str]:
    return [
        *commands_below(cli, "himalia"),
        *commands_below(platform, "himalia-platform"),
        *commands_below(service, "himalia-service"),
    ]


def _path(pattern: str) -> str:
    """Return a route as the reference writes it."""
    names = iter(["{owner}", "{name}"] if pattern.startswith("projects/") else ["{id}", "{path}"])
    return re.sub(r"\([^)]*\)", lambda _: next(names), pattern).replace("\\", "")
