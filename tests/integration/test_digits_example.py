"""The example runs in our image, as script and as notebook, as a job would run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

IMAGE = os.environ.get("HIMALIA_TEST_IMAGE", "himalia/server:dev")
DIGITS = Path(__file__).parents[2] / "examples" / "digits"
UID, GID = 1000, 100
PNG = b"\x89PNG\r\n\x1a\n"
DEADLINE_SECONDS = 240

SCRIPT = ("python3", "train.py", "--seconds-per-epoch", "0")
NOTEBOOK = ("python3", "-m", "papermill", "train.ipynb", "/artifacts/train.ipynb", "--log-output", "--no-progress-bar")


@dataclass(kw_only=True)
class Jobs:
    """Runs jobs of one person: one storage, and artifacts of its own for each."""

    directory: Path
    names: list[str] = field(default_factory=list)

    def __call__(self, *command: str) -> tuple[str, Path]:
        """Run a command in a container; return its output and its artifacts."""
        name = f"himalia-test-digits-{uuid.uuid4().hex[:12]}"
        self.names.append(name)
        workspace, artifacts = self.directory / f"{name}-work", self.directory / f"{name}-artifacts"
        shutil.copytree(DIGITS, workspace, ignore=shutil.ignore_patterns("artifacts", "__pycache__"))
        artifacts.mkdir()
        give_to_jobs(workspace, artifacts, self.directory / "storage")
        mounts = {workspace: "/workspace", artifacts: "/artifacts", self.directory / "storage": "/storage"}
        words = ["docker", "run", "--rm", "--name", name, "--network", "none", "--user", f"{UID}:{GID}"]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--workdir", "/workspace"]
        words += [word for source, target in mounts.items() for word in ("--volume", f"{source}:{target}")]
        words += ["--env", "HIMALIA_ARTIFACTS=/artifacts", "--env", "HIMALIA_STORAGE=/storage", IMAGE, *command]
        ended = subprocess.run(words, capture_output=True, timeout=DEADLINE_SECONDS, check=False)
        output = (ended.stdout + ended.stderr).decode()
        assert ended.returncode == 0, output
        return output, artifacts


def give_to_jobs(*directories: Path) -> None:
    """Let the person whom containers run as write there."""
    for directory in directories:
        if os.geteuid() == 0:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, UID, GID)
        else:
            directory.chmod(0o777)


@pytest.fixture
def run_job(tmp_path: Path) -> Iterator[Jobs]:
    """Run commands in containers as the same person."""
    (tmp_path / "storage").mkdir()
    jobs = Jobs(directory=tmp_path)
    yield jobs
    for name in jobs.names:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def metrics_in(artifacts: Path) -> dict[str, Any]:
    """Return what metrics.json says."""
    loaded: dict[str, Any] = json.loads((artifacts / "metrics.json").read_text())
    return loaded


def test_the_script_leaves_a_model_metrics_and_a_picture_and_tells_of_each_epoch(run_job: Jobs) -> None:
    output, artifacts = run_job(*SCRIPT, "--epochs", "12")

    assert [line.split()[1] for line in output.splitlines() if line.startswith("epoch")] == [
        f"{number}/12" for number in range(1, 13)
    ]
    assert sorted(path.name for path in artifacts.iterdir()) == ["confusion.png", "metrics.json", "model.joblib"]
    assert (artifacts / "confusion.png").read_bytes().startswith(PNG)
    metrics = metrics_in(artifacts)
    assert metrics["accuracy"] > 0.9
    assert metrics["epochs"] == len(metrics["accuracies"]) == 12


def test_hyper_parameters_come_from_the_command_line(run_job: Jobs) -> None:
    _, artifacts = run_job(*SCRIPT, "--epochs", "2", "--hidden", "16", "--learning-rate", "0.01", "--seed", "7")

    assert metrics_in(artifacts)["parameters"] == {"hidden": 16, "learning_rate": 0.01, "seed": 7}


def test_a_second_job_goes_on_from_the_checkpoint_and_ends_like_one_without_a_break(run_job: Jobs) -> None:
    run_job(*SCRIPT, "--epochs", "3")
    went_on, in_two = run_job(*SCRIPT, "--epochs", "6")
    started, in_one = run_job(*SCRIPT, "--epochs", "6", "--fresh")

    assert "Going on from epoch 3" in went_on
    assert "epoch   4/6" in went_on
    assert "epoch   3/6" not in went_on
    assert "Starting from the beginning" in started
    assert metrics_in(in_two) == metrics_in(in_one)


def test_a_job_that_has_nothing_left_to_train_says_so_and_leaves_everything(run_job: Jobs) -> None:
    run_job(*SCRIPT, "--epochs", "2")
    output, artifacts = run_job(*SCRIPT, "--epochs", "2")

    assert (
        "It has 2 epochs already: this run only tests it again. Train on with --epochs 4, or anew with --fresh."
        in output
    )
    assert metrics_in(artifacts)["epochs"] == 2


def test_the_notebook_does_the_same_and_shows_the_pictures(run_job: Jobs) -> None:
    parameters = json.dumps({"epochs": 4, "hidden": 16, "seconds_per_epoch": 0})

    output, artifacts = run_job(*NOTEBOOK, "--parameters_yaml", parameters)

    assert "epoch   4/4" in output
    executed = json.loads((artifacts / "train.ipynb").read_text())
    shown = [name for cell in executed["cells"] for out in cell.get("outputs", []) for name in out.get("data", {})]
    assert shown.count("image/png") == 2
    metrics = metrics_in(artifacts)
    assert (metrics["epochs"], metrics["parameters"]["hidden"]) == (4, 16)


def test_the_notebook_goes_on_from_the_scripts_checkpoint_and_the_other_way_round(run_job: Jobs) -> None:
    run_job(*SCRIPT, "--epochs", "2")
    notebook, _ = run_job(*NOTEBOOK, "--parameters_yaml", json.dumps({"epochs": 4, "seconds_per_epoch": 0}))
    script, _ = run_job(*SCRIPT, "--epochs", "5")

    assert "Going on from epoch 2" in notebook
    assert "Going on from epoch 4" in script


def test_run_by_hand_it_leaves_its_artifacts_beside_itself(run_job: Jobs) -> None:
    train = "unset HIMALIA_ARTIFACTS HIMALIA_STORAGE; python3 train.py --epochs 1"

    output, artifacts = run_job(
        "sh", "-c", f"{train} && ls artifacts ~/.cache/himalia/digits && cp -r artifacts /artifacts"
    )

    assert "hidden64-rate0.002-seed0.joblib" in output
    assert sorted(path.name for path in (artifacts / "artifacts").iterdir()) == [
        "confusion.png",
        "metrics.json",
        "model.joblib",
    ]
