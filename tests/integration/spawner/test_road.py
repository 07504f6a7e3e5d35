"""The road: a person logs in, a server starts on a lease in a real container, and is reached through the proxy."""

from __future__ import annotations

import httpx

from himalia.states import LeaseState


def test_a_server_starts_on_a_lease_and_is_reached_through_the_proxy(platform, person):
    alice = person("alice")

    alice.start_server("gpu")

    lab = httpx.get(
        f"{platform.place.proxy_url}/user/alice/api/status",
        headers={"Authorization": f"Bearer {alice.token}"},
        timeout=30,
    )
    assert lab.status_code == 200
    (lease,) = platform.service.in_state(LeaseState.HELD)
    container = platform.container("alice")
    assert container.labels["himalia.lease"] == lease.id
    assert container.name == lease.container
    host = container.attrs["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == lease.profile.memory
    assert (host["AutoRemove"], host["Init"], host["PidsLimit"]) == (False, True, 4096)
    assert container.attrs["Config"]["User"] == "1000:100"
