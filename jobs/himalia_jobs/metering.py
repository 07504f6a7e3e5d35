"""The service's numbers for Prometheus: what is so now, and what was counted since the service started."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client import Counter as Total
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from himalia.gpus import SlotHealth
from himalia.models import GPUsView, SlotView
from himalia.version import VERSION

from .store.records import LeaseRecord
from .turn import Round

ROUND_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
WAIT_BUCKETS = (1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 86400.0, 3 * 86400.0)
GPU = ("node", "gpu", "uuid", "model")
LEASE = (*GPU, "kind", "user", "job", "server", "profile")


class Meters:
    """What is counted while the service runs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.rounds = Histogram(
            "himalia_round_seconds",
            "How long a round of the queue took.",
            buckets=ROUND_BUCKETS,
            registry=self.registry,
        )
        self.waits = Histogram(
            "himalia_wait_seconds",
            "How long what started had waited in line, first attempts alone.",
            ("kind",),
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        self.freed_bytes = Total(
            "himalia_freed_bytes",
            "Of the data disk, freed by removing submitted files that no job needed any more.",
            registry=self.registry,
        )

    def freed(self, size_bytes: int) -> None:
        """Count what was freed on the data disk."""
        self.freed_bytes.inc(size_bytes)

    def turn(self, decided: Round, seconds: float) -> None:
        """Count a round, and how long those had waited that it gave something to."""
        self.rounds.observe(seconds)
        first = {attempt.partition(".")[0] for attempt in decided.started if attempt.endswith(".1")}
        now = decided.situation.now
        for waiter in decided.situation.waiters:
            if waiter.id in first or (waiter.kind == "server" and waiter.id not in decided.waits):
                self.waits.labels(waiter.kind).observe(max(0.0, (now - waiter.since).total_seconds()))


@dataclass(frozen=True, kw_only=True)
class Now:
    """What is so now, read in one go."""

    view: GPUsView  #: as an administrator sees it
    leases: Mapping[str, LeaseRecord]
    jobs: Mapping[str, int]  #: by state
    complaints: Sequence[str]
    data: Path
    at: datetime


def exposition(meters: Meters, now: Now) -> bytes:
    """Return all numbers in Prometheus's text format."""
    fresh = CollectorRegistry()
    fresh.register(_Collected(now))
    return generate_latest(fresh) + generate_latest(meters.registry)


class _Collected(Collector):
    def __init__(self, now: Now) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """Return what is so now."""
        yield from _of_gpus(self._now)
        yield from _of_queue(self._now)
        yield from _of_service(self._now)


def _of_gpus(now: Now) -> Iterator[Metric]:
    slots = now.view.slots
    yield _gauge("himalia_gpu_memory_bytes", "Memory of a GPU.", GPU, ((_gpu(one), one.memory_bytes) for one in slots))
    known: tuple[tuple[str, str, str, float], ...] = (
        ("himalia_gpu_memory_used_bytes", "Memory of a GPU that is used.", "memory_used_bytes", 1.0),
        ("himalia_gpu_busy_ratio", "Of the time, in how much any kernel ran.", "busy_percent", 0.01),
        ("himalia_gpu_temperature_celsius", "Temperature of a GPU.", "temperature_celsius", 1.0),
        ("himalia_gpu_power_watts", "What a GPU draws.", "power_watts", 1.0),
        ("himalia_gpu_holder_idle_seconds", "For how long a holder has done nothing on it.", "idle_seconds", 1.0),
    )
    for name, said, field, factor in known:
        told = [(_gpu(one), value * factor) for one in slots if (value := getattr(one, field)) is not None]
        yield _gauge(name, said, GPU, told)
    yield _gauge(
        "himalia_gpu_health",
        "1 for the health that a GPU has: ok is given out, all others are kept back.",
        (*GPU, "health"),
        (((*_gpu(one), str(health)), float(one.health is health)) for one in slots for health in SlotHealth),
    )
    held = [(one, lease) for one in slots if (lease := now.leases.get(one.lease or ""))]
    yield _gauge(
        "himalia_gpu_lease", "1 for who has a GPU.", LEASE, ((_lease(slot, lease), 1.0) for slot, lease in held)
    )
    yield _gauge("himalia_gpus_free", "GPUs that could be given out now.", (), [((), now.view.free)])


def _of_queue(now: Now) -> Iterator[Metric]:
    queue = now.view.queue
    waiting = Counter((waiter.kind, str(waiter.reason)) for waiter in queue)
    yield _gauge("himalia_queue_waiting", "Who waits in line.", ("kind", "reason"), waiting.items())
    longest = {
        kind: max(((now.at - one.since).total_seconds() for one in queue if one.kind == kind), default=0.0)
        for kind in ("job", "server")
    }
    yield _gauge(
        "himalia_queue_longest_wait_seconds",
        "For how long who waits has waited, at most.",
        ("kind",),
        (((kind,), seconds) for kind, seconds in longest.items()),
    )
    holding = Counter((lease.kind, str(lease.state)) for lease in now.leases.values())
    yield _gauge("himalia_leases", "Shares of a machine that wait or are held.", ("kind", "state"), holding.items())
    yield _gauge("himalia_jobs", "Jobs that have not ended.", ("state",), (((s,), n) for s, n in now.jobs.items()))


def _of_service(now: Now) -> Iterator[Metric]:
    yield _gauge("himalia_info", "The service's version.", ("version",), [((VERSION,), 1.0)])
    yield _gauge("himalia_service_ok", "Whether nothing is wrong.", (), [((), float(not now.complaints))])
    yield _gauge("himalia_complaints", "How many things are wrong.", (), [((), len(now.complaints))])
    free = shutil.disk_usage(now.data).free
    yield _gauge("himalia_data_free_bytes", "Free space on the data disk.", (), [((), free)])


def _gauge(
    name: str, said: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def _gpu(slot: SlotView) -> tuple[str, str, str, str]:
    return slot.node_id, str(slot.index), slot.uuid, slot.model


def _lease(slot: SlotView, lease: LeaseRecord) -> tuple[str, ...]:
    is_job = lease.kind == "job"
    job = lease.holder.partition(".")[0] if is_job else ""
    return *_gpu(slot), lease.kind, lease.user, job, "" if is_job else lease.holder, lease.profile
