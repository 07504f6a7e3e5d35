"""A random history of the ledger: people, services that die, GPUs that fail, and hands that reach past Himalia."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import rule
from ledger_truth import CUT, ENDS, GPUS, LASTS, MODES, MOST_SEATS, UUIDS, LedgerTruth
from mortal_service import Fuse, Killed
from rows import server_lease

from himalia.errors import FieldError, HimaliaError, NotFound
from himalia.gpus import SEAT_MARK, GPUMode, SlotHealth, SlotHold
from himalia.ids import new_id
from himalia.models import GPUModeRequest
from himalia.states import JobState, LeaseState
from himalia.units import GiB
from himalia_jobs.engines.base import Phase
from himalia_jobs.engines.fake import Fault
from himalia_jobs.engines.gpus import GPUUser
from himalia_jobs.gpu_modes import write_node
from himalia_jobs.runner import request_cancel
from himalia_jobs.store import jobs, leases

DEVICES = tuple(slot.uuid for slot in GPUS)
ANY_DEVICE = st.sampled_from(DEVICES)
ANY_GPU = st.sampled_from(UUIDS)
REQUESTED = ("0", "1", "1", "2", "shared", "shared", "shared:60GB", "0.5", "mig-3g.71gb", "H200")
REQUESTS = st.sampled_from(REQUESTED)
MODES_WISHED = (*GPUMode, None)  #: none: what the operator's file says
PICKS = st.integers(0, 10**6)
LOST = (SlotHealth.SUSPECT, "The GPU has fallen off the bus.")


class LedgerHistory(LedgerTruth):
    """What can happen to a ledger, in any order."""

    # People.

    @rule(gpus=REQUESTS, lasts=st.booleans())
    def submit(self, gpus: str, lasts: bool) -> None:
        """Queue a job."""
        values = {
            "id": new_id(),
            "project_id": self.project.id,
            "owner_id": self.person,
            "owner": "user:ada",
            "user_id": self.person,
            "user": "ada",
            "project": "work",
            "name": "train",
            "profile": "small",
            "image": "himalia/server:dev",
            "image_id": "sha256:1",
            "cpus": 1.0,
            "memory_bytes": GiB,
            "gpus": gpus,
            "timeout_seconds": 3600,
            "retries": 0,
            "spec": {"command": list(LASTS if lasts else ENDS)},
            "teams": {},
        }
        self.db.write_now(lambda db: jobs.add(db, values))

    @rule(gpus=REQUESTS)
    def ask_for_a_server(self, gpus: str) -> None:
        """Put a server in line."""
        values = server_lease(gpus=gpus)
        self.db.write_now(lambda db: leases.add(db, values))

    @rule(pick=PICKS)
    def start_a_server(self, pick: int) -> None:
        """Start the container of a server that has its share, as the spawner does."""
        reserved = [x for x in self.live() if x.kind == "server" and x.state is LeaseState.RESERVED]
        if reserved:
            lease = reserved[pick % len(reserved)]
            held = self.db.read_now(leases.slots_by_lease).get(lease.id, [])
            name = f"jupyter-{lease.id}"
            if name not in self.machine.containers:
                uuids = tuple(slot.uuid for slot in held)
                self.machine.run_server(name, lease_id=lease.id, slots=uuids, cpus=1.0, memory_bytes=GiB)
                self.run(self.service.reconciler.serving.bind(lease, name))

    @rule(pick=PICKS, leaves_memory=st.booleans())
    def end_something(self, pick: int, leaves_memory: bool) -> None:
        """End a container that runs, of a job or a server; a GPU may keep its memory."""
        running = self.machine.running()
        if not running:
            return
        found = running[pick % len(running)]
        if leaves_memory and found.seen.slots:
            self.leave_memory(found.seen.slots[0])
        if found.seen.kind == "job" and found.name in self.machine.journal:
            self.machine.finish(found.name)
        else:
            self.machine.remove_by_hand(found.name)
        self.by_hand.discard(found.name)
        self.looked = False

    def cancel(self, pick: int) -> None:
        """Cancel a job."""
        live = self.db.read_now(lambda db: jobs.in_states(db, [JobState.QUEUED, JobState.STARTING, JobState.RUNNING]))
        if live:
            self.run(request_cancel(self.db, live[pick % len(live)], "ada"))

    # The service.

    @rule()
    def turn(self) -> None:
        """Do a round of the queue; what is given out was fit to be given out, and is really free."""
        self.untouched(self.service.look_at_nodes())
        before, held = self.health(), self.holders()
        self.untouched(self.service.turn())
        for uuid in self.holders().keys() - held.keys():
            assert before[uuid] is SlotHealth.OK, f"{uuid} was {before[uuid]}"
            device = uuid.partition(SEAT_MARK)[0]
            # Until its lease has ended, what a holder left on a shared GPU is of its own share.
            left = self.leftover.get(device)
            assert left is None or left in held.values(), f"{uuid} still had the memory of its last holder"
        self.reasons_are_true()
        self.steps()

    def steps(self) -> None:
        """Take every job a step further."""
        for job_id in sorted(self.service.wanted):
            self.run(self.service.step(job_id))

    @rule()
    def reconcile(self) -> None:
        """Bring database, containers and GPUs together."""
        self.untouched(self.service.reconciler.run())
        self.looked = True

    @rule(seconds=st.sampled_from([1, 5, 40, 100]))
    def time_passes(self, seconds: int) -> None:
        """Let time pass."""
        self.service.let_pass(seconds)
        self.by_hand &= {found.name for found in self.machine.running()}
        self.looked = False

    @rule(at=st.integers(1, 6), what=st.sampled_from(["turn", "steps", "reconcile"]))
    def die(self, at: int, what: str) -> None:
        """Kill the service at some step, and start it anew."""
        self.service.fuse.kill_at = self.service.fuse.passed + at
        try:
            if what == "steps":
                self.steps()
            else:
                self.run(getattr(self.service, what)())
        except Killed:
            pass
        self.untouched(self.service.start(Fuse()))

    @rule(method=st.sampled_from(["list", "gpu_use", "launch", "stop", "forget"]), fault=st.sampled_from(Fault))
    def message_goes_wrong(self, method: str, fault: Fault) -> None:
        """Let one message to the machine go wrong."""
        if method in ("list", "gpu_use"):
            fault = Fault.LOST
        if fault not in (Fault.DELAYED, Fault.DOUBLED):
            self.service.faults.plan[method].append(fault)
            self.run(self.service.tick())
            self.service.faults.plan.clear()

    @rule(times=st.integers(1, 3))
    def ticks(self, times: int) -> None:
        """Let the service do its work for some seconds, as it does when nothing happens."""
        for _ in range(times):
            self.turn()
            self.reconcile()
            self.service.let_pass(1)
            self.by_hand &= {found.name for found in self.machine.running()}

    @rule(pick=PICKS, leaves_memory=st.booleans())
    def end_and_go_on(self, pick: int, leaves_memory: bool) -> None:
        """End a container and do a round at once: what it gave up has not been looked at yet."""
        self.end_something(pick, leaves_memory)
        self.steps()
        self.turn()

    # The machine, and hands that reach past Himalia.

    @rule(
        what=st.sampled_from(["foreign", "nobody", "nobody", "rogue", "memory", "memory", "memory", "fault"]),
        uuid=ANY_DEVICE,
    )
    def on_a_gpu(self, what: str, uuid: str) -> None:
        """Let something happen on a GPU."""
        {
            "foreign": self.somebody_computes,
            "nobody": self.nobody_computes,
            "rogue": self.somebody_runs_a_container,
            "memory": self.memory_comes_back,
            "fault": self.a_gpu_reports_an_error,
        }[what](uuid)

    @rule()
    def calm(self) -> None:
        """Let all that is on the GPUs from outside end, and let an administrator give back what lasts."""
        self.machine.gpus.users.clear()
        self.machine.gpus.others.clear()
        for slot in GPUS:
            self.memory_comes_back(slot.uuid)
            self.a_gpu_changes(slot.uuid, "back")
            self.give_back(slot.gpu)
        self.ticks(2)

    @rule(how=st.sampled_from(["lost", "gone", "back", "back", "back", "moved"]), uuid=ANY_DEVICE)
    def to_a_gpu(self, how: str, uuid: str) -> None:
        """Let something happen to a GPU."""
        self.a_gpu_changes(uuid, how)

    @rule(what=st.sampled_from(["cancel", "by hand", "by hand", "stranger", "restart"]), uuid=ANY_DEVICE, pick=PICKS)
    def past_the_queue(self, what: str, uuid: str, pick: int) -> None:
        """Let somebody cancel a job, reach past Himalia, or restart the machine."""
        if what == "cancel":
            self.cancel(pick)
        elif what == "by hand":
            self.a_container_is_started_by_hand(pick)
        elif what == "stranger" and not self.by_hand:
            held = sorted(self.holders())
            uuid = self.any_slot(pick) or uuid
            self.a_stranger_with_our_label_runs(held[pick % len(held)] if held and pick % 3 else uuid)
            self.reconcile()
        elif what == "restart" and pick % 4 == 0:
            self.the_machine_restarts()

    def any_slot(self, pick: int) -> str:
        """Return one of the slots that the ledger has."""
        there = sorted(self.by_uuid())
        return there[pick % len(there)] if there else ""

    def somebody_computes(self, uuid: str) -> None:
        """Start a process on a GPU that Himalia knows nothing of."""
        self.machine.gpus.users[uuid] = [GPUUser(pid=4242, command="python3", user="bob", memory_bytes=GiB)]
        self.looked = False

    def nobody_computes(self, uuid: str) -> None:
        """End it."""
        self.machine.gpus.users[uuid] = []
        self.looked = False

    def somebody_runs_a_container(self, uuid: str) -> None:
        """Start a container with a GPU that is not Himalia's, or end it."""
        if self.machine.gpus.others.pop("theirs", None) is None and uuid == GPUS[0].uuid:
            self.machine.gpus.others["theirs"] = (uuid,)
        self.looked = False

    def memory_comes_back(self, uuid: str) -> None:
        """Let the driver free what a holder left."""
        self.leftover.pop(uuid, None)
        self.machine.gpus.memory[uuid] = 0
        self.looked = False

    def a_gpu_reports_an_error(self, uuid: str) -> None:
        """Let a GPU report a critical error."""
        self.service.let_pass(1)
        self.by_hand &= {found.name for found in self.machine.running()}
        self.machine.gpus.faults[uuid] = ("The GPU reported Xid 95.", self.machine.now)
        self.looked = False

    def a_gpu_changes(self, uuid: str, how: str) -> None:
        """Let a GPU fall off the bus, vanish, come back, or get another index."""
        others = [slot for slot in self.machine.node.slots if slot.uuid != uuid]
        was = next(slot for slot in GPUS if slot.uuid == uuid)
        changed = {
            "lost": [was.model_copy(update={"health": LOST[0], "health_detail": LOST[1]})],
            "gone": [],
            "back": [was],
            "moved": [was.model_copy(update={"index": was.index + 10})],
        }[how]
        self.machine.node = replace(self.machine.node, slots=(*others, *changed))
        self.db.write_now(partial(write_node, node=self.machine.node, settings=MODES))
        self.looked = False

    def a_container_is_started_by_hand(self, pick: int) -> None:
        """Start a container that has ended once more, past Himalia."""
        ended = [found for found in self.machine.containers.values() if found.seen.phase is Phase.EXITED]
        if ended:
            found = ended[pick % len(ended)]
            self.machine.restart_by_hand(found.name)
            self.by_hand.add(found.name)
            self.looked = False

    def a_stranger_with_our_label_runs(self, uuid: str) -> None:
        """Run a server that the database does not know."""
        name = f"jupyter-{new_id()}"
        self.machine.run_server(name, lease_id=new_id(), slots=(uuid,), cpus=1.0, memory_bytes=GiB)
        self.by_hand.add(name)
        self.looked = False

    def the_machine_restarts(self) -> None:
        """Restart the machine: what was on its GPUs is gone, and so are errors that a reset heals."""
        self.machine.reboot()
        self.machine.gpus.users.clear()
        self.machine.gpus.memory.clear()
        self.machine.gpus.faults.clear()
        self.leftover.clear()
        self.by_hand.clear()
        self.told = {uuid: hold for uuid, hold in self.told.items() if hold is SlotHold.ADMIN}
        self.looked = False

    # Administrators.

    @rule(uuid=ANY_GPU, mode=st.sampled_from(MODES_WISHED), seats=st.integers(1, MOST_SEATS))
    def a_mode_is_set(self, uuid: str, mode: GPUMode | None, seats: int) -> None:
        """Let an administrator change how a GPU is given out; what it cannot be is refused."""
        self.untouched(self.service.look_at_nodes())
        try:
            if mode is None:
                self.untouched(self.service.modes.unset(uuid, "root"))
            else:
                self.untouched(self.service.modes.set(uuid, GPUModeRequest(mode=mode, seats=seats), "root"))
        except NotFound:
            assert uuid not in {slot.gpu for slot in self.machine.node.slots}
        except FieldError:
            assert (uuid == CUT[0].gpu) is (mode is not GPUMode.MIG)

    @rule(uuid=ANY_GPU, back=st.booleans())
    def an_administrator(self, uuid: str, back: bool) -> None:
        """Let an administrator take a GPU out, or give it back."""
        if back or self.told:
            self.give_back(uuid)
        else:
            self.take_out(uuid)

    def take_out(self, uuid: str) -> None:
        """Take a GPU out."""
        if uuid in {slot.gpu for slot in self.by_uuid().values()}:
            self.untouched(self.service.reconciler.keeper.quarantine(uuid, "Fans.", "root"))
            self.told[uuid] = SlotHold.ADMIN

    def give_back(self, uuid: str) -> None:
        """Give a GPU back; what gives itself back is refused."""
        try:
            self.untouched(self.service.reconciler.keeper.give_back(uuid, "root"))
            self.told.pop(uuid, None)
        except HimaliaError:
            here = [slot.hold for slot in self.by_uuid().values() if slot.gpu == uuid]
            assert not {SlotHold.ADMIN, SlotHold.FAULT} & set(here)
