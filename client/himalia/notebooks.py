"""Notebooks as jobs: what can be said about one before anything is sent."""

from __future__ import annotations

import json
import keyword
from collections.abc import Mapping
from typing import Any

from .errors import FieldError, LocalError
from .models import EntryType
from .snapshot import Scan

SUFFIX = ".ipynb"


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise FieldError for a name that no variable can have, or a value that JSON does not know."""
    for name, value in parameters.items():
        if not name.isidentifier() or keyword.iskeyword(name):
            raise FieldError(
                "parameters", f"{name!r} is no name of a parameter. Write it like a variable: learning_rate."
            )
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise FieldError(
                "parameters",
                f"The parameter {name} must be a number, a text, true, false, null, or a list or table of them.",
            ) from error


def check_notebook(scanned: Scan, path: str) -> None:
    """Raise LocalError when a notebook is not among what is sent, is none, or names no kernel."""
    if not path.endswith(SUFFIX):
        raise LocalError(f"{path} is no notebook: its name does not end in {SUFFIX}.")
    kind = kind_of(scanned, path)
    if kind is None:
        raise LocalError(missing(scanned, path))
    if kind is EntryType.FILE:
        _check_content(path, _read(scanned, path))


def kind_of(scanned: Scan, path: str) -> EntryType | None:
    """Return what a path is among what is sent; what lies behind a link is the link's, for it leads who knows where."""
    kinds = {entry.path: entry.type for entry in scanned.entries}
    steps = path.split("/")
    above = ["/".join(steps[:count]) for count in range(1, len(steps))]
    if any(kinds.get(directory) is EntryType.SYMLINK for directory in above):
        return EntryType.SYMLINK
    return kinds.get(path)


def missing(scanned: Scan, path: str) -> str:
    """Return the sentence for something that is not among what is sent."""
    for left in scanned.left_out:
        if path == left.path or path.startswith(f"{left.path}/"):
            return f"{path} is left out by {left.rule}, so the job would not have it. Change the rule."
    return f"There is no {path} in {scanned.root}. Write its path relative to the directory that is submitted."


def _read(scanned: Scan, path: str) -> Any:
    try:
        return json.loads((scanned.root / path).read_bytes())
    except OSError as error:
        raise LocalError(f"{path} cannot be read ({error.strerror}). Change its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise LocalError(
            f"{path} is no notebook: its content is not JSON. Open it in JupyterLab and save it."
        ) from error


def _check_content(path: str, content: Any) -> None:
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise LocalError(f"{path} is no notebook: its content has no nbformat. Open it in JupyterLab and save it.")
    metadata = content.get("metadata")
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    if not isinstance(kernel, dict) or not kernel.get("name"):
        raise LocalError(f"{path} names no kernel. Open it in JupyterLab, choose a kernel and save it.")
