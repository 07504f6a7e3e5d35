"""How much CPU time a round of the queue takes to decide: 10,000 waiting, 1,000 GPUs on 125 machines."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from measuring import Report, main

from himalia.gpus import Slot
from himalia.queueing import Queue, Quota
from himalia.units import GiB
from himalia_gpus.request import parse_request
from himalia_jobs.policy import Hold, Room, Rules, Situation, Waiter, decide, estimate

WAITING, NODES, GPUS_EACH, PEOPLE = 10_000, 125, 8, 200
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ASKED = ("1", "1", "1", "1", "2", "4", "8", "0", "H200:1", "A100,H200:2")
REQUESTS = {text: parse_request(text) for text in ASKED}  #: read once, as the service does
PLAIN = Rules()
EVERYTHING = Rules(
    queue=Queue(backfill=True, fair_share="usage", ageing="6h"),
    priorities={"p0": 2},
    quotas=(Quota(user="*", gpus=16), Quota(team="t1", gpus=200), Quota(profile="p3", running=500)),
)


def measure(rounds: int) -> Report:
    """Measure the decision alone, in CPU time: full machines, empty ones, all rules at once; and the estimates beside it."""
    report = Report(title=f"A round with {WAITING} waiting and {NODES * GPUS_EACH} GPUs on {NODES} machines")
    full, empty = full_world(random.Random(1)), empty_world(random.Random(1))
    half = half_world(random.Random(1))
    for name, world, rules in (
        ("all GPUs held", full, PLAIN),
        ("all GPUs held, every rule", full, EVERYTHING),
        ("half of them free, every rule", half, EVERYTHING),
        ("all GPUs free", empty, PLAIN),
        ("all GPUs free, every rule", empty, EVERYTHING),
    ):
        report.add(
            f"decide, {name}", "ms", [_milliseconds(lambda w=world, r=rules: decide(w, r)) for _ in range(rounds)]
        )
    waits = decide(full).waits
    report.add(
        "estimate, all GPUs held",
        "ms",
        [_milliseconds(lambda: estimate(full, waits, {}, EVERYTHING)) for _ in range(rounds)],
    )
    return report


def empty_world(chance: random.Random) -> Situation:
    """Return a line before machines of which nothing is held."""
    rooms = tuple(
        Room(node_id=f"n{node:03}", cpus=128, memory_bytes=2000 * GiB, slots=_slots(node)) for node in range(NODES)
    )
    return Situation(now=NOW, rooms=rooms, waiters=tuple(_waiter(number, chance) for number in range(WAITING)))


def full_world(chance: random.Random) -> Situation:
    """Return the same with every GPU held by a job of its own."""
    world = empty_world(chance)
    holds = tuple(_hold(slot, chance) for room in world.rooms for slot in room.slots)
    return replace(world, holds=holds, rooms=tuple(replace(room, slots=()) for room in world.rooms))


def half_world(chance: random.Random) -> Situation:
    """Return the same with four of eight GPUs of each machine held."""
    world = empty_world(chance)
    holds = tuple(_hold(slot, chance) for room in world.rooms for slot in room.slots[:4])
    return replace(world, holds=holds, rooms=tuple(replace(room, slots=room.slots[4:]) for room in world.rooms))


def _slots(node: int) -> tuple[Slot, ...]:
    name = f"n{node:03}"
    uuids = [f"GPU-{name}-{number}" for number in range(GPUS_EACH)]
    return tuple(
        Slot(
            node_id=name,
            uuid=uuid,
            index=number,
            model="NVIDIA H200" if node % 5 else "NVIDIA A100",
            memory_bytes=141 * GiB if node % 5 else 80 * GiB,
            numa_node=number // 4,
            peers=tuple(peer for peer in uuids if peer != uuid),
        )
        for number, uuid in enumerate(uuids)
    )


def _waiter(number: int, chance: random.Random) -> Waiter:
    person = chance.randrange(PEOPLE)
    return Waiter(
        id=f"j{number:05}",
        kind="job",
        user_id=f"u{person}",
        user=f"u{person}",
        teams=frozenset({f"t{person % 10}"}),
        since=NOW - timedelta(seconds=chance.randrange(86_000)),
        cpus=chance.choice((1, 2, 4, 8)),
        memory_bytes=chance.choice((4, 16, 64)) * GiB,
        gpus=REQUESTS[chance.choice(ASKED)],
        profile=f"p{number % 6}",
        limit_seconds=float(chance.choice((600, 3600, 14_400, 86_400))),
    )


def _hold(slot: Slot, chance: random.Random) -> Hold:
    person = chance.randrange(PEOPLE)
    return Hold(
        lease_id=f"of-{slot.uuid}",
        kind="job",
        user_id=f"u{person}",
        user=f"u{person}",
        teams=frozenset({f"t{person % 10}"}),
        node_id=slot.node_id,
        cpus=4,
        memory_bytes=16 * GiB,
        since=NOW - timedelta(seconds=600),
        slots=(slot,),
        profile=f"p{person % 6}",
        ends_at=NOW + timedelta(seconds=chance.randrange(60, 86_400)),
    )


def _milliseconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000


if __name__ == "__main__":
    main(measure, rounds=9)
