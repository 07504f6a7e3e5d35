"""The modes of GPUs: what the operator's file and administrators want, and the slots that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from himalia.errors import FieldError, NotFound
from himalia.gpu_modes import GPUModeSetting
from himalia.gpus import GPUMode, Slot, SlotHealth
from himalia.models import GPUModeRequest, GPUModeView
from himalia_gpus.modes import Arranged, Wish, arranged, becomes, wish_of

from .engines.base import Node
from .store import Database, leases, modes, slots
from .store.events import note_intervention


class GPUModes:
    """Writes the slots of the machines in the modes that are wished for, and keeps the wishes of administrators."""

    def __init__(
        self, db: Database, settings: Sequence[GPUModeSetting], told: Callable[[list[Node]], None] = lambda _: None
    ) -> None:
        self.db = db
        self.settings = settings
        self.told = told  #: called with the machines whenever what can be asked for is read anew
        self._found: dict[str, Node] = {}  #: the machines as they are, whatever the modes

    async def write(self, nodes: Sequence[Node]) -> tuple[list[Node], bool]:
        """Write what the machines have; return them with what can be asked for, and whether anything changed."""
        self._found = {node.node_id: node for node in nodes}
        changed = False
        same, differing = await self.db.read(partial(_compared, nodes=nodes, settings=self.settings))
        if not differing:
            self.told(same)
            return same, False
        for node in differing:
            changed |= await self.db.write(partial(write_node, node=node, settings=self.settings))
        return await self._tell(), changed

    async def set(self, uuid: str, request: GPUModeRequest, by: str) -> GPUModeView:
        """Give a GPU another mode on an administrator's word; its holders go on, and it is in force when they have ended."""
        gpu = self._gpu(uuid)
        _check(gpu, request.mode)

        def write(db: Connection) -> None:
            modes.put(db, gpu.node_id, gpu.gpu, request.mode, request.seats or self._seats(gpu), by)
            write_node(db, self._found[gpu.node_id], self.settings)
            note_intervention(db, by, f"set the mode of GPU {gpu.index} ({gpu.gpu}) to {request.mode}.")

        await self.db.write(write)
        await self._tell()
        return await self.view(uuid)

    async def unset(self, uuid: str, by: str) -> GPUModeView:
        """Give a GPU the mode that the operator's file says."""
        gpu = self._gpu(uuid)

        def write(db: Connection) -> None:
            modes.remove(db, gpu.node_id, gpu.gpu)
            write_node(db, self._found[gpu.node_id], self.settings)
            note_intervention(db, by, f"set the mode of GPU {gpu.index} ({gpu.gpu}) back to the file's.")

        await self.db.write(write)
        await self._tell()
        return await self.view(uuid)

    async def view(self, uuid: str) -> GPUModeView:
        """Return how a GPU is given out, and whether that is in force."""
        gpu = self._gpu(uuid)
        own, there = await self.db.read(
            lambda db: (
                modes.wishes(db, gpu.node_id).get(gpu.gpu),
                _arranged(db, self._found[gpu.node_id], self.settings),
            )
        )
        wish = own or wish_of(gpu, self.settings)
        leaving = [slot for slot in there.leaving if slot.gpu == gpu.gpu and slot.health is SlotHealth.CHANGING]
        in_force = not leaving
        sentence = f"GPU {gpu.index} is {wish}." if in_force else becomes(gpu.index, wish)
        here = [slot for slot in there.slots if slot.gpu == gpu.gpu]
        if in_force and all(slot.health is SlotHealth.OFF for slot in here) and wish.mode is not GPUMode.OFF:
            sentence = f"GPU {gpu.index}: {here[0].health_detail}"
        return GPUModeView(
            uuid=gpu.gpu,
            index=gpu.index,
            mode=wish.mode,
            seats=wish.seats if wish.mode in (GPUMode.SHARED, GPUMode.AUTO) else 0,
            by="setting" if own is None else "administrator",
            in_force=in_force,
            sentence=sentence,
        )

    async def _tell(self) -> list[Node]:
        found = list(self._found.values())
        nodes = await self.db.read(lambda db: [in_modes(db, node, self.settings) for node in found])
        self.told(nodes)
        return nodes

    def _gpu(self, uuid: str) -> Slot:
        """Return a slot of the GPU as it was found that a UUID names, its own or that of one of its slots."""
        for node in self._found.values():
            for slot in node.slots:
                if uuid.partition("#")[0] in (slot.gpu, slot.uuid):
                    return slot
        raise NotFound(f"There is no GPU {uuid}. `himalia gpus` shows what there is.")

    def _seats(self, gpu: Slot) -> int:
        return wish_of(gpu, self.settings).seats


def write_node(db: Connection, node: Node, settings: Sequence[GPUModeSetting]) -> bool:
    """Write a machine's slots in the modes wished for; return whether anything changed."""
    found = _arranged(db, node, settings).all
    return slots.write_slots(db, node.node_id, found, unlisted=node.unlisted)


def in_modes(db: Connection, node: Node, settings: Sequence[GPUModeSetting]) -> Node:
    """Return a machine with the slots that can be asked for."""
    return _with_slots(db, node, _arranged(db, node, settings))


def _with_slots(db: Connection, node: Node, there: Arranged) -> Node:
    return replace(node, slots=slots.with_silent(db, node.node_id, there.slots))


def _compared(
    db: Connection, nodes: Sequence[Node], settings: Sequence[GPUModeSetting]
) -> tuple[list[Node], list[Node]]:
    """Return the machines with the slots that can be asked for, and of the machines those that are written otherwise."""
    there = [(node, _arranged(db, node, settings)) for node in nodes]
    differing = [node for node, found in there if slots.differ(db, node.node_id, found.all, node.unlisted)]
    return [_with_slots(db, node, found) for node, found in there], differing


def _arranged(db: Connection, node: Node, settings: Sequence[GPUModeSetting]) -> Arranged:
    own = modes.wishes(db, node.node_id)
    wishes: dict[str, Wish] = {}
    for slot in node.slots:
        by_file = wish_of(slot, settings)
        said = own.get(slot.gpu)
        wishes.setdefault(slot.gpu, by_file if said is None else replace(said, slices=by_file.slices))
    held = {uuid for node_id, uuid in leases.lease_of_slot(db) if node_id == node.node_id}
    known = slots.as_found(db, node.node_id) if held else []
    return arranged(node.slots, wishes, known, held)


def _check(gpu: Slot, mode: GPUMode) -> None:
    """Raise FieldError for a mode that this GPU cannot have; cutting and joining is nothing that Himalia does."""
    if mode in (GPUMode.EXCLUSIVE, GPUMode.SHARED, GPUMode.AUTO) and gpu.parent and not gpu.simulated:
        raise FieldError(
            "mode",
            f"GPU {gpu.index} is cut into MIG devices, which are given out as they are. "
            f"`nvidia-smi -i {gpu.index} -mig 0` joins it again; Himalia does not.",
        )
    if mode is GPUMode.MIG and not gpu.parent and not gpu.simulated:
        raise FieldError(
            "mode",
            f"GPU {gpu.index} has no MIG devices, and Himalia cuts no GPU. `nvidia-smi -i {gpu.index} -mig 1` and "
            "`nvidia-smi mig -cgi … -C` do; its MIG devices are then given out by themselves.",
        )
