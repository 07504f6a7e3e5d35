"""LocalEngine keeps the contract of all engines on the real Docker Engine, in an installation of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from docker.types import IPAMConfig, IPAMPool
from engine_bench import (
    FAILS,
    LASTS,
    OWNER_ID,
    PRINTS,
    Scene,
    content_of,
    end_of,
    launch,
    launched,
    listed,
    printed,
    spec_of,
)
from engine_images import ImagesContract
from engine_life import LifeContract
from engine_truth import TruthContract

from himalia.units import MiB
from himalia_jobs.engines.base import ExitReason, Phase
from himalia_jobs.engines.errors import StartFailed
from himalia_jobs.engines.fake import Program
from himalia_jobs.engines.firewall import Firewall, policy_of
from himalia_spawner.platform.engine import remove_rules

# The Docker SDK leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

TREE = "d" * 64  #: a snapshot with one file


class TestLife(LifeContract):
    """An attempt starts once, and stops for good."""


class TestImages(ImagesContract):
    """A name means what it means now."""


class TestTruth(TruthContract):
    """What is told is true, and is kept."""


def shell(text: str) -> Scene:
    """Return a scene that only a real shell plays."""
    return Scene(shell=text, program=Program())


@pytest.mark.asyncio
class TestLocally:
    """What only a real machine can show."""

    async def test_a_container_has_the_limits_that_the_engine_tells(self, bench):
        spec = await launched(bench, shell("ulimit -n"))

        limits = (bench.container(spec.attempt)["HostConfig"]["Ulimits"], bench.engine.ulimits)
        given, told = ({(one["Name"], one["Soft"], one["Hard"]) for one in some} for some in limits)
        assert given == told
        assert (await end_of(bench, spec)).code == 0
        files = int((await bench.engine.read_log(spec.attempt, 0, 100)).data)
        assert {name for name, *_ in told - {("nofile", files, files)}} == {"memlock", "stack", "core"}

    @pytest.mark.fault(81)
    async def test_the_submitted_files_are_there_and_are_never_changed(self, bench):
        spec = await launched(
            bench,
            shell("cat file; echo spoiled > file; echo new > other"),
            workspace_owner=OWNER_ID,
            workspace_digest=TREE,
        )
        assert (await end_of(bench, spec)).code == 0

        await bench.engine.forget(spec.attempt)
        await bench.engine._remains.close()

        assert (await bench.engine.read_log(spec.attempt, 0, 100)).data == b"as submitted\n"
        assert [file.name for file in bench.trees.folder.iterdir()] == ["file"]
        assert (bench.trees.folder / "file").read_text() == "as submitted\n"
        assert bench.docker.volumes.list(filters={"label": f"himalia={bench.installation}"}) == []

    @pytest.mark.parametrize("odd", ["ln -s /etc/hostname", "mkdir", "mkfifo", "ln -s /himalia/home/secret"])
    async def test_a_log_or_record_that_was_replaced_harms_only_the_job(self, bench, odd):
        names = "/himalia/run/log /himalia/run/exit.json"
        command = f"rm -f {names}; for name in {names}; do {odd} $name; done; exit 3"
        spec = await launched(bench, shell(command))

        end = await end_of(bench, spec)

        assert (end.code, end.reason) == (3, ExitReason.EXITED)
        assert (await bench.engine.collect(spec.attempt)).log_bytes == 0
        assert (await bench.engine.read_log(spec.attempt, 0, 100)).data == b""

    async def test_a_log_longer_than_its_limit_keeps_beginning_and_end(self, bench):
        spec = await launched(bench, shell("head -c 3000000 /dev/zero; echo end"), log_limit_bytes=MiB)
        assert (await end_of(bench, spec)).code == 0
        await bench.engine.collect(spec.attempt)
        head, tail = [await bench.engine.read_log(spec.attempt, at, 4 * MiB) for at in (0, MiB // 2)]
        assert (head.data, tail.data) == (bytes(MiB // 2), bytes(3_000_000 - tail.begins) + b"end\n")

    async def test_a_record_that_lies_changes_no_exit_code(self, bench):
        lie = json.dumps({"code": 0, "signal": None, "stopped": False})
        spec = await launched(bench, shell(f"(sleep 0.2; echo '{lie}' > /himalia/run/exit.json) & exit 3"))

        assert (await end_of(bench, spec)).code == 3

    async def test_an_artifact_that_becomes_a_link_is_not_opened(self, bench):
        spec = await launched(
            bench, shell("echo 1 > /artifacts/a; ln -sfn /etc /artifacts/b; echo ready; exec sleep 600")
        )
        await printed(bench, spec, b"ready")
        assert await content_of(bench.engine, spec.attempt, "a") == b"1\n"

        (bench.layout.attempt(spec.attempt) / "artifacts" / "a").unlink()
        (bench.layout.attempt(spec.attempt) / "artifacts" / "a").symlink_to("/etc/passwd")

        for path in ("a", "b/passwd"):
            with pytest.raises(FileNotFoundError):
                await bench.engine.open_artifact(spec.attempt, path)

    @pytest.mark.fault(23)
    async def test_a_container_that_cannot_be_started_is_told_and_leaves_nothing(self, bench):
        spec = spec_of(bench, PRINTS, workspace_path="/proc/self/not/a/place")

        with pytest.raises(StartFailed):
            await launch(bench.engine, spec)

        end = (await bench.engine.status(spec.attempt)).exit
        assert end.reason is ExitReason.START_FAILED
        assert end.detail
        assert spec.lease_id not in await listed(bench.engine)

    async def test_a_lost_answer_to_a_stop_stops_all_the_same(self, bench):
        spec = await launched(bench, LASTS)
        await printed(bench, spec, b"ready")
        bench.relay.lose_answer(b"/stop?")

        await bench.engine.stop(spec.attempt, grace_seconds=1, why="cancelled")

        assert (await end_of(bench, spec)).reason is ExitReason.STOPPED

    @pytest.mark.fault(24)
    async def test_the_way_to_the_engine_is_found_again(self, bench):
        spec = await launched(bench, FAILS)
        async with bench.cut_off():
            pass

        assert (await end_of(bench, spec)).code == 3
        assert (await bench.engine.status(spec.attempt)).phase is Phase.EXITED

    async def test_a_job_whose_network_was_removed_starts_and_has_its_network_again(self, bench):
        before = bench.network("job")
        bench.remove_network("job")

        spec = await launched(bench, shell("cat /sys/class/net/eth0/operstate"))

        assert (await end_of(bench, spec)).code == 0
        assert (await bench.engine.read_log(spec.attempt, 0, 100)).data == b"up\n"
        after = bench.network("job")
        assert after["Id"] != before["Id"]
        assert same_but_for_its_id(after, before)

    async def test_networks_and_rules_that_were_removed_are_back_after_the_next_look(self, bench):
        before = {kind: bench.network(kind) for kind in ("server", "job")}
        for kind in before:
            bench.remove_network(kind)
        remove_rules(bench.installation)
        gateway = bench.engine.server_gateway
        guard = Firewall(policy_of(bench.engine.site, bench.installation, gateway))
        assert guard.differences()

        await bench.engine.tend()

        assert all(same_but_for_its_id(bench.network(kind), found) for kind, found in before.items())
        assert bench.engine.server_gateway == gateway
        assert guard.differences() == []
        assert (await bench.engine.health()).ok

    async def test_a_network_whose_addresses_are_taken_meanwhile_gets_others_and_the_operator_is_told(self, bench):
        addresses = bench.network("server")["IPAM"]["Config"]
        bench.remove_network("server")
        pool = IPAMPool(subnet=addresses[0]["Subnet"])
        taken = bench.docker.networks.create(f"taken-{bench.installation}", ipam=IPAMConfig(pool_configs=[pool]))
        try:
            await bench.engine.tend()

            assert bench.network("server")["IPAM"]["Config"] != addresses
            (said,) = (await bench.engine.health()).sentences
            assert "made again with another address" in said
            assert "himalia-platform up" in said
        finally:
            taken.remove()

    async def test_networks_are_left_alone_while_the_engine_is_silent_and_rules_are_put_back(self, bench):
        remove_rules(bench.installation)
        async with bench.cut_off():
            await bench.engine.tend()

        assert (
            Firewall(policy_of(bench.engine.site, bench.installation, bench.engine.server_gateway)).differences() == []
        )


def same_but_for_its_id(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two networks have the same name, addresses, options and labels."""
    return all(one[key] == other[key] for key in ("Name", "IPAM", "Options", "Labels"))
