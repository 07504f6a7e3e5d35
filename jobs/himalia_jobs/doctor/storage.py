"""Checks of the data directory: where it lies, how full it is, how workspaces are made, the database."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from himalia.doctor import Outcome
from himalia.units import format_size

from ..engines.workspace import overlay_works
from ..layout import DataLayout
from ..store.looking import look_at
from .here import Here

REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs")
MOUNTS = Path("/proc/self/mountinfo")
FEWEST_INODES = 10_000


def data(here: Here) -> Outcome:
    """Tell whether the data directory lies where it can be used."""
    path = here.data
    if any(letter in str(path) for letter in ":,"):
        return Outcome(
            ok=False,
            message=f"{path} has a ':' or ',' in its path, which mounts cannot name.",
            advice=f"Move it, and set [platform] data in {here.file}.",
        )
    kind = file_system(_nearest(path))
    if kind in REMOTE:
        return Outcome(
            ok=False,
            message=f"{path} lies on {kind}: the database can break there, and workspaces cannot be overlays.",
            advice=f"Put it on a disk of this machine: [platform] data in {here.file}.",
        )
    if not path.is_dir():
        return Outcome(ok=None, message=f"{path} is not there yet; the first start makes it")
    if not os.access(path, os.W_OK | os.X_OK):
        return Outcome(ok=False, message=f"{path} cannot be written to.", advice="Run this, and the platform, as root.")
    secrets = path / "secrets"
    if secrets.is_dir() and secrets.stat().st_mode & 0o077:
        return Outcome(ok=False, message=f"Others can look into {secrets}.", advice=f"Run `chmod -R go= {secrets}`.")
    return Outcome(ok=True, message=f"{path} ({kind or 'unknown file system'})")


def disk(here: Here) -> Outcome:
    """Tell whether there is room: under the reserve nothing new starts."""
    place, reserve = _nearest(here.data), here.site.limits.disk_reserve
    usage, inodes = shutil.disk_usage(place), os.statvfs(place)
    room = f"{format_size(usage.free)} of {format_size(usage.total)} free"
    if usage.free < reserve:
        return Outcome(
            ok=False,
            message=f"The data disk has {room}: nothing new starts under {format_size(reserve)}.",
            advice=f"Delete old jobs and images, or use a larger disk. The limit is [limits] disk_reserve in {here.file}.",
        )
    if inodes.f_files and inodes.f_favail < FEWEST_INODES:
        return Outcome(
            ok=False,
            message=f"The data disk has room for {inodes.f_favail} more files only.",
            advice="Delete old jobs: small files use up a disk as well.",
        )
    if usage.free < 3 * reserve:
        return Outcome(
            ok=None, message=f"{room}, and nothing new starts under {format_size(reserve)}", advice="Make room soon."
        )
    return Outcome(ok=True, message=room)


def workspaces(here: Here) -> Outcome:
    """Tell how a job's workspace is made here: as an overlay over the submitted files, or as a copy."""
    if not here.data.is_dir():
        return Outcome(ok=None, message="not looked at: there is no data directory yet")
    if os.geteuid() != 0:
        return Outcome(ok=None, message="not looked at: only root may mount", advice="Run this as root.")
    if overlay_works(here.data):
        return Outcome(ok=True, message="overlays: a start does not copy the submitted files")
    return Outcome(
        ok=None,
        message=f"copies: an overlay cannot lie on {here.data} ({file_system(here.data) or 'unknown file system'})",
        advice="Each start copies the submitted files. A data directory on ext4 or xfs makes that needless.",
    )


def database(here: Here) -> Outcome:
    """Tell whether the service's database can be used by this version."""
    file = DataLayout(data=here.data).database
    if not file.exists():
        return _no_database(here, file)
    state = look_at(file)
    if state.damage:
        return Outcome(
            ok=False,
            message=f"{file} is damaged ({state.damage}).",
            advice="Put a backup in its place, or move it away and start `himalia-service --adopt` once.",
        )
    if not state.known:
        return Outcome(
            ok=False,
            message=f"{file} was written by a newer Himalia (step {state.step}).",
            advice="Start the newer version, or put the backup of this version in its place.",
        )
    if not state.newest:
        return Outcome(ok=None, message="the next start of the service brings it forward, and keeps a copy of it")
    return Outcome(ok=True, message=f"sound, step {state.step}, {format_size(file.stat().st_size)}")


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of file system that a path lies on; empty when it cannot be told."""
    best, kind = -1, ""
    for line in mounts.read_text(errors="replace").splitlines():
        words, _, rest = line.partition(" - ")
        point = Path(words.split()[4].replace("\\040", " "))
        if (path == point or point in path.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), rest.split()[0]
    return kind


def _no_database(here: Here, file: Path) -> Outcome:
    jobs = here.data / "jobs"
    if jobs.is_dir() and any(jobs.iterdir()):
        return Outcome(
            ok=False,
            message=f"{file} is missing, but {jobs} holds jobs.",
            advice="Put a backup in its place, or start `himalia-service --adopt` once to begin a new one.",
        )
    return Outcome(ok=None, message="there is none yet; the first start makes it")


def _nearest(path: Path) -> Path:
    """Return the path, or the nearest directory above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())
