"""What a server's container is made of: the contract of all containers, and what the lease gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from himalia.container import HOME, Label, gpu_env, host_config, identity_of, person_env
from himalia.models import LeaseView
from himalia.owners import Owner

KIND = "server"
TOKENS = frozenset({"JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"})


def server_env(user: str, lease: LeaseView, *, clean: bool) -> dict[str, str]:
    """Return the environment that the contract asks for; it wins over whatever else is set."""
    env = person_env(user) | {"HOME": HOME, "HIMALIA_USER": user} | lease.environment | gpu_env(lease.device_requests)
    return env | {"PYTHONNOUSERSITE": "1"} if clean else env


def server_labels(installation: str, user: str, server: str, lease: LeaseView) -> dict[str, str]:
    """Return the labels by which the service and a later hub know the container."""
    return {
        Label.INSTALLATION: installation,
        Label.KIND: KIND,
        Label.OWNER: str(Owner.user(user)),
        Label.SERVER: server,
        Label.LEASE: lease.id,
        Label.SLOTS: ",".join(slot.uuid for slot in lease.slots),
        Label.NODE: lease.node_id,
        Label.USER: user,
        Label.CPUS: f"{lease.cpus:g}",
        Label.MEMORY: str(lease.memory_bytes),
    }


def server_host_config(lease: LeaseView, network: str) -> dict[str, Any]:
    """Return the HostConfig of a server: limits, mounts and devices of its lease, and nothing more may be gained."""
    mounts = [
        {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
        for mount in lease.mounts
    ]
    shared = host_config(cpus=lease.cpus, memory_bytes=lease.memory_bytes, ulimits=lease.ulimits, init=True)
    return shared | {
        "Mounts": mounts,
        "DeviceRequests": [dict(request) for request in lease.device_requests],
        "NetworkMode": network,
    }


def server_user(user: str) -> str:
    """Return uid and gid as the Engine takes them."""
    identity = identity_of(user)
    return f"{identity.uid}:{identity.gid}"


def merged_host_config(own: Mapping[str, Any], contract: Mapping[str, Any]) -> dict[str, Any]:
    """Return the administrator's HostConfig below ours; mounts and device requests add up."""
    lists = {name: [*(own.get(name) or ()), *contract[name]] for name in ("Mounts", "DeviceRequests")}
    return {**own, **contract, **lists}


def spec_digest(arguments: Mapping[str, Any]) -> str:
    """Return the digest of a launch specification, without the tokens, which differ each time."""
    env = {name: value for name, value in arguments["environment"].items() if name not in TOKENS}
    text = json.dumps({**arguments, "environment": env}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
