"""A notebook as a job: its parameters are values, and what it had done is kept however it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from live_platform import eventually

PARAMETERS = {"epochs": 1, "rate": 0.1, "name": "none", "fast": False, "layers": []}


def write(file: Path, *cells: str, kernel: str = "python3") -> None:
    """Write a notebook; its first cell has the parameters."""
    given = "\n".join(f"{name} = {value!r}" for name, value in PARAMETERS.items())
    file.write_text(
        json.dumps(
            {
                "nbformat": 4,
                "nbformat_minor": 5,
                "metadata": {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
                "cells": [cell("parameters", given, ["parameters"])]
                + [cell(f"cell-{number}", source) for number, source in enumerate(cells)],
            }
        )
    )


def cell(name: str, source: str, tags: list[str] | None = None) -> dict[str, Any]:
    return {
        "id": name,
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": tags or []},
        "outputs": [],
        "execution_count": None,
    }


def printed(notebook: Path) -> str:
    """Return all that the cells of a notebook printed."""
    cells = json.loads(notebook.read_text())["cells"]
    outputs = [output for one in cells for output in one.get("outputs", [])]
    return "".join("".join(output.get("text", [])) for output in outputs)


def fetched(shell, tmp_path: Path) -> Path:
    """Download the executed notebook of the last job."""
    done = shell("download", "last", "--to", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "out" / "train.ipynb"


def test_parameters_are_values_and_the_executed_notebook_is_kept(shell, code, tmp_path):
    write(code / "train.ipynb", "print([epochs, rate, name, fast, layers])")
    words = ["epochs=60", "rate=1e-5", 'name=it\'s "x"\n', "fast=true", "layers=[1, 2.5]"]

    done = shell("submit", "--notebook", "train.ipynb", *(word for one in words for word in ("--param", one)))

    assert done.returncode == 0, done.stderr + done.stdout
    values = repr([60, 1e-5, 'it\'s "x"\n', True, [1, 2.5]])
    assert printed(fetched(shell, tmp_path)) == f"{values}\n"
    assert values in done.stdout


def test_the_cell_that_fails_is_kept_with_its_error(shell, code, tmp_path):
    write(code / "train.ipynb", "print('before')", "raise ValueError('too bad')", "print('never')")

    done = shell("submit", "--notebook", "train.ipynb")

    assert done.returncode == 1
    executed = fetched(shell, tmp_path)
    assert printed(executed) == "before\n"
    errors = [
        output["evalue"]
        for one in json.loads(executed.read_text())["cells"]
        for output in one.get("outputs", [])
        if output["output_type"] == "error"
    ]
    assert errors == ["too bad"]


@pytest.mark.parametrize(("options", "code_"), [([], 130), (["--timeout", "25s"], 124)], ids=["cancelled", "timed out"])
def test_what_was_executed_is_kept_though_the_job_is_ended(shell, code, tmp_path, options, code_):
    write(code / "train.ipynb", "print('done before')", "import time; time.sleep(600)")
    follower = shell.start("submit", *options, "--notebook", "train.ipynb")
    if not options:
        eventually(lambda: b"done before" in shell("logs", "last").stdout.encode())
        shell("cancel", "last")

    follower.communicate(timeout=120)

    assert follower.returncode == code_
    assert printed(fetched(shell, tmp_path)) == "done before\n"


def test_a_notebook_runs_beside_its_files(shell, code):
    (code / "notebooks").mkdir()
    (code / "notebooks" / "data.csv").write_text("7\n")
    write(code / "notebooks" / "train.ipynb", "print('read', open('data.csv').read())")

    done = shell("submit", "--notebook", "notebooks/train.ipynb")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "read 7" in done.stdout


def test_a_kernel_that_the_image_lacks_is_told_in_the_log(shell, code):
    write(code / "train.ipynb", "1", kernel="julia-9")

    done = shell("submit", "--notebook", "train.ipynb")

    assert done.returncode == 1
    assert "julia-9" in done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [("no json", "its content is not JSON"), ('{"nbformat": 4, "cells": []}', "names no kernel")],
    ids=["not JSON", "no kernel"],
)
def test_what_is_no_notebook_is_refused_at_submit(shell, code, content, said):
    (code / "train.ipynb").write_text(content)

    done = shell("submit", "--notebook", "train.ipynb")

    assert done.returncode == 125
    assert said in done.stderr
