"""From a job's row to the launch specification of its attempt."""

from __future__ import annotations

import math
from typing import Any

import yaml  # type: ignore[import-untyped]  # it comes with JupyterHub

from himalia.container import ARTIFACTS, NO_GPU, STORAGE, TEAM
from himalia.gpus import Slot
from himalia.site import Mount, Site

from .disk.allowance import disk_limit
from .engines.base import LaunchSpec, StorageMount
from .store.records import AttemptRecord, JobRecord


def launch_spec(job: JobRecord, attempt: AttemptRecord, site: Site) -> LaunchSpec:
    """Return everything that the attempt's container is made of; the same row gives the same specification."""
    slots = tuple(Slot(**slot) for slot in attempt.slots)
    return LaunchSpec(
        attempt=attempt.id,
        job_id=job.id,
        node_id=attempt.node_id,
        owner=job.owner,
        user=job.user,
        lease_id=attempt.lease_id,
        image_id=job.image_id,
        argv=tuple(argv_of(job.spec, site.jobs.workspace_path)),
        env=job_env(job, attempt, slots, site),
        workdir=str(job.spec.get("workdir") or ""),
        workspace_path=site.jobs.workspace_path,
        workspace_owner=job.snapshot_owner_id or "",
        workspace_digest=job.snapshot_digest or "",
        cpus=job.cpus,
        memory_bytes=job.memory_bytes,
        slots=slots,
        mounts=storage_mounts(job.user_id, job.teams, site),
        grace_seconds=longest_grace(job, site),
        log_limit_bytes=site.limits.log_size,
        disk=disk_limit(job, site),
        internet=site.jobs.internet,
    )


def longest_grace(job: JobRecord, site: Site) -> float:
    """Return how long its processes may have from SIGTERM on, whyever it ends; who ends it sooner does so by the Engine."""
    return float(max(site.limits.stop_grace, site.queue.preempt_grace if job.preemptible else 0))


def argv_of(spec: dict[str, Any], workspace: str = "") -> list[str]:
    """Return the command; a notebook runs with papermill, saved after each cell, its parameters as values."""
    notebook = spec.get("notebook")
    if not notebook:
        return list(spec["command"])
    name = notebook["path"].rsplit("/", 1)[-1]
    return [
        "python3",
        "-m",
        "papermill",
        f"{workspace}/{notebook['path']}" if workspace else notebook["path"],
        f"{ARTIFACTS}/{name}",
        "--log-output",
        "--no-progress-bar",
        "--parameters_yaml",
        # JSON is not quite YAML: there 1e-05 would be a string.
        yaml.safe_dump(notebook.get("parameters") or {}, default_flow_style=True, width=math.inf).strip(),
    ]


def job_env(job: JobRecord, attempt: AttemptRecord, slots: tuple[Slot, ...], site: Site) -> dict[str, str]:
    """Return the environment of a job: the person's own, then ours, which wins."""
    own = dict(job.spec.get("env") or {})
    env = (
        NO_GPU
        | own
        | {
            "HIMALIA_JOB_ID": job.id,
            "HIMALIA_ATTEMPT": attempt.id,
            "HIMALIA_PROJECT": job.project,
            "HIMALIA_EXPERIMENT": job.experiment or "",
            "HIMALIA_OWNER": job.owner,
            "HIMALIA_USER": job.user,
            "HIMALIA_WORKSPACE": site.jobs.workspace_path,
            "HIMALIA_ARTIFACTS": ARTIFACTS,
            "HIMALIA_STORAGE": STORAGE,
            "HIMALIA_GPUS": ",".join(slot.device for slot in slots),
            "PYTHONUNBUFFERED": "1",
        }
    )
    if job.spec.get("clean"):
        env["PYTHONNOUSERSITE"] = "1"
    return env


def storage_mounts(user_id: str, teams: dict[str, str], site: Site) -> tuple[StorageMount, ...]:
    """Return the storages a person sees, in servers and in jobs: their own, their teams', and the site's."""
    own = StorageMount(kind="storage", name=user_id, target=STORAGE)
    shared = [
        StorageMount(kind="team", name=team_id, target=f"{TEAM}/{name}") for name, team_id in sorted(teams.items())
    ]
    declared = [
        StorageMount(kind="site", name=str(mount.host), target=mount.target, read_only=mount.mode == "ro")
        for mount in site.mounts
        if _may_see(mount, teams)
    ]
    return (own, *shared, *declared)


def _may_see(mount: Mount, teams: dict[str, str]) -> bool:
    return not mount.teams or bool(set(mount.teams) & set(teams))
