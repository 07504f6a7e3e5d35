"""The GPU page: every GPU, who has it, who waits; and for administrators what they may do, each after a page that asks."""

from __future__ import annotations

from himalia.errors import FieldError, Forbidden, NotFound
from himalia.gpus import GPUMode, SlotHealth
from himalia.models import GPUModeRequest, GPUsView, SlotView

from ..person import ADMIN
from .base import PageHandler

LONGEST_WHY = 500
#: What administrators do, and the words of the links.
ACTS = {"drain": "Drain", "quarantine": "Take out", "return": "Give back", "release": "End hold", "mode": "Mode"}
ASKED = {
    "drain": "Drain {}?",
    "quarantine": "Take {} out?",
    "return": "Give {} back?",
    "release": "End the hold on {}?",
}
WHAT = {
    "drain": "{holder} Nobody gets this GPU next, until it is given back. For planned work: it counts as no complaint.",
    "quarantine": "{holder} Nobody gets this GPU next, until it is given back.",
    "return": "It is given out again once it is seen to be free.",
}
FILE = "file"  #: in a mode's place: as the operator's file says
MOST_SEATS = 64
MODES = {
    GPUMode.EXCLUSIVE: "Whole, to one holder at a time",
    GPUMode.SHARED: "By seats; nothing fences their memory",
    GPUMode.AUTO: "Whole or by seats, as the first who gets it has asked",
    GPUMode.MIG: "By its MIG devices, as they are",
    GPUMode.OFF: "To nobody",
    FILE: "As himalia.toml says",
}
KEPT_BACK = frozenset({SlotHealth.DRAINED, SlotHealth.QUARANTINED})


class GPUsPage(PageHandler):
    """`GET /services/jobs/`."""

    async def get(self) -> None:
        """Show slots, holders, what is free, the queue."""
        view = await self.service.ledger.gpus(self.person)
        done = await self.service.operating.interventions() if self.person.sees_all else []
        nodes = len({node.node_id for node in view.nodes})
        self.page("gpus.html", view=view, here="gpus", sum=sum_of(view), acts=acts, done=done[:10], nodes=nodes)


class ActPage(PageHandler):
    """`GET gpus/{uuid}/{act}` asks, `POST` does it and goes back to the GPUs."""

    scope = ADMIN

    async def prepare(self) -> None:
        """Let administrators alone through."""
        await super().prepare()
        if not self.person.sees_all:
            raise Forbidden("This is for administrators.")

    async def get(self, uuid: str, act: str) -> None:
        """Say what it does, and ask."""
        slot = await self._slot(uuid)
        if act == "release" and slot.holder is None:
            raise NotFound(f"Nobody holds {slot.name} any more.")
        asked, what = ASKED[act].format(slot.name if act == "release" else f"GPU {slot.index}"), what_it_does(slot, act)
        self.page("confirm.html", slot=slot, act=act, asked=asked, words=ACTS[act], what=what)

    async def post(self, uuid: str, act: str) -> None:
        """Do it."""
        why, by = str(self.get_body_argument("why", "")).strip(), self.person.name
        if len(why) > LONGEST_WHY:
            raise FieldError("why", f"Say it in {LONGEST_WHY} letters at most.")
        keeper, operating = self.service.reconciler.keeper, self.service.operating
        if act == "drain":
            await keeper.drain(uuid, why, by)
        elif act == "quarantine":
            await keeper.quarantine(uuid, why, by)
        elif act == "return":
            await keeper.give_back(uuid, by)
        else:
            await operating.release(uuid, why, by)
        await self.service.wake()
        self.redirect(self.service.settings.prefix, status=303)

    async def _slot(self, uuid: str) -> SlotView:
        view = await self.service.ledger.gpus(self.person)
        found = next((slot for slot in view.slots if slot.uuid == uuid), None)
        if found is None:
            raise NotFound("There is no such GPU (any more).")
        return found


class ModePage(ActPage):
    """`GET gpus/{uuid}/mode` asks how a GPU is to be given out, `POST` says it."""

    async def get(self, uuid: str, act: str = "mode") -> None:
        """Show how it is given out, and what may be chosen."""
        slot, view = await self._slot(uuid), await self.service.gpu_modes.view(uuid)
        self.page("mode.html", slot=slot, view=view, modes=MODES)

    async def post(self, uuid: str, act: str = "mode") -> None:
        """Set it."""
        mode, seats = self.get_body_argument("mode", ""), self.get_body_argument("seats", "")
        by, modes = self.person.name, self.service.gpu_modes
        if mode == FILE:
            await modes.unset(uuid, by)
        else:
            await modes.set(uuid, self._request(mode, seats), by)
        await self.service.wake()
        self.redirect(self.service.settings.prefix, status=303)

    def _request(self, mode: str, seats: str) -> GPUModeRequest:
        if mode not in set(GPUMode):
            raise FieldError("mode", f"There are these modes: {', '.join(GPUMode)}.")
        if seats and (not seats.isascii() or not seats.isdigit() or not 1 <= int(seats[:4]) <= MOST_SEATS):
            raise FieldError("seats", f"Write a number of seats from 1 to {MOST_SEATS}.")
        return GPUModeRequest(mode=GPUMode(mode), seats=int(seats) if seats else None)


def acts(slot: SlotView) -> dict[str, str]:
    """Return what an administrator may do to a GPU as it is."""
    possible = ["return"] if slot.health in KEPT_BACK else ["drain", "quarantine"]
    possible += ["release"] if slot.holder and not slot.ending else []
    return {act: ACTS[act] for act in [*possible, "mode"]}


def what_it_does(slot: SlotView, act: str) -> str:
    """Return what an act does, in words."""
    if act == "release":
        how = "is cancelled" if slot.holder_kind == "job" else "is stopped; its home and storage stay"
        return f"{slot.holder} {how}. What was not saved is lost. It is written down with your name and why."
    return WHAT[act].format(holder=f"{slot.holder} goes on." if slot.holder else "").strip()


def sum_of(view: GPUsView) -> str:
    """Return how it stands, in a few words."""
    if not view.slots:
        return "None here"
    waiting = f" · {len(view.queue)} waiting" if view.queue else ""
    return f"{view.free} of {view.gpus} free{waiting}"
