"""Getting back what a job ran: its files as they were submitted, or a branch of one's own repository that has them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ..client import Client
from ..client.files import download_files
from ..errors import LocalError, NotFound
from ..models import JobView


def check_out(client: Client, job: JobView, to: Path) -> int:
    """Write a job's files into a new directory; return how many there are."""
    manifest = client.files(job.id)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise LocalError(f"{to} is there already. Choose a new directory with --to.")
    return download_files(client.http, manifest, job.id, to)


def check_out_branch(client: Client, job: JobView, branch: str, to: Path) -> int:
    """Make a work tree of the repository here: a new branch at the job's commit, with the job's files in it, not committed."""
    source = job.source
    if source is None:
        raise LocalError(f"It is not known which commit {job.id} was submitted from. Leave --branch out.")
    manifest = client.files(job.id)
    _git(Path(), "cat-file", "-e", f"{source.commit}^{{commit}}", failed=_lacking(source.commit, source.remote))
    _git(Path(), "worktree", "add", "--quiet", "-b", branch, "--", str(to), source.commit)
    try:
        _git(to, "apply", "--binary", "--whitespace=nowarn", "--allow-empty", given=client.diff(job.id))
    except NotFound:
        pass  # none is recorded: the files themselves say what differs, but for those that are gone
    return download_files(client.http, manifest, job.id, to / source.directory)


def _lacking(commit: str, remote: str) -> str:
    where = f" of {remote}" if remote else ""
    return f"There is no repository here that has the commit {commit}. Go to a clone{where}, and fetch it."


def _git(folder: Path, *words: str, given: bytes | None = None, failed: str = "") -> None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, input=given, capture_output=True)
    except FileNotFoundError as error:
        raise LocalError("git is not installed here. Leave --branch out: the files alone need none.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise LocalError(failed or f"git does not do it: {said[-1] if said else 'it gave no reason'}.")
