"""`configure(c, "himalia.toml")`: a hub's whole configuration from the operator's file.

What an administrator wrote before is kept where lists and tables add up (services, roles, scopes, groups); what they
write afterwards wins.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from himalia.container import network_name
from himalia.credentials import Credentials, load_credentials
from himalia.site import Site, load_site

from .containers import KIND
from .gpu_spawner import GPUSpawner
from .leases import API_PATH
from .network import servers_gateway
from .passwords import load_passwords
from .profiles import known_profile
from .settings import config_file

SERVICE = "jobs"
ACCESS = f"access:services!service={SERVICE}"
SUBMIT, LEASE, ADMIN = "custom:jobs:submit", "custom:jobs:lease", "custom:jobs:admin"
OPERATE, METRICS, WATCH = "custom:jobs:operate", "custom:jobs:metrics", "custom:jobs:watch"
CULLER = "idle-culler"
CULL_SECONDS = 300
SCOPES: dict[str, dict[str, Any]] = {
    "custom:jobs:read": {"description": "See one's own and one's teams' jobs"},
    SUBMIT: {"description": "Submit and cancel jobs", "subscopes": ["custom:jobs:read"]},
    ADMIN: {"description": "See and manage everybody's jobs", "subscopes": [SUBMIT]},
    LEASE: {"description": "Take leases for notebook servers (the spawner alone)"},
    OPERATE: {"description": "See and re-attach what is kept of people (`himalia-platform` alone)"},
    WATCH: {"description": "See how long everybody's servers have been idle (the idle culler alone)"},
    METRICS: {"description": "Read the job service's metrics"},
}
START_SECONDS = 180  #: from a share of the ledger to a server that runs; nothing waits in line meanwhile
STARTS_AT_ONCE = 32  #: more are asked to come again in a moment
SERVICE_TIMEOUT_SECONDS = 5  #: a hub that starts keeps everybody out for that long when the service is down
SHARED_PASSWORD = "shared-password"
REPLACED = {"native": "himalia_spawner.native.NativeLogin"}  #: authenticators that need a little help with this hub


def configure(c: Any, config: Path | str | None = None) -> Site:
    """Set everything that a hub needs for Himalia, and return the site it was read from."""
    site = load_site(config or config_file())
    credentials = load_credentials(site.data)
    gateway = servers_gateway(credentials.installation)
    _hub(c, site, gateway)
    _proxy(c, site, credentials)
    _services(c, site, credentials, gateway)
    _people(c, site)
    _servers(c, site, credentials, gateway)
    return site


def public_address(site: Site) -> str:
    """Return the address that people type; empty when it cannot be known."""
    platform = site.platform
    if platform.public_url:
        return platform.public_url.rstrip("/") + platform.base_url
    if platform.address in ("0.0.0.0", "::", ""):
        return ""
    return f"{_scheme(site)}://{platform.address}:{platform.port}{platform.base_url}"


def _scheme(site: Site) -> str:
    return "https" if site.tls.certificate else "http"


def _hub(c: Any, site: Site, gateway: str) -> None:
    """Addresses, files, and what outlives the hub."""
    platform = site.platform
    c.JupyterHub.bind_url = f"{_scheme(site)}://{platform.address}:{platform.port}{platform.base_url}"
    if platform.public_url:
        c.JupyterHub.public_url = public_address(site)
    c.JupyterHub.hub_ip = gateway
    c.JupyterHub.hub_port = platform.hub_port
    c.JupyterHub.db_url = f"sqlite:///{site.data}/jupyterhub.sqlite"
    c.JupyterHub.upgrade_db = True  # SQLite: the hub makes a copy first
    c.JupyterHub.cookie_secret_file = str(site.data / "secrets" / "hub_cookie_secret")
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.concurrent_spawn_limit = STARTS_AT_ONCE
    c.JupyterHub.allow_named_servers = True
    # Activity is what the servers report. The proxy's own times count every request, also those of an open, idle page.
    c.JupyterHub.last_activity_interval = 0


def _proxy(c: Any, site: Site, credentials: Credentials) -> None:
    """The proxy runs by itself, so that open notebooks survive a restart of the hub."""
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.auth_token = credentials.proxy_token
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{site.platform.proxy_api_port}"
    c.JupyterHub.cleanup_proxy = False


def _services(c: Any, site: Site, credentials: Credentials, gateway: str) -> None:
    """The job service (external: it outlives the hub), the spawner, and who may do what."""
    c.JupyterHub.custom_scopes.update(SCOPES)
    c.JupyterHub.services.extend(
        [
            {
                "name": SERVICE,
                "url": f"http://{gateway}:{site.platform.service_port}",
                "api_token": credentials.service_token,
                "oauth_client_id": f"service-{SERVICE}",
                "oauth_no_confirm": True,
                "oauth_client_allowed_scopes": [ACCESS, SUBMIT, ADMIN],  # of these, what who logs in has
                "timeout": SERVICE_TIMEOUT_SECONDS,
            },
            {"name": "spawner", "api_token": credentials.spawner_token, "display": False},
            {"name": "himalia-metrics", "api_token": credentials.metrics_token, "display": False},
        ]
    )
    c.JupyterHub.load_roles.extend(
        [
            {
                "name": "himalia-jobs",
                "services": [SERVICE],
                "scopes": [
                    "list:users",
                    "read:users",
                    "read:groups",
                    "list:groups",
                    "read:servers",
                    "start:servers",
                    "delete:servers",
                    "proxy",
                    ACCESS,
                    OPERATE,
                ],
            },
            {"name": "himalia-spawner", "services": ["spawner"], "scopes": [ACCESS, LEASE]},
            {"name": "himalia-metrics", "services": ["himalia-metrics"], "scopes": [ACCESS, METRICS]},
            {"name": "himalia-admins", "users": list(site.auth.admins), "scopes": [ACCESS, ADMIN]},
        ]
    )
    c.JupyterHub.extra_user_scopes.update({ACCESS, SUBMIT})
    if site.idle.without_gpus_after is not None:
        _idle_culler(c, site.idle.without_gpus_after, f"http://{gateway}:{site.platform.service_port}{API_PATH}")


def _idle_culler(c: Any, after: int, service_url: str) -> None:
    """Servers without GPUs that nobody uses are stopped; the hub starts the culler, and starts it again when it ends."""
    every = max(1, min(CULL_SECONDS, after // 4))
    command = [sys.executable, "-P", "-m", "himalia_spawner.idle_culler", f"--timeout={after}", f"--cull-every={every}"]
    environment = {"HIMALIA_API_URL": service_url}
    service = {"name": CULLER, "command": command, "environment": environment, "display": False}
    c.JupyterHub.services.append(service)
    scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers", ACCESS, WATCH]
    c.JupyterHub.load_roles.append({"name": f"himalia-{CULLER}", "services": [CULLER], "scopes": scopes})


def _people(c: Any, site: Site) -> None:
    """Who may log in, and the teams."""
    auth = site.auth
    c.JupyterHub.authenticator_class = REPLACED.get(auth.authenticator, auth.authenticator)
    c.Authenticator.admin_users = set(auth.admins)
    c.Authenticator.allowed_users = set(auth.allowed_users)
    c.Authenticator.allow_all = auth.allow_all
    if auth.authenticator == SHARED_PASSWORD:
        passwords = load_passwords(site.data)
        c.SharedPasswordAuthenticator.user_password = passwords.user
        if auth.admins:
            c.SharedPasswordAuthenticator.admin_password = passwords.admin
    for class_name, traits in auth.options.items():
        for trait, value in traits.items():
            setattr(c[class_name], trait, value)
    c.JupyterHub.load_groups.update({name: {"users": list(members)} for name, members in site.teams.items()})


def _servers(c: Any, site: Site, credentials: Credentials, gateway: str) -> None:
    """How servers are started, and what their tokens may do."""
    port = site.platform.service_port
    c.JupyterHub.spawner_class = GPUSpawner
    c.GPUSpawner.installation = credentials.installation
    c.GPUSpawner.service_url = f"http://{gateway}:{port}{API_PATH}"
    c.GPUSpawner.service_token = credentials.spawner_token
    c.GPUSpawner.network_name = network_name(credentials.installation, KIND)
    c.GPUSpawner.known_profiles = [known_profile(profile) for profile in site.profiles if profile.servers]
    c.Spawner.start_timeout = START_SECONDS
    c.Spawner.http_timeout = 60
    c.Spawner.default_url = "/lab"
    c.Spawner.environment.update(
        {"HIMALIA_API_URL": f"http://{gateway}:{port}{API_PATH}", "HIMALIA_URL": public_address(site)}
    )
    # A list, not a function: JupyterHub 6.1 writes this trait into the environment as it is.
    c.Spawner.oauth_client_allowed_scopes = [ACCESS, SUBMIT]
    c.Spawner.server_token_scopes = ["users:activity!user", "access:servers!server", ACCESS, SUBMIT]
