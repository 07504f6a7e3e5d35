"""The check of repositories: whether this machine can fetch them, cut off from all else."""

from __future__ import annotations

from himalia.doctor import Outcome

from ..git.cage import inside, why_not
from .here import Here


def repositories(here: Here) -> Outcome:
    """Tell from where repositories are fetched, or why none can be."""
    setting = here.site.git
    if not setting.hosts:
        return Outcome(ok=None, message="none are fetched: [git] hosts is empty")
    reason = why_not()
    if reason:
        return Outcome(
            ok=False,
            message=f"None can be fetched: {reason}",
            advice=f"Mend it, or set [git] hosts = [] in {here.file}. People can clone, and submit the directory.",
        )
    if setting.certificates is not None and not setting.certificates.is_file():
        return Outcome(
            ok=False,
            message=f"[git] certificates names {setting.certificates}, which is not there.",
            advice=f"Correct it in {here.file}.",
        )
    apart = "git has a view of its own" if inside() else "git would have no view of its own: this is not root"
    return Outcome(ok=True, message=f"from {', '.join(setting.hosts)}; {apart}")
