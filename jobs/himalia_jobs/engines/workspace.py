"""The workspace of an attempt: an overlay over the snapshot's tree, mounted by the Engine itself, or a copied tree."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Protocol

from himalia.container import Label, identity_of

from ..layout import DataLayout, make_owned
from .base import LaunchSpec


class Trees(Protocol):
    """Makes the tree of a snapshot, once per owner and digest."""

    def materialize(self, owner_id: str, digest: str) -> Path:
        """Return the directory with the snapshot's files; it is never changed afterwards."""


def overlay_works(data: Path) -> bool:
    """Find out whether an overlay can lie on this file system: one that is an overlay itself, or NFS, refuses."""
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data, prefix=".probe") as folder:
        for name in ("lower", "upper", "work", "merged"):
            (Path(folder) / name).mkdir()
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        # In a mount namespace of its own, so that nothing is left behind whatever happens.
        command = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, f"{folder}/merged"]
        try:
            return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False


def volume_name(installation: str, attempt: str) -> str:
    """Return the name of an attempt's volume."""
    return f"himalia-{installation}-{attempt}-workspace"


def volume_mount(installation: str, attempt: str, target: str, tree: Path, own: Path) -> dict[str, Any]:
    """Return the mount of an attempt's overlay.

    The Engine makes the volume with the container, mounts it with its start and unmounts it with its end. Nothing of the
    image is copied into it.
    """
    overlay = {
        "type": "overlay",
        "device": "overlay",
        "o": f"lowerdir={tree},upperdir={own / 'upper'},workdir={own / 'work'}",
    }
    return {
        "Type": "volume",
        "Source": volume_name(installation, attempt),
        "Target": target,
        "VolumeOptions": {
            "NoCopy": True,
            "Labels": {Label.INSTALLATION: installation, Label.KIND: "job", Label.ATTEMPT: attempt},
            "DriverConfig": {"Name": "local", "Options": overlay},
        },
    }


def prepare_directories(layout: DataLayout, spec: LaunchSpec) -> Path:
    """Make the attempt's own directories and return the one they lie in."""
    own = layout.attempt(spec.attempt)
    own.mkdir(parents=True, exist_ok=True)
    for name in ("run", "home", "artifacts", "upper"):
        make_owned(own / name, spec.user)
    (own / "work").mkdir(exist_ok=True)
    return own


def copy_tree(tree: Path, own: Path, user: str) -> None:
    """Copy a tree to where the overlay would have its changes; a copy cut short is made anew."""
    done = own / "copied"
    if done.exists():
        return
    shutil.rmtree(own / "upper", ignore_errors=True)
    shutil.copytree(tree, own / "upper", symlinks=True, copy_function=shutil.copy2)
    identity = identity_of(user)
    for folder, folders, files in os.walk(own / "upper"):
        os.chown(folder, identity.uid, identity.gid)
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), identity.uid, identity.gid, follow_symlinks=False)
    done.touch()


def remove_directories(layout: DataLayout, attempt: str) -> None:
    """Remove what only the running attempt needed; log and artifacts stay."""
    own = layout.attempt(attempt)
    for name in ("upper", "work", "home", "run"):
        shutil.rmtree(own / name, ignore_errors=True)
    (own / "copied").unlink(missing_ok=True)


def remove_everything(layout: DataLayout, attempt: str) -> None:
    """Remove an attempt's directory with its log and artifacts; the job's own goes with its last attempt."""
    own = layout.attempt(attempt)
    shutil.rmtree(own, ignore_errors=True)
    with contextlib.suppress(OSError):  # other attempts of the job are still there
        own.parent.rmdir()
