"""The three processes of a platform, each by itself: job service, proxy, hub."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from himalia.errors import LocalError

from .place import Place, beside_python, node_binary, proxy_script


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process: how it is started, and how one sees that it is up."""

    name: str
    title: str
    command: tuple[str, ...]
    ready_url: str


def programs(place: Place) -> tuple[Program, ...]:
    """Return the three in the order they start: a hub ends without a proxy, and keeps everybody out without the service."""
    return (
        Program(
            name="service",
            title="job service",
            command=(str(beside_python("himalia-service")), "--config", str(place.config)),
            ready_url=f"{place.service_url}/health",
        ),
        Program(
            name="proxy",
            title="proxy",
            command=(sys.executable, "-P", "-m", "himalia_spawner.platform.proxy"),
            ready_url=f"{origin(place.proxy_url)}/_chp_healthz",
        ),
        Program(
            name="hub",
            title="hub",
            command=(sys.executable, "-m", "jupyterhub", "-f", str(place.hub_config)),
            ready_url=f"{place.hub_url}/hub/health",
        ),
    )


def proxy_command(place: Place) -> list[str]:
    """Return the proxy's command line."""
    platform, tls = place.site.platform, place.site.tls
    command = [
        str(node_binary()),
        str(proxy_script()),
        "--ip",
        platform.address,
        "--port",
        str(platform.port),
        "--api-ip",
        "127.0.0.1",
        "--api-port",
        str(platform.proxy_api_port),
        "--default-target",
        origin(place.hub_url),
        "--error-target",
        f"{place.hub_url}/hub/error",
    ]
    if tls.certificate and tls.key:
        command += ["--ssl-cert", str(tls.certificate), "--ssl-key", str(tls.key)]
    return command


def origin(url: str) -> str:
    """Return an address without its path."""
    found = urlsplit(url)
    return f"{found.scheme}://{found.netloc}"


def check_programs() -> None:
    """Raise LocalError when one of the programs is not installed."""
    service = beside_python("himalia-service")
    if not service.exists():
        raise LocalError(f"{service} is not there. Install Himalia with its extras `hub` and `jobs`.")
    node_binary()
    proxy_script()


def check_ports(place: Place) -> None:
    """Raise LocalError that names the setting of a port which another program has."""
    platform = place.site.platform
    wanted = (
        ("port", platform.address, platform.port),
        ("proxy_api_port", "127.0.0.1", platform.proxy_api_port),
        ("service_port", "127.0.0.1", platform.service_port),
        ("service_port", place.gateway, platform.service_port),
        ("hub_port", place.gateway, platform.hub_port),
    )
    for setting, address, port in wanted:
        reason = _why_not(address, port)
        if reason:
            raise LocalError(
                f"Port {port} of {address or 'this machine'} cannot be used: {reason}. Choose another `{setting}` under "
                f"[platform] in {place.config}, or end what uses it."
            )


def _why_not(address: str, port: int) -> str:
    """Return why a port cannot be listened on; empty when it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""
