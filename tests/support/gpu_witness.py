"""A witness of what containers did with GPUs: it reads the Engine's own events and nothing that Himalia says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from container_events import ContainerEvents

from himalia.container import Label


class GPUWitness(ContainerEvents):
    """Follows every start and end of an installation's containers."""

    def __init__(self, installation: str) -> None:
        super().__init__(installation, "start", "die")
        self.started: Counter[str] = Counter()  #: containers that were started, by kind
        self.starts: Counter[str] = Counter()  #: of each attempt
        self.exit_codes: dict[str, int] = {}  #: of each attempt, as the Engine told its last end
        self.most_at_once = 0
        self._on: defaultdict[str, set[str]] = defaultdict(set)  #: by slot, the containers that run on it

    @property
    def total(self) -> int:
        """How many containers were started."""
        return self.started.total()

    @property
    def occupied(self) -> set[str]:
        """The slots on which a container runs now."""
        return {slot for slot, names in self._on.items() if names}

    def left(self) -> dict[str, list[str]]:
        """Return what the Engine still has of the installation: containers in any state, and volumes."""
        containers = self._api.containers(all=True, filters=self._filters)
        volumes = self._api.volumes(filters=self._filters)["Volumes"] or []
        return {
            "containers": [f"{found['Names'][0]} {found['Status']}" for found in containers],
            "volumes": [found["Name"] for found in volumes],
        }

    def running(self, kind: str) -> list[dict[str, Any]]:
        """Return the containers of a kind that run now."""
        labels = [self._filters["label"], f"{Label.KIND}={kind}"]
        return list(self._api.containers(filters={"label": labels}))

    def hear(self, event: Mapping[str, Any]) -> None:
        """Note who runs on which slot from now on."""
        action, told = event["Action"], event["Actor"]["Attributes"]
        name, attempt = told["name"], told.get(Label.ATTEMPT, "")
        slots = tuple(slot for slot in told.get(Label.SLOTS, "").split(",") if slot)
        if action == "die":
            for slot in slots:
                self._on[slot].discard(name)
            self.exit_codes[attempt] = int(told["exitCode"])
            return
        self.started[told.get(Label.KIND, "")] += 1
        self.starts[attempt] += 1
        for slot in slots:
            if self._on[slot]:
                self.wrong.append(f"{name} was started on {slot}, where {', '.join(self._on[slot])} runs")
            self._on[slot].add(name)
        self.most_at_once = max(self.most_at_once, len(self.occupied))
