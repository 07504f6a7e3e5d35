"""The container contract: what every container that Himalia makes gets, server or job, GPU or not.

Spawner and engine both build their containers from these values, so that they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

HOME = "/home/jovyan"  #: of a server
STORAGE = "/storage"
TEAM = "/team"
WORKSPACE = "/workspace"  #: of a job, unless the operator sets another path
ARTIFACTS = "/artifacts"
HIMALIA = "/himalia"
LAUNCHER = f"{HIMALIA}/launcher"  #: read-only
RUN = f"{HIMALIA}/run"  #: the attempt's log and exit record
JOB_HOME = f"{HIMALIA}/home"  #: HOME of a job: apart from the run directory

PIDS_LIMIT = 4096
STACK_BYTES = 64 * 1024 * 1024
OPEN_FILES = 65_536  #: of a process
NO_GPU = {
    "NVIDIA_VISIBLE_DEVICES": "void"
}  #: CDI or the device request sets it otherwise; never `none`: old hooks read it as all
SWARM_RESOURCE = "DOCKER_RESOURCE_GPU"  #: the name that NVIDIA's own settings propose

#: Names people may not set: they steer the NVIDIA hook or the loader of a privileged program (CVE-2025-23266).
REFUSED_ENV_PREFIXES = ("LD_", "NVIDIA_", "HIMALIA_", "JUPYTERHUB_")
REFUSED_ENV = frozenset({"CUDA_VERSION", "CUDA_VISIBLE_DEVICES", SWARM_RESOURCE, "PATH", "HOME", "USER", "LOGNAME"})


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The numbers a person's processes run as, and the names for them."""

    uid: int
    gid: int
    name: str


def identity_of(user: str) -> Identity:  # a site's real ids will follow from it
    """Return who a person's containers run as: one function, so that a site's real ids can come later."""
    return Identity(uid=1000, gid=100, name="jovyan")


def shm_bytes(memory_bytes: int) -> int:
    """Return the size of /dev/shm: half the memory, at least 64 MiB (it counts as memory that is used)."""
    return max(64 * 1024 * 1024, memory_bytes // 2)


def host_config(
    *, cpus: float, memory_bytes: int, ulimits: tuple[Mapping[str, object], ...] = (), init: bool = False
) -> dict[str, Any]:
    """Return the HostConfig of the Docker API that every container shares (mounts, network and devices apart)."""
    return {
        "Runtime": "runc",
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": PIDS_LIMIT,
        "Memory": memory_bytes,
        "MemorySwap": memory_bytes,
        "NanoCpus": int(cpus * 1_000_000_000),
        "ShmSize": shm_bytes(memory_bytes),
        "Ulimits": [dict(limit) for limit in ulimits],
        "RestartPolicy": {"Name": "no"},
        "Init": init,
        "AutoRemove": False,
    }


def gpu_env(device_requests: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the variables by which NVIDIA's hook gives a container its GPUs, so that no image says others."""
    # Where an operator has set `swarm-resource`, the hook obeys that variable, from whatever image, before the request.
    asked = [uuid for request in device_requests if request.get("Driver") == "nvidia" for uuid in request["DeviceIDs"]]
    return NO_GPU | ({SWARM_RESOURCE: ",".join(asked)} if asked else {})


def person_env(user: str) -> dict[str, str]:
    """Return the names of the account, so that any image works; HOME is set beside them."""
    identity = identity_of(user)
    return {"USER": identity.name, "LOGNAME": identity.name}


def refused_env(names: Mapping[str, str]) -> list[str]:
    """Return those of the names that people may not set."""
    return sorted(name for name in names if name in REFUSED_ENV or name.startswith(REFUSED_ENV_PREFIXES))


class Label:
    """The labels of a container."""

    INSTALLATION = "himalia"  #: id of the installation
    KIND = "himalia.kind"  #: server or job
    OWNER = "himalia.owner"  #: `user:NAME` or `team:NAME`: of the job's project, or whose server it is
    JOB = "himalia.job"  #: id of the job
    ATTEMPT = "himalia.attempt"  #: id of the attempt
    SPEC = "himalia.spec"  #: digest of the launch specification
    SERVER = "himalia.server"  #: name of the server; the default server has none
    LEASE = "himalia.lease"  #: id of the lease that it stands for
    SLOTS = "himalia.slots"  #: UUIDs, with commas between; of a seat its GPU's, with `#` and the number of the seat
    NODE = "himalia.node"  #: id of the machine
    USER = "himalia.user"  #: whose identity it runs with
    CPUS = "himalia.cpus"  #: what the lease holds, so that it can be read off the container alone (jobs)
    MEMORY = "himalia.memory"  #: in bytes
    ASKS = "himalia.asks"  #: id of the installation, on what only asks an image for its packages: no server and no job


def network_name(installation: str, kind: str) -> str:
    """Return the name of the bridge for `server`s or `job`s."""
    return f"himalia-{installation}-{kind}s"


def network_options(installation: str, kind: str) -> dict[str, Any]:
    """Return how the bridge is made: containers on it never reach each other; its interface has a name that rules can use."""
    return {
        "driver": "bridge",
        "options": {
            "com.docker.network.bridge.enable_icc": "false",
            "com.docker.network.bridge.name": bridge_interface(installation, kind),
        },
        "labels": {Label.INSTALLATION: installation, Label.KIND: kind},
    }


def bridge_interface(installation: str, kind: str) -> str:
    """Return the name of the bridge's interface: 15 characters at most, as the kernel wants."""
    return f"hm{kind[0]}-{installation[:11]}"


def container_name(installation: str, name: str) -> str:
    """Return the name of a container; the Engine's own 409 makes a second of that name impossible."""
    return f"himalia-{installation}-{name}"
