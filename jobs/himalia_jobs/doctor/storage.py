"""Checks of the data directory: where it lies, how full it is, how workspaces are made, the database."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from himalia.doctor import Outcome
from himalia.site import Site
from himalia.units import format_size

from ..disk.places import KINDS, Known, limit_of, read_known
from ..disk.reserve import FEWEST_FILES
from ..disk.words import Level
from ..engines.disk import NO_LIMIT, DiskLimit
from ..engines.disk_use.project_quota import find_quota
from ..engines.workspace import overlay_works
from ..layout import DataLayout
from ..store.looking import look_at
from .here import Here

REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs")
MOUNTS = Path("/proc/self/mountinfo")
_MANY = {"home": "homes", "storage": "storages", "team": "teams"}
WATCHED = (
    "The file system does not fence: jobs are looked at every 2 s and ended above their limit, homes and storages are looked "
    "at every few minutes. With ext4 or xfs mounted with prjquota it does (docs/howto/disk.md)."
)


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
    if inodes.f_files and inodes.f_favail < FEWEST_FILES:
        return Outcome(
            ok=False,
            message=f"The data disk has room for {inodes.f_favail} more files only: nothing new starts under {FEWEST_FILES}.",
            advice="Delete old jobs: small files use up a disk as well.",
        )
    if usage.free < 3 * reserve:
        return Outcome(
            ok=None, message=f"{room}, and nothing new starts under {format_size(reserve)}", advice="Make room soon."
        )
    return Outcome(ok=True, message=room)


def limits(here: Here) -> Outcome:
    """Tell which limits of the disk are in force, and who holds people to them."""
    if not here.data.is_dir():
        return Outcome(ok=None, message="not looked at: there is no data directory yet")
    kinds = {kind: limit_of(here.site, kind) for kind in KINDS}
    said = "; ".join([_jobs_limit(here.site), *(_limit(f"{_MANY[kind]}", limit) for kind, limit in kinds.items())])
    full = [_full(known) for known in read_known(DataLayout(data=here.data).disk_use) if known.level is not Level.OK]
    advice = " ".join(full)
    if os.geteuid() == 0 and find_quota(here.data) is not None:
        return Outcome(ok=None if full else True, message=f"project quota: {said}", advice=advice)
    return Outcome(
        ok=None if full else True,
        message=f"watched: {said}",
        advice=advice,
        details=(WATCHED,),
    )


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


def _jobs_limit(site: Site) -> str:
    """Return what jobs may write: the same for all profiles, or from the least to the most."""
    sizes = sorted({profile.disk or 0 for profile in site.profiles if profile.jobs}, key=lambda size: size or 2**62)
    words = [format_size(size) if size else "without limit" for size in sizes]
    return f"jobs {words[0] if len(words) < 2 else f'{words[0]} to {words[-1]}'}" if words else "no jobs"


def _limit(name: str, limit: DiskLimit) -> str:
    if limit == NO_LIMIT:
        return f"{name} without limit"
    parts = [format_size(limit.size_bytes)] if limit.size_bytes else []
    return f"{name} {' and '.join([*parts, f'{limit.files:,} files'] if limit.files else parts)}"


def _full(known: Known) -> str:
    """Return which place is nearly full, or full."""
    place, use = known.use.place, known.use
    how = "full" if known.level is Level.FULL else "nearly full"
    return f"{place.kind} {place.name} is {how}: {format_size(use.used_bytes)}, {use.files:,} files."


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
