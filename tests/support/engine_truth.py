"""The contract of all engines (`himalia_jobs.engines.base`), second half: what is told is true, and is kept.

A module that tests an engine has a fixture `bench` and classes of its own: `class TestTruth(TruthContract)`.
"""

from __future__ import annotations

import asyncio

import pytest
from engine_bench import (
    BROKEN,
    CHILD_TOO_BIG,
    FAILS,
    KILLED,
    LASTS,
    LEAVES,
    OWNER_ID,
    PRINTS,
    STUBBORN,
    TOO_BIG,
    TOO_LARGE,
    WRITES,
    MiB,
    content_of,
    end_of,
    eventually,
    is_over,
    launch,
    launched,
    listed,
    printed,
    sha256,
    spec_of,
)

from himalia.gpus import Slot
from himalia.ids import new_id
from himalia_jobs.engines.base import EngineEvent, EngineEventKind, ExitReason, Phase
from himalia_jobs.engines.disk import DiskLimit, DiskPlace
from himalia_jobs.engines.errors import (
    ImageMissing,
    NodeDraining,
    NodeUnknown,
    NoSpace,
    OffsetPastEnd,
    Refused,
    WorkspaceCorrupt,
)

MISSING = "sha256:" + "0" * 64
WHY = "cancelled"


@pytest.mark.asyncio
class TruthContract:
    """Listings, ends, logs, artifacts and the machine itself: I8 to I11."""

    # I8: a complete listing is the truth, an event a hint.

    @pytest.mark.fault(32)
    async def test_the_listing_has_all_of_ours_and_nothing_of_others(self, bench):
        running, ended = await launched(bench, LASTS), await launched(bench, PRINTS)
        await end_of(bench, ended)
        server = await bench.run_server(lease := new_id())
        foreign = await bench.run_foreign()

        found = await listed(bench.engine)

        job = found[running.lease_id]
        assert (job.attempt, job.kind, job.phase) == (running.attempt, "job", Phase.RUNNING)
        assert (job.owner, job.user, job.spec_digest) == ("user:ada", "ada", running.digest())
        assert (job.cpus, job.memory_bytes) == (running.cpus, running.memory_bytes)
        assert found[ended.lease_id].phase is Phase.EXITED
        assert (found[lease].name, found[lease].kind, found[lease].attempt) == (server, "server", "")
        assert foreign not in [container.name for container in found.values()]
        assert await bench.alive(foreign)

    async def test_absence_follows_from_the_listing(self, bench):
        spec = await launched(bench, PRINTS)
        await end_of(bench, spec)
        assert spec.lease_id in await listed(bench.engine)

        await bench.engine.forget(spec.attempt)

        assert spec.lease_id not in await listed(bench.engine)

    @pytest.mark.fault(24)
    async def test_a_hint_tells_of_every_end_after_one_that_says_look_at_all(self, bench):
        hints: list[EngineEvent] = []
        ear = asyncio.create_task(_listen(bench.engine, hints))

        await eventually(bench, lambda: _was_hinted(bench, hints))

        assert hints[0].kind is EngineEventKind.NODE
        ear.cancel()
        await asyncio.gather(ear, return_exceptions=True)

    # I9: the exit is told apart, and outlives the container.

    @pytest.mark.fault(33)
    @pytest.mark.fault(34)
    @pytest.mark.parametrize(
        ("scene", "code", "signal", "oom"),
        [(FAILS, 3, None, False), (KILLED, 137, 9, False), (TOO_BIG, 137, 9, True), (CHILD_TOO_BIG, 0, None, True)],
        ids=["code", "signal", "out of memory", "a child out of memory"],
    )
    async def test_code_signal_and_memory_are_told_apart(self, bench, scene, code, signal, oom):
        spec = await launched(bench, scene)

        end = await end_of(bench, spec)

        assert (end.code, end.signal, end.oom, end.reason) == (code, signal, oom, ExitReason.EXITED)

    async def test_the_end_is_known_after_the_container_is_gone(self, bench):
        spec = await launched(bench, FAILS)
        end = await end_of(bench, spec)

        await bench.engine.forget(spec.attempt)

        assert await end_of(bench, spec) == end

    async def test_an_end_that_nobody_saw_is_kept_by_forget(self, bench):
        spec = await launched(bench, FAILS)
        await eventually(bench, lambda: is_over(bench, spec))

        await bench.engine.forget(spec.attempt)

        assert (await end_of(bench, spec)).code == 3

    @pytest.mark.fault(27)
    async def test_a_container_that_somebody_removed_has_vanished_and_its_log_is_kept(self, bench):
        spec = await launched(bench, LASTS)
        await printed(bench, spec, b"ready")

        await bench.remove_by_hand(spec.attempt)

        end = await end_of(bench, spec)
        assert (end.code, end.reason) == (None, ExitReason.VANISHED)
        assert (await bench.engine.collect(spec.attempt)).log_bytes == len(b"ready\n")

    # I10: the log is the bytes of one file.

    async def test_an_offset_of_the_log_means_the_same_from_the_first_byte_to_after_forget(self, bench):
        spec = await launched(bench, LASTS)
        await printed(bench, spec, b"ready\n")
        running = await bench.engine.read_log(spec.attempt, 2, 3)
        await bench.engine.stop(spec.attempt, grace_seconds=0, why=WHY)
        await end_of(bench, spec)
        ended = await bench.engine.read_log(spec.attempt, 2, 3)
        await bench.engine.collect(spec.attempt)
        collected = await bench.engine.read_log(spec.attempt, 2, 100)

        await bench.engine.forget(spec.attempt)

        forgotten = await bench.engine.read_log(spec.attempt, 2, 100)
        assert running.data == ended.data == b"ady"
        assert collected == forgotten
        assert (forgotten.data, forgotten.next_offset, forgotten.ended) == (b"ady\n", 6, True)
        assert (running.ended, ended.ended) == (False, False)
        with pytest.raises(OffsetPastEnd):
            await bench.engine.read_log(spec.attempt, 7, 100)

    async def test_there_is_no_more_to_wait_for_in_the_log_of_an_attempt_that_is_gone(self, bench):
        spec = await launched(bench, PRINTS)
        await end_of(bench, spec)

        await bench.engine.delete(spec.attempt)

        chunk = await bench.engine.read_log(spec.attempt, 0, 100)
        assert (chunk.data, chunk.ended) == (b"", True)

    async def test_what_is_collected_is_sealed_and_told_the_same_again(self, bench):
        spec = await launched(bench, LEAVES)
        await printed(bench, spec, b"ready\n")
        await bench.engine.stop(spec.attempt, grace_seconds=0, why=WHY)
        await end_of(bench, spec)

        collected = await bench.engine.collect(spec.attempt)

        assert (collected.artifact_count, collected.artifact_bytes) == (2, 5)
        assert (collected.log_bytes, collected.log_sha256) == (6, sha256(b"ready\n"))
        assert await bench.engine.collect(spec.attempt) == collected
        await bench.engine.forget(spec.attempt)
        assert await bench.engine.collect(spec.attempt) == collected

    async def test_forget_without_collect_keeps_the_log(self, bench):
        spec = await launched(bench, PRINTS)
        await end_of(bench, spec)

        await bench.engine.forget(spec.attempt)

        assert (await bench.engine.read_log(spec.attempt, 0, 100)).data == b"one\ntwo\n"

    async def test_what_runs_is_neither_sealed_nor_removed(self, bench):
        spec = await launched(bench, LASTS)

        for change in (bench.engine.collect, bench.engine.forget, bench.engine.delete):
            with pytest.raises(Refused):
                await change(spec.attempt)

        assert await bench.alive(spec.attempt)

    # Artifacts.

    async def test_artifacts_are_listed_while_it_runs_and_links_are_data(self, bench):
        spec = await launched(bench, LEAVES)
        await printed(bench, spec, b"ready")

        entries, more = await bench.engine.artifacts(spec.attempt)

        assert [(entry.path, entry.type, entry.size_bytes) for entry in entries] == [
            ("host", "symlink", 0),
            ("model", "file", 2),
            ("pipe", "other", 0),
            ("root", "symlink", 0),
            ("runs", "dir", 0),
            ("runs/metric", "file", 3),
        ]
        assert not more
        pages, after = [], ""
        while not pages or after:
            page, after = await bench.engine.artifacts(spec.attempt, 2, after)
            pages.append(list(page))
        assert pages == [list(entries[at : at + 2]) for at in (0, 2, 4)]

    @pytest.mark.fault(45)
    @pytest.mark.fault(46)
    async def test_only_regular_files_of_the_attempt_are_opened(self, bench):
        spec = await launched(bench, LEAVES)
        await printed(bench, spec, b"ready")

        assert await content_of(bench.engine, spec.attempt, "runs/metric") == b"42\n"
        for path in ("host", "root/etc/hostname", "pipe", "runs", "gone", "../run/log", "/etc/hostname", "", "a\0b"):
            with pytest.raises(FileNotFoundError):
                await bench.engine.open_artifact(spec.attempt, path)

    async def test_artifacts_outlive_the_container_and_go_with_delete(self, bench):
        spec = await launched(bench, LEAVES)
        await printed(bench, spec, b"ready")
        await bench.engine.stop(spec.attempt, grace_seconds=0, why=WHY)
        await end_of(bench, spec)

        for _ in range(2):
            await bench.engine.forget(spec.attempt)
        assert await content_of(bench.engine, spec.attempt, "model") == b"3\n"
        for _ in range(2):
            await bench.engine.delete(spec.attempt)

        assert await bench.engine.artifacts(spec.attempt) == ([], "")

    # What cannot start.

    async def test_an_image_that_is_missing_starts_nothing_and_leaves_nothing(self, bench):
        spec = spec_of(bench, PRINTS, image_id=MISSING)

        with pytest.raises(ImageMissing):
            await launch(bench.engine, spec)

        assert spec.lease_id not in await listed(bench.engine)
        assert (await bench.engine.resolve_image(bench.image)).image_id == bench.image_id
        with pytest.raises(ImageMissing):
            await bench.engine.resolve_image("himalia/no-such-image:ever")

    @pytest.mark.parametrize(("digest", "error"), [(BROKEN, WorkspaceCorrupt), (TOO_LARGE, NoSpace)])
    async def test_a_workspace_that_cannot_be_laid_out_is_told_before_anything_starts(self, bench, digest, error):
        spec = spec_of(bench, PRINTS, workspace_owner=OWNER_ID, workspace_digest=digest)

        with pytest.raises(error):
            await bench.engine.prepare(spec)

        assert (await bench.engine.status(spec.attempt)).phase is Phase.ABSENT

    # The machine.

    async def test_a_cordoned_machine_takes_nothing_new_and_what_runs_goes_on(self, bench):
        spec, fresh = await launched(bench, LASTS), spec_of(bench, PRINTS)
        await bench.engine.set_node("local", "cordoned", "a fan is broken")
        service = await bench.another_service(2)

        assert [node.state for node in await service.nodes()] == ["cordoned"]
        with pytest.raises(NodeDraining):
            await launch(service, fresh)
        assert (await launch(service, spec)).phase is Phase.RUNNING
        await service.set_node("local", "ready", "")
        await launch(service, fresh)

        assert bench.starts(spec.attempt) == 1

    async def test_there_is_one_machine_and_it_says_what_it_has(self, bench):
        (node,) = await bench.engine.nodes()

        assert (node.node_id, node.state) == ("local", "ready")
        assert node.cpus > 0
        assert node.memory_bytes > 0
        assert node.boot_id
        assert (await bench.engine.health()).ok
        with pytest.raises(NodeUnknown):
            await bench.engine.set_node("elsewhere", "ready", "")

    async def test_what_an_attempt_could_import_is_told_soon_after_its_start_and_stays(self, bench):
        spec = await launched(bench, PRINTS)

        found = await eventually(bench, lambda: bench.engine.packages(spec.attempt))
        await end_of(bench, spec)
        await bench.engine.forget(spec.attempt)

        assert any(line.startswith("numpy==") for line in found.splitlines())
        assert await bench.engine.packages(spec.attempt) == found
        assert await bench.engine.packages(spec_of(bench, PRINTS).attempt) is None

    async def test_usage_is_told_of_what_runs(self, bench):
        spec, ended = await launched(bench, LASTS), await launched(bench, PRINTS)
        await end_of(bench, ended)

        usage = await bench.engine.usage()

        assert [found.attempt for found in usage] == [spec.attempt]
        assert usage[0].memory_bytes > 0

    @pytest.mark.fault(42)
    async def test_what_a_running_attempt_has_written_is_told_wherever_it_wrote_it(self, bench):
        writer, quiet = await launched(bench, WRITES), await launched(bench, LASTS)
        await printed(bench, writer, b"ready")
        await printed(bench, quiet, b"ready")
        limit = DiskLimit(size_bytes=4_000_000, files=1000)

        places = [DiskPlace(kind="attempt", name=spec.attempt, limit=limit) for spec in (writer, quiet)]
        uses = {use.place.name: use for use in await bench.engine.disk_use(places)}

        assert 5_000_000 <= uses[writer.attempt].used_bytes <= 5_500_000
        assert 5 <= uses[writer.attempt].files <= 50
        assert (uses[writer.attempt].over, uses[quiet.attempt].over) == (True, False)
        assert uses[writer.attempt].mostly == "in /artifacts"

    async def test_a_stop_without_grace_ends_at_once_what_does_not_listen_and_is_told_as_a_stop(self, bench):
        spec = await launched(bench, STUBBORN, grace_seconds=30)
        await printed(bench, spec, b"ready")

        await bench.engine.stop(spec.attempt, grace_seconds=0, why=WHY)

        exit = await end_of(bench, spec)
        assert (exit.reason, exit.signal) == (ExitReason.STOPPED, 9)
        assert (await bench.engine.read_log(spec.attempt, 0, MiB)).data == b"ready\n"

    async def test_who_runs_with_gpus_is_told_until_its_end(self, bench):
        gpu = Slot(uuid="GPU-of-the-contract", index=0, model="Simulated", memory_bytes=MiB, simulated=True)
        spec = await launched(bench, LASTS, slots=(gpu,))

        use = await bench.engine.gpu_use(fresh=True)
        holders = [holder for holder in use.holders if gpu.uuid in holder.uuids]
        assert [(holder.lease_id, holder.ours) for holder in holders] == [(spec.lease_id, True)]

        await bench.engine.stop(spec.attempt, grace_seconds=0, why="cancelled")
        await end_of(bench, spec)

        use = await bench.engine.gpu_use(fresh=True)
        assert not [holder for holder in use.holders if gpu.uuid in holder.uuids]


async def _listen(engine, hints) -> None:
    async for hint in engine.watch():
        hints.append(hint)


async def _was_hinted(bench, hints) -> bool:
    """Run a command, and tell whether a hint of an end came: one from before the ear was open may be missed."""
    spec = await launched(bench, PRINTS)
    await end_of(bench, spec)
    ended = [hint for hint in hints if hint.kind is EngineEventKind.EXITED]
    return any((hint.attempt, hint.lease_id) == (spec.attempt, spec.lease_id) for hint in ended)
