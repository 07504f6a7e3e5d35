"""Train a classifier of handwritten digits: the example that goes all the way, as a job, in a notebook, or by hand.

    python3 train.py --epochs 30 --hidden 64 --learning-rate 0.002

It leaves `model.joblib`, `metrics.json` and `confusion.png` in the artifacts, and a checkpoint in the storage after
each epoch. Started again with the same hyper-parameters, it goes on from there: after a stop, or with more epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import joblib
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

DIGITS = list(range(10))


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The hyper-parameters: other ones are another model, with a checkpoint of its own."""

    hidden: int = 64
    learning_rate: float = 0.002
    seed: int = 0


@dataclass(kw_only=True)
class Training:
    """A model, and how it became better."""

    parameters: Parameters
    model: MLPClassifier
    accuracies: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many epochs it has behind it."""
        return len(self.accuracies)


def artifacts_directory() -> Path:
    """Return where to leave results: collected after a job; `artifacts` here when run by hand."""
    directory = Path(os.environ.get("HIMALIA_ARTIFACTS", "artifacts"))
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def checkpoint_file(parameters: Parameters) -> Path:
    """Return where the checkpoint lies: in the storage that all servers and jobs of a person share."""
    storage = os.environ.get("HIMALIA_STORAGE")
    directory = Path(storage) if storage else Path.home() / ".cache" / "himalia"
    name = f"hidden{parameters.hidden}-rate{parameters.learning_rate:g}-seed{parameters.seed}.joblib"
    return directory / "digits" / name


def begin(parameters: Parameters, *, fresh: bool = False) -> Training:
    """Return the training as the last run left it, or a new one; say which."""
    file = checkpoint_file(parameters)
    if file.exists() and not fresh:
        # A plain dictionary: script and notebook would not find each other's classes.
        training = Training(parameters=parameters, **joblib.load(file))
        print(f"Going on from epoch {training.epochs}, the checkpoint in {file}", flush=True)
        return training
    print(f"Starting from the beginning, with checkpoints in {file}", flush=True)
    model = MLPClassifier(
        (parameters.hidden,), batch_size=64, learning_rate_init=parameters.learning_rate, random_state=parameters.seed
    )
    return Training(parameters=parameters, model=model)


def save(training: Training) -> None:
    """Keep a checkpoint; a stop in the middle of it leaves the one before."""
    file = checkpoint_file(training.parameters)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")
    joblib.dump({"model": training.model, "accuracies": training.accuracies, "losses": training.losses}, unfinished)
    unfinished.replace(file)


def train(training: Training, *, epochs: int, seconds_per_epoch: float = 0.0) -> Iterator[str]:
    """Train until the model has `epochs` behind it; give a line about each."""
    images, test_images, labels, test_labels = split(training.parameters.seed)
    while training.epochs < epochs:
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch at a time never converges
            training.model.partial_fit(images, labels, classes=DIGITS)
        training.losses.append(round(float(training.model.loss_), 4))
        training.accuracies.append(round(float(training.model.score(test_images, test_labels)), 4))
        save(training)
        time.sleep(max(0.0, began + seconds_per_epoch - time.monotonic()))
        yield f"epoch {training.epochs:3}/{epochs}  loss {training.losses[-1]:.4f}  accuracy {training.accuracies[-1]:.4f}"


def split(seed: int) -> tuple[object, object, object, object]:
    """Return images to train on, images to test with, and their labels in the same order."""
    digits = load_digits()
    parts = train_test_split(digits.data / 16, digits.target, test_size=0.25, random_state=seed, stratify=digits.target)
    return tuple(parts)


def confusion(training: Training) -> Figure:
    """Draw which digits the model takes for which."""
    _, images, _, labels = split(training.parameters.seed)
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(f"{training.accuracies[-1]:.1%} right after {training.epochs} epochs")
    ConfusionMatrixDisplay.from_estimator(training.model, images, labels, ax=axes, cmap="Blues", colorbar=False)
    return figure


def write_artifacts(training: Training) -> list[Path]:
    """Write model, metrics and picture; return the files."""
    directory = artifacts_directory()
    model, metrics, picture = (directory / name for name in ("model.joblib", "metrics.json", "confusion.png"))
    joblib.dump(training.model, model)
    figures = {
        "accuracy": training.accuracies[-1],
        "loss": training.losses[-1],
        "epochs": training.epochs,
        "parameters": asdict(training.parameters),
        "accuracies": training.accuracies,
        "losses": training.losses,
    }
    metrics.write_text(json.dumps(figures, indent=2) + "\n")
    confusion(training).savefig(picture, dpi=120)
    return [model, metrics, picture]


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    usual = Parameters()
    parser = argparse.ArgumentParser(description="Train a classifier of handwritten digits.")
    parser.add_argument("--epochs", type=int, default=30, help="in all, those before the checkpoint too (%(default)s)")
    parser.add_argument("--hidden", type=int, default=usual.hidden, help="neurons in the hidden layer (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=usual.learning_rate, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="the same seed gives the same model (%(default)s)")
    parser.add_argument("--seconds-per-epoch", type=float, default=0.1, help="at least, to watch it (%(default)s)")
    parser.add_argument("--fresh", action="store_true", help="start from the beginning, whatever the storage holds")
    arguments = parser.parse_args()
    if arguments.epochs < 1 or arguments.hidden < 1:
        parser.error("--epochs and --hidden are at least 1")
    return arguments


def main() -> None:
    """Train as the command line says, and leave what came out of it."""
    arguments = read_arguments()
    parameters = Parameters(hidden=arguments.hidden, learning_rate=arguments.learning_rate, seed=arguments.seed)
    training = begin(parameters, fresh=arguments.fresh)
    if training.epochs >= arguments.epochs:
        more = f"Train on with --epochs {2 * training.epochs}, or anew with --fresh."
        print(f"It has {training.epochs} epochs already: this run only tests it again. {more}", flush=True)
    for line in train(training, epochs=arguments.epochs, seconds_per_epoch=arguments.seconds_per_epoch):
        print(line, flush=True)
    files = write_artifacts(training)
    print(f"{training.accuracies[-1]:.1%} of the digits are right. Wrote {', '.join(map(str, files))}", flush=True)


if __name__ == "__main__":
    main()
