"""A JupyterHub with the stock DockerSpawner on the same image and limits: the other side of a spawn."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
import httpx

from himalia_spawner.platform.person import Person
from himalia_spawner.platform.place import node_binary, proxy_script

LABEL = "himalia-benchmark"
PASSWORD = "stock"
CONFIG = """
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/"
c.JupyterHub.hub_ip = "{gateway}"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "{password}"
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.command = ["{node}", "{proxy}"]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.network_name = "{network}"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.name_template = "{network}-{{username}}"
c.DockerSpawner.mem_limit = "{memory}"
c.DockerSpawner.cpu_limit = {cpus}
c.Spawner.default_url = "/lab"
c.JupyterHub.log_level = "ERROR"
"""


@contextmanager
def stock_person(name: str, *, image: str, cpus: float, memory: str) -> Iterator[Person]:
    """Give somebody who is logged in at a hub with the stock spawner."""
    from live_platform import eventually, free_ports

    port, hub_port, api_port = free_ports(3)
    network = f"{LABEL}-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{LABEL}-")))
        gateway = stack.enter_context(_network(network))
        config = folder / "jupyterhub_config.py"
        config.write_text(
            CONFIG.format(
                port=port,
                hub_port=hub_port,
                api_port=api_port,
                gateway=gateway,
                password=PASSWORD,
                node=node_binary(),
                proxy=proxy_script(),
                image=image,
                network=network,
                memory=memory,
                cpus=cpus,
            )
        )
        log = stack.enter_context((folder / "hub.log").open("wb"))
        hub = stack.enter_context(
            subprocess.Popen([sys.executable, "-m", "jupyterhub", "-f", config], cwd=folder, stdout=log, stderr=log)
        )
        stack.callback(hub.terminate)
        eventually(lambda: hub.poll() is not None or _is_up(f"http://127.0.0.1:{port}/hub/api/"))
        assert hub.poll() is None, (folder / "hub.log").read_text()
        person = stack.enter_context(Person(f"http://127.0.0.1:{port}", name))
        person.log_in(PASSWORD)
        yield person


def _is_up(url: str) -> bool:
    """Tell whether the hub answers; the proxy alone answers sooner, with 404."""
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _network(name: str) -> Iterator[str]:
    """Make a bridge, give its gateway, and remove it with all that is on it."""
    client = docker.from_env()
    made = client.networks.create(name, driver="bridge", labels={LABEL: name})
    try:
        made.reload()
        yield made.attrs["IPAM"]["Config"][0]["Gateway"]
    finally:
        for container in client.containers.list(all=True, filters={"name": f"^/{name}-"}):
            container.remove(force=True)
        made.remove()
        client.close()
