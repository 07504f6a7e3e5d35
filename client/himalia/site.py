"""`himalia.toml`: what an operator sets. Hub, service, spawner and doctor read the same file.

Every setting has a default, so that an empty file is a working platform for one machine.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from .container import WORKSPACE
from .disk_limits import Disk
from .errors import LocalError
from .git.setting import Git
from .gpu_modes import GPUModeSetting
from .idling import Idle, Then
from .log_policies import LogPolicy
from .queueing import Maintenance, Queue, Quota, Reservation
from .sections import (
    NAME,
    Bytes,
    BytesOrUnlimited,
    CountOrUnlimited,
    Seconds,
    SecondsOrNeverOrDefault,
    Section,
)
from .settings import data_setting
from .units import GiB, MiB


class Platform(Section):
    """`[platform]`: addresses and the data directory."""

    address: str = Field(
        "127.0.0.1", description="Address the proxy listens on; 0.0.0.0 for all. Use TLS with anything but 127.0.0.1."
    )
    port: int = Field(8000, ge=0, le=65535, description="Port of the proxy: the one that people open.")
    public_url: str = Field(
        "",
        description="The address people type, when a proxy of yours stands in front, such as https://gpu.example.org/.",
    )
    upload_url: str = Field(
        "",
        description="An address at which a proxy of yours leads to the service's port past Himalia's own, such as https://upload.example.org: files from people's own machines are sent there. None: they are sent through Himalia's proxy (`[limits] proxied_uploads`).",
    )
    base_url: str = Field(
        "/",
        description="Path below which everything is found, such as /gpu/, where the host has other sites beside it. To a browser they are one: pages of theirs can act in people's names.",
    )
    hub_port: int = Field(8081, ge=1, le=65535, description="Port of the hub, on the servers' network only.")
    service_port: int = Field(
        8082, ge=1, le=65535, description="Port of the job service, on the servers' network and 127.0.0.1."
    )
    proxy_api_port: int = Field(8001, ge=1, le=65535, description="Port of the proxy's own API, on 127.0.0.1.")
    data: Path = Field(
        Path("data"),
        description="Directory of everything that is kept; relative to this file. The environment variable HIMALIA_DATA wins. No ':' or ',' in it.",
    )

    @field_validator("data")
    @classmethod
    def _mountable(cls, data: Path) -> Path:
        if any(letter in str(data) for letter in ":,"):
            raise ValueError("the data directory may have no ':' or ',' in its path: mounts cannot name it")
        return data

    @field_validator("base_url")
    @classmethod
    def _of_plain_steps(cls, path: str) -> str:
        if not re.fullmatch(r"/?(?:[A-Za-z0-9][\w.~-]*/)*(?:[A-Za-z0-9][\w.~-]*)?", path, re.ASCII):
            raise ValueError("write a path of plain letters, such as /gpu/")
        inner = path.strip("/")
        return f"/{inner}/" if inner else "/"

    @field_validator("public_url", "upload_url")
    @classmethod
    def _of_a_host(cls, url: str) -> str:
        found = urlsplit(url)
        if url and (found.scheme not in ("http", "https") or not found.netloc):
            raise ValueError("write the whole address, such as https://gpu.example.org/")
        if found.path.strip("/") or found.query or found.fragment:
            raise ValueError("give the host alone; a path below it is set as base_url")
        return url


class Tls(Section):
    """`[tls]`: certificate and key of the proxy; none: plain http, for 127.0.0.1 or behind a proxy of yours."""

    certificate: Path | None = Field(None, description="PEM file with the certificate and its chain.")
    key: Path | None = Field(None, description="PEM file with the private key.")


class Auth(Section):
    """`[auth]`: who may log in."""

    authenticator: str = Field(
        "shared-password",
        description="Entry-point name of a JupyterHub authenticator (native, github, ldap, pam …), or a class. shared-password: one random password for everybody, for a trial.",
    )
    admins: tuple[str, ...] = Field((), description="Hub names of administrators.")
    allowed_users: tuple[str, ...] = Field((), description="Hub names that may log in; empty with allow_all.")
    allow_all: bool = Field(
        True, description="Whether everybody that the authenticator lets through may use the platform."
    )
    options: dict[str, dict[str, Any]] = Field(
        {}, description="Traits of JupyterHub classes, such as [auth.options.NativeAuthenticator] open_signup = true."
    )


class Limits(Section):
    """`[limits]`: what one machine gives out, and how large things may be."""

    cpus: float | None = Field(None, gt=0, description="CPUs given out to servers and jobs; none: all of the machine.")
    memory: Bytes | None = Field(
        None, description="Memory given out; none: the machine's, less one tenth (at least 1 GB)."
    )
    workspace: Bytes = Field(10 * GiB, description="Largest workspace that may be submitted, in bytes.")
    entries: int = Field(200_000, ge=1, description="Most files and directories in a workspace.")
    jobs_per_user: int = Field(1000, ge=1, description="Most jobs one person may have waiting or running.")
    proxied_uploads: Bytes = Field(
        50 * MiB,
        description="Most bytes a second of all uploads together that come through the proxy, which has one core for everybody's pages. Notebook servers send past it, as fast as they can.",
    )
    disk_reserve: Bytes = Field(GiB, description="Free space on the data disk under which nothing new starts.")
    log_size: Bytes = Field(
        GiB,
        ge=MiB,
        description="What is kept of the log of an attempt: of a longer one the beginning and the end, up to half of this each; what lies between is left out, and counted.",
    )
    keep_unneeded: Seconds = Field(
        7 * 86400,
        ge=3600,
        description="How long submitted files stay that no job needs: those of a submit that was never finished, those that only deleted jobs had, and the laid-out copy that no job ran in for so long (it is made anew when one does). A shorter time frees the disk sooner.",
    )
    stop_grace: Seconds = Field(10, description="Time between SIGTERM and SIGKILL when a job is ended.")


class Profile(Section):
    """`[[profiles]]`: a named choice of image, CPUs, memory, GPUs and time."""

    name: str = Field(pattern=NAME, description="Short name, as in `--profile small`.")
    title: str = Field("", description="What people read; none: the name.")
    description: str = Field("", description="One more line for people.")
    image: str = Field("", description="Name of an [[images]] entry or an image; none: the first image.")
    cpus: float = Field(1.0, gt=0, description="CPUs.")
    memory: Bytes = Field(2 * GiB, description="Memory; more is ended as out of memory.")
    gpus: str = Field("0", description="GPU request: 0, 1, H200:2, 80GB..:1 …")
    disk: BytesOrUnlimited = Field(
        100 * GiB,
        description="What a job may write to the data disk, its workspace, /artifacts, its home and /tmp together; more is ended. The log and /storage have limits of their own.",
    )
    max_disk: Bytes | None = Field(
        None, description="The most that a job may ask for there; none: no more than `disk`."
    )
    disk_files: CountOrUnlimited = Field(
        1_000_000, ge=100, description="How many files and directories a job may have there; more is ended."
    )
    time_limit: Seconds = Field(24 * 3600, description="Time limit of a job that names none.")
    max_time_limit: Seconds = Field(7 * 86400, description="Largest time limit a job may name.")
    priority: int = Field(
        0, ge=-100, le=100, description="Before others who wait, by so many turns (`[queue]` says what a turn is)."
    )
    idle_after: SecondsOrNeverOrDefault = Field(
        "", description='In the place of `[idle] after` for servers with this profile; "never": they keep their GPUs.'
    )
    idle_then: Then | Literal[""] = Field("", description="In the place of `[idle] then`.")
    max_age: Seconds | None = Field(
        None,
        description="A server with this profile is stopped when it is so old; its owner is told before. None: never.",
    )
    servers: bool = Field(True, description="Whether it is offered for notebook servers.")
    jobs: bool = Field(True, description="Whether it is offered for jobs.")
    users: tuple[str, ...] = Field((), description="Who may use it; empty (and no teams): everybody.")
    teams: tuple[str, ...] = Field((), description="Teams that may use it.")

    def allows(self, user: str, teams: tuple[str, ...] | list[str], *, admin: bool = False) -> bool:
        """Tell whether a person may use this profile."""
        open_to_all = not self.users and not self.teams
        return open_to_all or admin or user in self.users or bool(set(teams) & set(self.teams))


class Image(Section):
    """`[[images]]`: an image that people may choose. Others are refused."""

    name: str = Field(description="Short name, as in `--image pytorch`.")
    image: str = Field("", description="The image, such as himalia/server:dev; none: the name.")
    title: str = Field("", description="What people read.")

    @property
    def reference(self) -> str:
        """The image as the Engine knows it."""
        return self.image or self.name


class Mount(Section):
    """`[[mounts]]`: a directory of the host that servers and jobs see."""

    host: Path = Field(description="Directory of the host.")
    target: str = Field(description="Where containers see it; an absolute path.")
    mode: Literal["ro", "rw"] = Field("ro", description="ro or rw.")
    teams: tuple[str, ...] = Field((), description="Teams that get it; empty: everybody.")


class Gpus(Section):
    """`[gpus]`: who may be on the GPUs beside Himalia, and simulated GPUs for a machine without."""

    simulate: int = Field(
        0,
        ge=0,
        le=1024,
        description="Number of simulated GPUs: leased and queued like real ones, with no device in the container. Real ones are then not looked for.",
    )
    model: str = Field("Simulated", description="Model name of the simulated GPUs.")
    memory: Bytes = Field(24 * GiB, description="Memory of a simulated GPU.")
    names: Literal["members", "everybody"] = Field(
        "members",
        description="Who reads who holds a GPU and who waits: `members` (the holder, members of their teams, administrators; others read *in use*) or `everybody`.",
    )
    monitors: tuple[str, ...] = Field(
        ("*dcgm-exporter*", "*gpu-exporter*", "*gpu_exporter*"),
        description="Names of containers of yours that have GPUs only to look at them (`*` stands for anything). Any other container with a GPU that Himalia did not start keeps that GPU from being given out.",
    )
    over_share: Literal["tell", "end"] = Field(
        "tell",
        description="What becomes of a job that uses more than its share of a shared GPU's memory: its owner and its neighbours are told, or it is ended as well. Notebooks are never ended for it.",
    )
    over_share_grace: Seconds = Field(60, description="With `end`: how long a job may use more than its share.")


class Jobs(Section):
    """`[jobs]`: what jobs may do."""

    internet: bool = Field(
        True,
        description="Whether jobs reach the internet. They never reach each other, the host or the link-local metadata address.",
    )
    workspace_path: str = Field(WORKSPACE, description="Where a job finds its workspace.")


class Site(Section):
    """The whole file."""

    platform: Platform = Platform()
    tls: Tls = Tls()
    auth: Auth = Auth()
    limits: Limits = Limits()
    disk: Disk = Disk()
    profiles: tuple[Profile, ...] = (Profile(name="small", title="Small"),)
    images: tuple[Image, ...] = (Image(name="himalia/server:dev", title="JupyterLab with the usual Python libraries"),)
    mounts: tuple[Mount, ...] = ()
    queue: Queue = Queue()
    quotas: tuple[Quota, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    teams: dict[str, tuple[str, ...]] = Field(
        {}, description="Teams: name = [members]. Groups of the hub are teams as well."
    )
    gpus: Gpus = Gpus()
    gpu_modes: tuple[GPUModeSetting, ...] = ()
    idle: Idle = Idle()
    jobs: Jobs = Jobs()
    git: Git = Git()
    log_policies: tuple[LogPolicy, ...] = ()

    @field_validator("profiles")
    @classmethod
    def _some_profile(cls, profiles: tuple[Profile, ...]) -> tuple[Profile, ...]:
        names = [profile.name for profile in profiles]
        if not names or len(set(names)) != len(names):
            raise ValueError("give at least one profile, and each a name of its own")
        return profiles

    @model_validator(mode="after")
    def _warned_in_time(self) -> Self:
        for profile in self.profiles:
            if isinstance(profile.idle_after, int) and profile.idle_after <= self.idle.warning:
                raise ValueError(f"profile {profile.name}: idle_after must be longer than [idle] warning")
            if profile.max_age is not None and profile.max_age <= self.idle.warning:
                raise ValueError(f"profile {profile.name}: max_age must be longer than [idle] warning")
        return self

    @property
    def data(self) -> Path:
        """The data directory, absolute."""
        return self.platform.data

    def profile(self, name: str) -> Profile | None:
        """Return the profile of that name."""
        return next((profile for profile in self.profiles if profile.name == name), None)

    def image_reference(self, name: str) -> str | None:
        """Return the image for a name that people wrote, or None when it is not allowed; empty: the default image."""
        if not name:
            return self.images[0].reference if self.images else None
        return next((image.reference for image in self.images if name in (image.name, image.reference)), None)


def load_site(path: Path | str, environment: dict[str, str] | None = None) -> Site:
    """Read `himalia.toml`; raise LocalError that names the setting. Relative paths are relative to the file."""
    file = Path(path).resolve()
    env = data_setting() if environment is None else environment
    try:
        table = tomllib.loads(file.read_text())
    except FileNotFoundError as error:
        raise LocalError(f"{file} is not there. Copy hub_config/himalia.toml and edit it.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LocalError(f"{file} cannot be read: {error}.") from error
    if env.get("HIMALIA_DATA"):
        table.setdefault("platform", {})["data"] = env["HIMALIA_DATA"]
    try:
        site = Site.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LocalError(f"{file}: {where}: {first['msg']}.") from error
    data = (file.parent / site.platform.data).resolve()
    return site.model_copy(update={"platform": site.platform.model_copy(update={"data": data})})
