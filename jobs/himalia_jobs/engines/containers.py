"""From a launch specification to the body of the Engine's `containers/create`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from himalia import container as contract
from himalia.container import Label, identity_of

from ..layout import DataLayout, make_owned
from .base import LaunchSpec, StorageMount

LAUNCHER_NAME = "himalia-launcher"
#: Without internet: nobody's address as nameserver, and a second to find that out. Docker's resolver would ask one on the
#: host's loopback from the host itself, past every rule, and names that are asked for carry data out as well.
NO_NAMES: dict[str, Any] = {"Dns": ["192.0.2.1"], "DnsOptions": ["timeout:1", "attempts:1"]}


def create_body(
    spec: LaunchSpec,
    *,
    installation: str,
    layout: DataLayout,
    workspace: Mapping[str, Any],
    devices: Sequence[Mapping[str, Any]],
    ulimits: Sequence[Mapping[str, object]],
) -> dict[str, Any]:
    """Return everything the Engine needs to make the attempt's container."""
    identity = identity_of(spec.user)
    host = contract.host_config(cpus=spec.cpus, memory_bytes=spec.memory_bytes, ulimits=tuple(ulimits))
    host |= {
        "NetworkMode": contract.network_name(installation, "job"),
        "LogConfig": {"Type": "none", "Config": {}},
        **({} if spec.internet else NO_NAMES),
        "DeviceRequests": [dict(request) for request in devices],
        "Mounts": [*_mounts(spec, layout), dict(workspace)],
    }
    environment = dict(spec.env) | contract.person_env(spec.user) | {"HOME": contract.JOB_HOME}
    return {
        "Image": spec.image_id,
        "Hostname": spec.attempt.replace(".", "-"),
        "User": f"{identity.uid}:{identity.gid}",
        "WorkingDir": "/",
        "Env": [f"{name}={value}" for name, value in sorted((environment | contract.gpu_env(devices)).items())],
        "Entrypoint": _launcher(spec),
        "Cmd": list(spec.argv),
        "Labels": labels(spec, installation),
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }


def labels(spec: LaunchSpec, installation: str) -> dict[str, str]:
    """Return the labels by which a container is found again, whatever became of the database."""
    return {
        Label.INSTALLATION: installation,
        Label.KIND: "job",
        Label.OWNER: spec.owner,
        Label.USER: spec.user,
        Label.JOB: spec.job_id,
        Label.ATTEMPT: spec.attempt,
        Label.SPEC: spec.digest(),
        Label.LEASE: spec.lease_id,
        Label.SLOTS: ",".join(slot.uuid for slot in spec.slots),
        Label.NODE: spec.node_id,
        Label.CPUS: f"{spec.cpus:g}",
        Label.MEMORY: str(spec.memory_bytes),
    }


def _launcher(spec: LaunchSpec) -> list[str]:
    workdir = f"{spec.workspace_path}/{spec.workdir}".rstrip("/")
    return [
        f"{contract.LAUNCHER}/{LAUNCHER_NAME}",
        "--log",
        f"{contract.RUN}/log",
        "--exit",
        f"{contract.RUN}/exit.json",
        "--grace",
        f"{spec.grace_seconds:g}",
        "--limit",
        str(spec.log_limit_bytes),
        "--workdir",
        workdir,
        "--",
    ]


def _mounts(spec: LaunchSpec, layout: DataLayout) -> list[dict[str, Any]]:
    own = layout.attempt(spec.attempt)
    return [
        _bind(layout.launcher, contract.LAUNCHER, read_only=True),
        _bind(make_owned(own / "run", spec.user), contract.RUN),
        _bind(make_owned(own / "home", spec.user), contract.JOB_HOME),
        _bind(make_owned(own / "artifacts", spec.user), contract.ARTIFACTS),
        *(_bind(_source(mount, layout, spec.user), mount.target, read_only=mount.read_only) for mount in spec.mounts),
    ]


def _source(mount: StorageMount, layout: DataLayout, user: str) -> Path:
    """Return the host's directory for a storage; those of people and teams are made when they are first needed."""
    if mount.kind == "storage":
        return make_owned(layout.storage(mount.name), user)
    if mount.kind == "team":
        return make_owned(layout.team(mount.name), user)
    return Path(mount.name)


def _bind(source: Path, target: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}
