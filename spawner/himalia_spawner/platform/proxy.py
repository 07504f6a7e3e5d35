"""Starter of the proxy: becomes configurable-http-proxy, and has the hub put its routes back once that listens.

A proxy that starts has no routes, and a hub that runs does not notice. The child that asks the hub is detached first,
so that the proxy itself is the process that is supervised: ended with it, nothing is orphaned and no port stays taken.
"""

from __future__ import annotations

import os
import subprocess
import sys

from himalia.errors import HimaliaError
from himalia_spawner.settings import config_file

from .place import Place
from .programs import proxy_command


def main() -> None:
    """Start what puts the routes back, then become the proxy."""
    try:
        place = Place.load(config_file())
        command = proxy_command(place)
    except HimaliaError as error:
        sys.exit(error.message)
    # A shell in between: the child then belongs to nobody, and the proxy never has to reap it.
    starter = [sys.executable, "-P", "-m", "himalia_spawner.platform.routes"]
    subprocess.run(["sh", "-c", '"$@" &', "sh", *starter], check=True)
    os.execve(command[0], command, os.environ | {"CONFIGPROXY_AUTH_TOKEN": place.credentials.proxy_token})


if __name__ == "__main__":
    main()
