"""What containers see of two pretended GPUs, by each way that a Docker Engine gives them: rows, columns and how to look.

The product's own code makes the containers; each tries to open both devices. The kernel's answer is the verdict: there
is no driver behind them, so ENXIO means that its cgroup allows a device, EPERM that it does not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.errors import APIError
from own_engine import BUSYBOX_IMAGE, OwnEngine, busybox, newer_engine

from himalia import container as contract
from himalia.gpus import Slot
from himalia.ids import new_id
from himalia.models import LeaseView
from himalia.states import LeaseState
from himalia.units import MiB
from himalia_gpus.devices import CDI_KIND, device_requests
from himalia_gpus.ways import find_way
from himalia_jobs.engines.base import LaunchSpec
from himalia_jobs.engines.containers import create_body
from himalia_jobs.engines.launcher_file import install_launcher
from himalia_jobs.engines.limits import ulimits
from himalia_jobs.engines.workspace import prepare_directories
from himalia_jobs.layout import DataLayout
from himalia_spawner.containers import merged_host_config, server_env, server_host_config, server_user

FAKES = Path(__file__).parents[1] / "fakes" / "nvidia"
MAJOR, CONTROL = 195, 255
A, B = (f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "ab")
GPUS = {A: 0, B: 1}
MISSING = "GPU-cccccccc-0000-0000-0000-000000000000"

#: Says of each device: its node, and one that is made by hand where that is possible, and what the kernel says to `open`.
LOOK = r"""
for n in 0 1 255; do
  node=/dev/nvidia$n; [ $n = 255 ] && node=/dev/nvidiactl
  [ -c $node ] && echo "$n node $( ( : < $node ) 2>&1 )"
  mknod /tmp/$n c 195 $n 2>/dev/null && echo "$n made $( ( : < /tmp/$n ) 2>&1 )"
done
echo seen
"""
NOTHING, FIRST, BOTH = "none", "GPU 0", "GPU 0, GPU 1"
REFUSED = "does not start"

#: Docker Engine 20.10 with NVIDIA's hook, and with NVIDIA's runtime for all that names none; 26.1 with CDI.
HOOK, HOOK_BY_DEFAULT = "hook", "hook, `nvidia` runtime by default"
CDI_V1, CDI_V2 = "CDI, cgroups 1", "CDI, cgroups 2"
PATHS = (HOOK, HOOK_BY_DEFAULT, CDI_V1, CDI_V2)
QUICK_PATHS = (HOOK, HOOK_BY_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of container, and what it must see."""

    words: str
    make: Callable[[Bench], str]  #: makes the container and returns its name
    sees: str = NOTHING
    but: Mapping[str, str] = field(default_factory=dict)  #: what it sees by certain ways instead

    def expected(self, path: str) -> str:
        """Return what the container must see by one way."""
        return self.but.get(path, self.sees)


class Bench:
    """An Engine with two pretended GPUs, and an installation on it."""

    def __init__(self, machine: OwnEngine, folder: Path, *, limits: bool) -> None:
        self.docker = machine.client
        self.limits = limits
        self.layout = DataLayout(data=folder)
        self.installation = new_id()
        self._images: set[str] = set()
        install_launcher(self.layout, None)
        info = self.docker.info()
        self.version = str(info["ServerVersion"])
        self.way = find_way(info, GPUS, has_hook=lambda: True).way
        for kind in ("server", "job"):
            name = contract.network_name(self.installation, kind)
            self.docker.create_network(name, **contract.network_options(self.installation, kind))

    def image(self, *env: str) -> str:
        """Return an image whose author set these variables."""
        tag = f"busybox:{len(env)}-{''.join(filter(str.isalnum, ''.join(env))).lower()[:60]}" if env else BUSYBOX_IMAGE
        if tag not in self._images:
            self.docker.import_image_from_data(busybox(), *tag.split(":"), changes=[f"ENV {line}" for line in env])
            self._images.add(tag)
        return tag

    def job(self, *uuids: str, image: tuple[str, ...] = (), env: Mapping[str, str] | None = None, **more: Any) -> str:
        """Make the container of a job with these GPUs; `more` is what nobody gets from us."""
        slots = tuple(Slot(uuid=uuid, index=0, model="H200", memory_bytes=0) for uuid in uuids)
        job_id = new_id()
        spec = LaunchSpec(
            attempt=f"{job_id}.1",
            job_id=job_id,
            owner="user:ada",
            user="ada",
            lease_id=new_id(),
            image_id=self.image(*image),
            argv=("sh", "-c", LOOK),
            env=env or {},
            cpus=0.5,
            memory_bytes=64 * MiB,
            slots=slots,
        )
        own = prepare_directories(self.layout, spec)
        body = create_body(
            spec,
            installation=self.installation,
            layout=self.layout,
            workspace={"Type": "bind", "Source": str(own / "upper"), "Target": spec.workspace_path},
            devices=device_requests(slots, self.way),
            ulimits=ulimits(),
        )
        name = contract.container_name(self.installation, spec.attempt)
        self.docker.create_container_from_config(self._fitting(_merged(body, more)), name)
        return name

    def server(self, *uuids: str) -> str:
        """Make the container of a notebook server with these GPUs."""
        slots = tuple(Slot(uuid=uuid, index=0, model="H200", memory_bytes=0) for uuid in uuids)
        lease = LeaseView(
            id=new_id(),
            state=LeaseState.RESERVED,
            profile="gpu",
            image=self.image("NVIDIA_VISIBLE_DEVICES=all"),
            cpus=0.5,
            memory_bytes=64 * MiB,
            slots=slots,
            device_requests=device_requests(slots, self.way),
            ulimits=ulimits(),
        )
        own = self.docker.create_host_config(binds={}, mounts=[])
        network = contract.network_name(self.installation, "server")
        body = {
            "Image": lease.image,
            "User": server_user("ada"),
            "Cmd": ["sh", "-c", LOOK],
            "Env": [f"{name}={value}" for name, value in server_env("ada", lease, clean=False).items()],
            "HostConfig": merged_host_config(own, server_host_config(lease, network)),
        }
        name = contract.container_name(self.installation, f"server-{lease.id}")
        self.docker.create_container_from_config(self._fitting(body), name)
        return name

    def plain(self, *image: str, **host: Any) -> str:
        """Make a container that is not ours, as `docker run` does."""
        name = f"plain-{new_id()}"
        body = {"Image": self.image(*image), "Cmd": ["sh", "-c", LOOK], "HostConfig": {"NetworkMode": "none", **host}}
        self.docker.create_container_from_config(body, name)
        return name

    def sees(self, row: Row) -> str:
        """Return what a row's container sees, in the words of the table."""
        name = row.make(self)
        try:
            self.docker.start(name)
            self.docker.wait(name, timeout=60)
            return verdict(self._printed(name))
        except APIError as error:
            assert "devic" in str(error.explanation), error.explanation
            return REFUSED
        finally:
            self.docker.remove_container(name, force=True)

    def _printed(self, name: str) -> str:
        log = self.docker.inspect_container(name)["HostConfig"]["LogConfig"]["Type"]
        if log != "none":
            return str(self.docker.logs(name).decode())
        attempt = name.removeprefix(contract.container_name(self.installation, ""))
        return (self.layout.attempt(attempt) / "run" / "log").read_text()

    def _fitting(self, body: dict[str, Any]) -> dict[str, Any]:
        """Leave out what the machine's version 2 of cgroups lacks, where version 1 has all controllers."""
        return body if self.limits else {**body, "HostConfig": body["HostConfig"] | {"NanoCpus": 0}}


ROOT = {"User": "0:0", "HostConfig": {"CapDrop": [], "CapAdd": ["MKNOD"]}}
ALL, LEGACY, SWARM = "NVIDIA_VISIBLE_DEVICES=all", "CUDA_VERSION=12.4.0", "DOCKER_RESOURCE_GPU=all"
ROWS = (
    Row(words="a job without a GPU", make=lambda bench: bench.job()),
    Row(words="a job with GPU 0", make=lambda bench: bench.job(A), sees=FIRST),
    Row(words="a job with both", make=lambda bench: bench.job(A, B), sees=BOTH),
    Row(words="a server without a GPU, its image says `all`", make=lambda bench: bench.server()),
    Row(words="a server with GPU 0, its image says `all`", make=lambda bench: bench.server(A), sees=FIRST),
    Row(words="a job without, its image says `all`", make=lambda bench: bench.job(image=(ALL,))),
    Row(words="a job without, its image has `CUDA_VERSION`", make=lambda bench: bench.job(image=(LEGACY,))),
    Row(words="a job without, its image has a swarm resource", make=lambda bench: bench.job(image=(ALL, SWARM))),
    Row(
        words="a job with GPU 0, its image says `all`", make=lambda bench: bench.job(A, image=(ALL, LEGACY)), sees=FIRST
    ),
    Row(
        words="a job with GPU 0, its image has a swarm resource",
        make=lambda bench: bench.job(A, image=(ALL, SWARM)),
        sees=FIRST,
    ),
    Row(
        words="a job with GPU 0 whose own variables say `all`",
        make=lambda bench: bench.job(A, env={"NVIDIA_VISIBLE_DEVICES": "all"}),
        sees=FIRST,
    ),
    Row(words="a job with a GPU that is not there", make=lambda bench: bench.job(MISSING), sees=REFUSED),
    Row(
        words="a job without, if it were root and made the devices",
        make=lambda bench: bench.job(image=(ALL,), **ROOT),
        sees="refused: GPU 0, GPU 1",
    ),
    Row(
        words="a job with GPU 0, if it were root and made the other",
        make=lambda bench: bench.job(A, **ROOT),
        sees="GPU 0; refused: GPU 1",
    ),
)
#: Containers that are not ours, for comparison.
PLAIN_ROWS = (
    Row(
        words="`docker run`, its image says `all`",
        make=lambda bench: bench.plain(ALL),
        sees="refused: GPU 0, GPU 1",
        but={HOOK_BY_DEFAULT: BOTH},
    ),
    Row(
        words="`docker run`, its image has `CUDA_VERSION`",
        make=lambda bench: bench.plain(LEGACY),
        sees="refused: GPU 0, GPU 1",
        but={HOOK_BY_DEFAULT: BOTH},
    ),
    Row(
        words="`docker run --gpus 1`, whoever asks",
        make=lambda bench: bench.plain(DeviceRequests=[{"Count": 1, "Capabilities": [["gpu"]]}]),
        sees="GPU 0; refused: GPU 1",
        but={CDI_V1: REFUSED, CDI_V2: REFUSED},
    ),
)


@contextmanager
def bench_of(path: str, folder: Path) -> Iterator[Bench]:
    """Make an Engine that gives GPUs in one of the ways."""
    machine = hook_engine(folder, path) if path in QUICK_PATHS else _cdi_engine(path)
    try:
        machine.start()
        yield Bench(machine, machine.folder / "installation", limits=path != CDI_V2)
    finally:
        machine.end()


def table(cells: Callable[[Row, str], str], paths: tuple[str, ...] = PATHS) -> str:
    """Return the table as Markdown."""
    lines = [" | ".join(["", "container", *paths, ""]).strip(), "| --- " * (len(paths) + 1) + "|"]
    lines += [f"| {row.words} | {' | '.join(cells(row, path) for path in paths)} |" for row in (*ROWS, *PLAIN_ROWS)]
    return "\n".join(lines) + "\n"


def hook_engine(folder: Path, path: str) -> OwnEngine:
    """Return an Engine of Debian 12 with NVIDIA's hook, which has to be there before it starts."""
    programs = folder / "programs"
    shutil.copytree(FAKES, programs)
    (programs / "gpus.json").write_text(json.dumps(GPUS))
    (programs / "swarm-resource").touch()
    options = ["--add-runtime", f"nvidia={programs}/nvidia-container-runtime"]
    options += ["--default-runtime", "nvidia"] if path == HOOK_BY_DEFAULT else []
    return OwnEngine(*options, path=str(programs))


def _cdi_engine(path: str) -> OwnEngine:
    """Return a newer Engine, with a CDI specification that names the GPUs, and `all` as NVIDIA's does."""
    machine = newer_engine(cgroups=2 if path == CDI_V2 else 1)
    names = {uuid: [minor] for uuid, minor in GPUS.items()} | {"all": list(GPUS.values())}
    devices = [
        {"name": name, "containerEdits": {"deviceNodes": [_node(f"/dev/nvidia{minor}", minor) for minor in minors]}}
        for name, minors in names.items()
    ]
    edits = {"env": ["NVIDIA_VISIBLE_DEVICES=void"], "deviceNodes": [_node("/dev/nvidiactl", CONTROL)]}
    whole = {"cdiVersion": "0.5.0", "kind": CDI_KIND, "devices": devices, "containerEdits": edits}
    (machine.folder / "cdi" / "nvidia.json").write_text(json.dumps(whole))
    return machine


def _node(path: str, minor: int) -> dict[str, Any]:
    return {"path": path, "type": "c", "major": MAJOR, "minor": minor, "fileMode": 0o666, "permissions": "rw"}


def _merged(body: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    host = body["HostConfig"] | more.get("HostConfig", {})
    return body | {key: value for key, value in more.items() if key != "HostConfig"} | {"HostConfig": host}


def verdict(printed: str) -> str:
    """Return in the table's words what a container has printed."""
    assert printed.endswith("seen\n"), printed
    found: dict[int, set[str]] = {0: set(), 1: set(), CONTROL: set()}
    for line in printed.splitlines()[:-1]:
        number, kind, said = line.split(" ", 2)
        allowed = {"No such device or address": "open", "Operation not permitted": "refused"}
        word = next(word for words, word in allowed.items() if said.endswith(words))
        found[int(number)].add(f"{word} by hand" if (kind, word) == ("made", "open") else word)
    open_ones = [f"GPU {minor}" for minor in GPUS.values() if "open" in found[minor]]
    refused = [f"GPU {minor}" for minor in GPUS.values() if found[minor] == {"refused"}]
    by_hand = [f"GPU {minor} by hand" for minor in GPUS.values() if found[minor] == {"open by hand"}]
    assert ("open" in found[CONTROL]) == bool(open_ones), printed
    parts = [", ".join(open_ones + by_hand), f"refused: {', '.join(refused)}" if refused else ""]
    return "; ".join(filter(None, parts)) or NOTHING
