"""What holds for a lease: the settings, with its profile's own."""

from __future__ import annotations

from dataclasses import replace

from himalia.site import Profile, Site

from .words import Terms


def terms_of(site: Site, kind: str, profile: Profile | None, *, gpus: int) -> Terms:
    """Return what holds for a server or a job with so many GPUs."""
    idle = site.idle
    terms = Terms(idle_after=None, warning=idle.warning, keep_for=idle.keep_for, keeps=idle.keeps, then=idle.then)
    if kind == "job":
        if not gpus or idle.jobs_after is None:
            return terms
        # It is told when it has been idle for so long; its end, where that is wanted, comes a warning later.
        return replace(terms, idle_after=idle.jobs_after + idle.warning, ends=idle.jobs_then == "end")
    if profile is None:  # it is not offered any more
        return replace(terms, idle_after=idle.after if gpus else None)
    own = idle.after if profile.idle_after == "" else profile.idle_after
    return replace(
        terms, idle_after=own if gpus else None, max_age=profile.max_age, then=profile.idle_then or idle.then
    )
