"""The commented himalia.toml is true: it loads, it names every setting, and what it says are defaults are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from himalia.site import Site, load_site

FILE = Path(__file__).parents[3] / "hub_config" / "himalia.toml"
SECTION = re.compile(r"^\[(\w+)\]$")
SETTING = re.compile(r"^# (\w+) = (.+)$")
NO_DEFAULT = {
    "public_url",
    "certificate",
    "key",
    "cpus",
    "memory",
    "host",
    "target",
    "mode",
    "teams",
    "vision",
    "open_signup",
}


def sections() -> dict[str, type[BaseModel]]:
    """Return the tables of the file and their models."""
    found = {}
    for name, field in Site.model_fields.items():
        models = [
            part
            for part in (field.annotation, *get_args(field.annotation))
            if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        if models:
            found[name] = models[0]
    return found


def test_the_file_loads_as_it_is():
    site = load_site(FILE, {})

    assert [profile.name for profile in site.profiles] == ["cpu", "small", "gpu"]
    assert site.image_reference("") == "himalia/server:dev"


def test_the_profile_with_pytorch_is_ready_to_be_switched_on(tmp_path):
    text = FILE.read_text()
    begin, end = text.index("# [[images]]"), text.index("# Directories of this machine")
    switched_on = text[:begin] + re.sub(r"^# ?", "", text[begin:end], flags=re.MULTILINE) + text[end:]
    (tmp_path / "himalia.toml").write_text(switched_on)

    site = load_site(tmp_path / "himalia.toml", {})

    profile = site.profile("pytorch")
    assert profile is not None
    assert site.image_reference(profile.image) == "himalia/gpu:dev"


@pytest.mark.parametrize("section", sorted(sections()))
def test_every_setting_is_named_in_the_file(section):
    text = FILE.read_text()

    missing = [name for name in sections()[section].model_fields if not re.search(rf"\b{name}\b", text)]

    assert f"[{section}]" in text
    assert missing == []


def test_what_stands_there_as_a_default_is_the_default():
    site, section, wrong = Site(), "", []
    for line in FILE.read_text().splitlines():
        if found := SECTION.match(line):
            section = found[1]
        elif line.removeprefix("# ").startswith("[["):
            section = ""
        elif (
            (found := SETTING.match(line))
            and section in ("platform", "auth", "limits", "gpus", "idle", "jobs")
            and found[1] not in NO_DEFAULT
        ):
            name, shown = found[1], tomllib.loads(f"x = {found[2]}")["x"]
            model: Any = getattr(site, section)
            if type(model).model_validate({name: shown}).model_dump()[name] != model.model_dump()[name]:
                wrong.append(line)

    assert wrong == []
