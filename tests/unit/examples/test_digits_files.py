"""The example's script, notebook and job file agree with each other."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path
from typing import Any

from himalia.units import parse_duration

DIGITS = Path(__file__).parents[3] / "examples" / "digits"


def options_of_the_script() -> set[str]:
    """Return the options that train.py declares, as names of variables."""
    calls = [node for node in ast.walk(ast.parse((DIGITS / "train.py").read_text())) if isinstance(node, ast.Call)]
    declared = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"]
    names = [call.args[0].value for call in declared if isinstance(call.args[0], ast.Constant)]
    return {str(name).removeprefix("--").replace("-", "_") for name in names}


def cells() -> list[dict[str, Any]]:
    """Return the cells of the notebook."""
    notebook = json.loads((DIGITS / "train.ipynb").read_text())
    return list(notebook["cells"])


def test_the_job_file_says_what_submit_needs() -> None:
    job = tomllib.loads((DIGITS / "himalia-job.toml").read_text())

    assert set(job) == {"project", "name", "profile", "command", "timeout"}
    assert job["command"][0] == "python3"
    assert (DIGITS / job["command"][1]).is_file()
    assert parse_duration(job["timeout"]) > 60


def test_one_cell_holds_the_parameters_and_they_are_the_options_of_the_script() -> None:
    tagged = [cell for cell in cells() if "parameters" in cell["metadata"].get("tags", [])]

    assert len(tagged) == 1
    assigned = [node for node in ast.parse("".join(tagged[0]["source"])).body if isinstance(node, ast.Assign)]
    names = {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
    assert names == options_of_the_script()


def test_the_notebook_is_kept_without_outputs() -> None:
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells())
