"""The distribution as it is installed for development: its entry points, and the files that enable both extensions."""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

SHARE, CONFIG = Path(sys.prefix) / "share" / "jupyter", Path(sys.prefix) / "etc" / "jupyter"


@pytest.mark.parametrize(
    ("group", "name", "loaded"),
    [
        ("console_scripts", "himalia", "main"),
        ("console_scripts", "himalia-service", "main"),
        ("console_scripts", "himalia-platform", "main"),
        ("jupyterhub.spawners", "himalia", "GPUSpawner"),
        ("himalia.doctor", "service", "checks"),
    ],
)
def test_entry_points_lead_to_what_they_name(group, name, loaded):
    (entry,) = entry_points(group=group, name=name)

    assert entry.attr == loaded
    assert callable(entry.load())


def test_the_server_extension_is_enabled():
    config = json.loads((CONFIG / "jupyter_server_config.d" / "himalia_server_extension.json").read_text())

    assert config["ServerApp"]["jpserver_extensions"] == {"himalia_server_extension": True}


def test_the_lab_extension_lies_where_lab_looks():
    package = json.loads((SHARE / "labextensions" / "himalia" / "package.json").read_text())

    assert package["name"] == "himalia"
    assert (SHARE / "labextensions" / "himalia" / package["jupyterlab"]["_build"]["load"]).is_file()
