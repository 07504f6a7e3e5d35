"""Watches an installation's containers, and nothing else, for what must never be: a slot or a share given out twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from container_events import ContainerEvents
from docker.errors import NotFound

from himalia.container import Label
from himalia.gpus import SEAT_MARK

#: CPUs are hundredths in the Engine; sums of floats are not exact.
SLACK = 1e-6


@dataclass(frozen=True, kw_only=True)
class Share:
    """What the containers that exist hold together."""

    slots: tuple[str, ...]
    cpus: float
    memory_bytes: int

    @property
    def doubled(self) -> list[str]:
        """The slots that more than one container has; a whole GPU and a seat of it are the same twice."""
        twice = [slot for slot, count in Counter(self.slots).items() if count > 1]
        both = {slot for slot in self.slots if SEAT_MARK in slot and slot.partition(SEAT_MARK)[0] in self.slots}
        return twice + sorted(both)


class ContainerChecker(ContainerEvents):
    """Looks at all containers again with every event."""

    def __init__(self, installation: str, *, cpus: float, memory_bytes: int) -> None:
        super().__init__(installation)
        self.cpus = cpus
        self.memory_bytes = memory_bytes
        self.looks = 0
        self.most_slots = 0
        self.most_cpus = 0.0

    def look(self) -> Share:
        """Return what all containers hold now: a container keeps its share until it is removed."""
        rows = self._api.containers(all=True, filters=self._filters)
        labels = [row["Labels"] for row in rows]
        return Share(
            slots=tuple(slot for label in labels for slot in label[Label.SLOTS].split(",") if slot),
            cpus=sum(float(label[Label.CPUS]) for label in labels),
            memory_bytes=sum(int(label[Label.MEMORY]) for label in labels),
        )

    def hear(self, event: Mapping[str, Any]) -> None:
        """Look at what all containers hold, and at the limits of one that starts."""
        share = self.look()
        self.looks += 1
        self.most_slots = max(self.most_slots, len(share.slots))
        self.most_cpus = max(self.most_cpus, share.cpus)
        if share.doubled:
            self.wrong.append(f"{share.doubled} are in two containers")
        if share.cpus > self.cpus + SLACK:
            self.wrong.append(f"containers hold {share.cpus:g} CPUs of {self.cpus:g}")
        if share.memory_bytes > self.memory_bytes:
            self.wrong.append(f"containers hold {share.memory_bytes} bytes of {self.memory_bytes}")
        if event["Action"] == "start":
            self._limits_must_be_the_labels(event["id"])

    def _limits_must_be_the_labels(self, container: str) -> None:
        """The labels say what was given; the Engine must hold the container to just that."""
        try:
            found = self._api.inspect_container(container)
        except NotFound:
            return
        host, labels = found["HostConfig"], found["Config"]["Labels"]
        given = (float(labels[Label.CPUS]), int(labels[Label.MEMORY]))
        if (host["NanoCpus"] / 1e9, host["Memory"]) != given:
            self.wrong.append(f"{found['Name']} is held to {host['NanoCpus']}, {host['Memory']}, but was given {given}")
