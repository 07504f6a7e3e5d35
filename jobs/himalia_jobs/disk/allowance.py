"""What a job may write to the disk: what it asks for, as far as its profile allows, or what the profile says."""

from __future__ import annotations

from himalia.errors import FieldError
from himalia.site import Profile, Site
from himalia.units import format_size, parse_size

from ..engines.disk import DiskLimit
from ..store.records import JobRecord


def disk_asked(asked: str | int | None, profile: Profile) -> int | None:
    """Return what a job may write, where it asks for that itself."""
    if asked is None:
        return None
    size_bytes, most = parse_size(asked, "disk"), most_disk(profile)
    if most is not None and size_bytes > most:
        told = f"The profile {profile.name} allows {format_size(most)} at most."
        raise FieldError("disk", f"{told} Ask for less, or choose another profile.")
    return size_bytes


def disk_again(asked: int | None, profile: Profile) -> int | None:
    """Return the same for a job that is run again: no more than the profile allows today."""
    most = most_disk(profile)
    return asked if asked is None or most is None else min(asked, most)


def disk_limit(job: JobRecord, site: Site) -> DiskLimit:
    """Return what a job may write to the disk: what it asked for, else what its profile says now, if that is still there."""
    profile = site.profile(job.profile)
    size, files = (profile.disk, profile.disk_files) if profile else (None, None)
    return DiskLimit(size_bytes=job.disk_bytes or size or 0, files=files or 0)


def most_disk(profile: Profile) -> int | None:
    """Return the most bytes that a job may ask for; none: as much as there is."""
    return None if profile.disk is None else max(profile.disk, profile.max_disk or 0)
