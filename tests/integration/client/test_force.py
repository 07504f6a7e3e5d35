"""What an administrator ends by force, through the real hub."""

from __future__ import annotations

import httpx
from live_platform import eventually


def test_a_notebook_is_ended_by_force_its_gpu_is_free_and_its_holder_told(live, client, shell):
    bob, me = live.person("bob"), client("bob")
    bob.start_server("gpu")
    (held,) = bob.gpus()
    root = {"HIMALIA_TOKEN": live.person("root-admin").token}
    why = "Needed for the demo at 10."

    refused = shell("gpus", "release", str(held.index), "--yes")
    assert refused.returncode == 125
    assert [slot.uuid for slot in bob.gpus()] == [held.uuid]
    declined = shell("gpus", "release", str(held.index), "--why", why, stdin="n\n", env=root)
    assert f"It ends bob's notebook on GPU {held.index}; what was not saved is lost. Go on?" in declined.stderr
    done = shell("gpus", "release", str(held.index), "--why", why, stdin="y\n", env=root)

    assert done.returncode == 0, done.stderr
    assert f"bob's notebook is being ended. GPU {held.index} is given out again" in done.stderr
    eventually(lambda: not live.containers("server", everything=True))
    (slot,) = eventually(lambda: [one for one in me.gpus().slots if one.uuid == held.uuid and one.holder is None])
    eventually(lambda: [one.health for one in me.gpus().slots if one.uuid == held.uuid] == ["ok"])
    headers = {"Authorization": f"token {bob.token}"}
    servers = httpx.get(f"{live.url}/hub/api/users/bob", headers=headers).json()["servers"]
    assert not servers.get("", {}).get("ready")
    (notice,) = [one for one in me.notices() if one.kind == "released"]
    assert notice.sentence == f"root-admin, an administrator, ended your notebook to free its GPU. {why}"
    assert (
        f"ended bob's notebook to free GPU {held.index} ({slot.uuid}). {why}" in shell("gpus", "log", env=root).stdout
    )
