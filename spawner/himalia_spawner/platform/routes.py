"""Has the hub put its routes into a proxy that has just started."""

from __future__ import annotations

import sys
import time

import httpx

from himalia_spawner.settings import config_file

from .place import Place

DEADLINE_SECONDS = 120.0
AGAIN_SECONDS = 0.2


def restore_routes(place: Place, *, deadline_seconds: float = DEADLINE_SECONDS) -> bool:
    """Wait for the proxy, then ask the hub; return whether it did it. A hub that starts later does it by itself."""
    deadline = time.monotonic() + deadline_seconds
    proxy_api = f"http://127.0.0.1:{place.site.platform.proxy_api_port}/api/routes"
    proxy = {"Authorization": f"token {place.credentials.proxy_token}"}
    hub = {"Authorization": f"token {place.credentials.service_token}"}
    with httpx.Client(trust_env=False, timeout=5.0) as http:
        while time.monotonic() < deadline:
            try:
                if http.get(proxy_api, headers=proxy).is_success:
                    answer = http.post(f"{place.hub_url}/hub/api/proxy", headers=hub, timeout=30.0)
                    if answer.is_success:
                        return True
            except httpx.TransportError:
                pass  # one of the two is not up yet
            time.sleep(AGAIN_SECONDS)
    return False


def main() -> None:
    """Do it for the installation that the environment names."""
    if not restore_routes(Place.load(config_file())):
        sys.exit("The hub did not put the proxy's routes back. It does so when it is started again.")


if __name__ == "__main__":
    main()
