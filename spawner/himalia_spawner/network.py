"""The servers' network: a bridge whose gateway is the address at which servers see the hub and the job service."""

from __future__ import annotations

from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from himalia.container import network_name, network_options
from himalia.errors import LocalError

from .containers import KIND

ENGINE_SILENT = "The Docker Engine does not answer. Start it (`systemctl start docker`), then try again."


def servers_gateway(installation: str, client: docker.APIClient | None = None) -> str:
    """Return the gateway of the servers' network; the network is made where there is none."""
    try:
        return _gateway(installation, client or docker.APIClient(version="auto", **kwargs_from_env()))
    except (DockerException, requests.exceptions.RequestException) as error:
        raise LocalError(f"{ENGINE_SILENT} It says: {error}") from error


def _gateway(installation: str, client: docker.APIClient) -> str:
    name = network_name(installation, KIND)
    try:
        client.create_network(name, check_duplicate=True, **network_options(installation, KIND))
    except APIError as error:
        if error.status_code != 409:  # it is there already
            raise
    found: dict[str, Any] = client.inspect_network(name)
    return str(found["IPAM"]["Config"][0]["Gateway"])
