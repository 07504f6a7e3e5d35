"""The job service: its parts, wired together, and its loops."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from himalia.errors import HimaliaError
from himalia.reasons import SENTENCES, Reason
from himalia.states import LeaseState

from . import stuck, wait_notices
from .accounting import Accounting
from .bootclock import BootClock
from .changes import Changes
from .clearing import Clearing
from .contents import ContentStore
from .disk.jobs import Disks
from .disk.places import Places
from .disk.reserve import room_on
from .engines.base import Engine, EngineEvent, EngineEventKind, Node
from .engines.errors import EngineError
from .git import Fetches
from .giving_back.answers import Answers
from .giving_back.asking import Asking
from .giving_back.keeper import GivingBack
from .gpu_modes import GPUModes
from .history import read_lengths, read_usage
from .hub import Hub
from .hub_servers import HubServers
from .layout import DataLayout
from .ledger import Ledger
from .membership import Membership
from .metering import Meters
from .news import News
from .notices import Notices
from .offered import Offered
from .operating import Operating
from .people import People
from .policy import Lengths, estimate
from .process import RETURN_SECONDS, FreeMemory
from .queue import Line
from .reconcile import Reconciler
from .rulebook import Rulebook
from .runner import Runner
from .sampling import SAMPLE_SECONDS, Samples
from .serving import Serving
from .settings import Settings
from .shares import Shares
from .starter import Starter
from .store import Database, events, jobs, leases, notices, slots, wishes
from .store.records import JobRecord
from .submitting import Submitter
from .throttle import Throttle
from .turn import Round, take_turn
from .waiting import Waiting
from .work import Work, repeat

log = logging.getLogger(__name__)

STARTS_AT_ONCE = 8
ROUND_SECONDS = 5.0
ESTIMATE_SECONDS = 1.0  #: between two estimates: one takes as long as a round, and rounds may come quickly
RECONCILE_SECONDS = 10.0
SETTLE_SECONDS = 0.5  #: between two looks at a GPU that its holder gave up a moment ago
MEMBERSHIP_SECONDS = 30.0
TRIM_SECONDS = 3600.0
TELL_SECONDS = 0.003  #: that an end is told before the queue's next turn takes the CPU
TEND_SECONDS = 60.0
LEARN_SECONDS = 60.0
RULES_SECONDS = 60.0
CLEAR_SECONDS = 3600.0
CLEAR_IN_NEED_SECONDS = 600.0  #: while the disk is below its reserve


class Service:
    """Everything that one run of the service works with. `refusal` is set when it must not work: it then only says why."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        engine: Engine,
        hub: Hub,
        contents: ContentStore,
        layout: DataLayout,
        gateway: str,
    ) -> None:
        self.settings = settings
        self.site = settings.site
        self.db = db
        self.engine = engine
        self.hub = hub
        self.contents = contents
        self.layout = layout
        self.gateway = gateway  #: the host's address on the servers' network
        self.clock = BootClock()
        self.changes = Changes()
        self.news = News(db, self.changes)
        self.rulebook = Rulebook(db, hub, self.site)
        self.ledger = Ledger(db, self.site, self.rulebook)
        self.places = Places(db, engine, layout, self.site, self.clock)
        self.submitter = Submitter(db, engine, self.site, self.rulebook, self.places)
        self.fetches = Fetches(db, contents, self.submitter, self.site, layout.fetches, self.wake)
        self.serving = Serving(db, engine, self.site, hub, layout, self.clock, self.rulebook)
        self.starter = Starter(db, hub, HubServers(hub.api, hub.token), self.site, self.clock, self._changed)
        self.waiting = Waiting(db, self.serving, self.starter)
        self.runner = Runner(db, engine, self.site, self.clock, self._freed, self.changes.tell)
        self.work = Work(self.runner.step, at_once=STARTS_AT_ONCE)
        self.gpu_modes = GPUModes(db, self.site.gpu_modes, self._know)
        self.reconciler = Reconciler(db, engine, self.serving, self.work.add)
        self.ledger.seen = self.reconciler.keeper
        self.operating = Operating(db, hub, self.work.add)
        self.shares = Shares(db, self.site.gpus, self.clock, self.work.add)
        self.reconciler.shares = self.ledger.shares = self.shares
        self.disks = Disks(db, engine, self.site, self.work.add)
        self.samples = Samples(engine)
        self.offered = Offered(engine, self.site)
        self.meters = Meters()
        self.clearing = Clearing(db, contents, self.site.limits.keep_unneeded, self.clock, self.meters)
        self.accounting = Accounting(db, self.clock, self.reconciler.keeper)
        self.membership = Membership(db, hub)
        self.people = People(db, hub, layout)
        self.notices = Notices(db, self.clock)
        self.notices.answered_by(wait_notices.READY, wait_notices.answered)
        self.giving_back = GivingBack(db, engine, hub, self.site, self.clock, self.reconciler.keeper, self._stepped)
        Answers(self.site, self.giving_back).of(self.notices)
        self.asking = Asking(db, self.site, self.clock)
        self.contents_threads = ThreadPoolExecutor(4, thread_name_prefix="contents")
        self.proxied_uploads = Throttle(self.site.limits.proxied_uploads)
        self.file_threads = ThreadPoolExecutor(8, thread_name_prefix="files")
        self.refusal: HimaliaError | None = None
        self._round_wanted = asyncio.Event()
        self._cleared_at = -CLEAR_SECONDS  #: as the clock had it
        self._engine_down = ""
        self._compared = True  #: whether database and machine were compared in this life; until then nothing starts
        self._free_memory = FreeMemory()
        self._estimated_at = -ESTIMATE_SECONDS  #: as the clock had it
        self._estimates_due = False  #: whether the line was changed since
        self._lengths: Lengths = {}
        self._usage: dict[str, float] = {}
        self.line_number = 0  #: of the line's last change, which need not be a change of any job or lease
        self.hub.names_are_open = self.site.gpus.names == "everybody"

    @property
    def line(self) -> Line:
        """Who waits, as the last round left it."""
        return self.ledger.line

    @property
    def installation(self) -> str:
        """The id of the installation."""
        return self.settings.installation

    def must_work(self) -> None:
        """Raise the sentence that says why the service does not work."""
        if self.refusal is not None:
            raise self.refusal

    async def run(self) -> None:
        """Work until cancelled; running jobs are not touched by the end."""
        self._compared = False
        async with asyncio.TaskGroup() as group:
            self.work.start(group)
            self.starter.work.start(group)
            group.create_task(self._rounds(), name="rounds")
            group.create_task(repeat(self._return_memory, every_seconds=RETURN_SECONDS), name="memory")
            group.create_task(self._watch(), name="watch")
            group.create_task(repeat(self._reconcile, every_seconds=RECONCILE_SECONDS), name="reconcile")
            group.create_task(repeat(self._settle, every_seconds=SETTLE_SECONDS), name="settle")
            group.create_task(repeat(self.samples.take, every_seconds=SAMPLE_SECONDS), name="samples")
            group.create_task(self.disks.run(), name="disks")
            group.create_task(self.offered.run(), name="images")
            group.create_task(repeat(self.places.look, every_seconds=self.site.disk.look), name="places")
            group.create_task(self.accounting.run(), name="accounting")
            group.create_task(repeat(self.membership.refresh, every_seconds=MEMBERSHIP_SECONDS), name="membership")
            group.create_task(repeat(self.starter.tidy, every_seconds=MEMBERSHIP_SECONDS), name="waits")
            group.create_task(repeat(self._learn, every_seconds=LEARN_SECONDS), name="learn")
            group.create_task(repeat(self.rulebook.refresh, every_seconds=RULES_SECONDS), name="rules")
            group.create_task(repeat(self._give_back, every_seconds=self.giving_back.look_seconds), name="giving back")
            group.create_task(repeat(self._trim, every_seconds=TRIM_SECONDS), name="trim")
            group.create_task(repeat(self._clear, every_seconds=TEND_SECONDS), name="clear")
            group.create_task(repeat(self.engine.tend, every_seconds=TEND_SECONDS), name="tend")

    async def _return_memory(self) -> None:
        await asyncio.to_thread(self._free_memory.look)

    async def wake(self, job_id: str | None = None) -> None:
        """Look at the queue soon, and at one job."""
        self._stepped(job_id)

    async def nodes(self) -> list[Node]:
        """Return the nodes as they were seen last; ask when none was seen yet."""
        if not self.ledger.nodes:
            await self._look_at_nodes()
        return list(self.ledger.nodes)

    async def delete(self, job: JobRecord) -> None:
        """Delete a job with its logs and artifacts: these first, so that a delete cut short can be done again."""
        for attempt in await self.db.read(lambda db: jobs.attempts_of(db, job.id)):
            await self.engine.delete(attempt.id)
        await self.db.write(lambda db: jobs.remove(db, job))
        self.changes.tell()

    async def complaints(self) -> list[str]:
        """Return what is wrong, in words for the operator."""
        if self.refusal is not None:
            return [self.refusal.message]
        health = await self.engine.health()
        stuck_ones = await self.db.read(stuck.complaints)
        lack = self._lack_of_room()
        room = [f"{lack} Nothing new starts, and no files are taken in. Make room."] if lack else []
        return [
            *health.sentences,
            *room,
            *self.offered.complaints(),
            *stuck_ones,
            *self.reconciler.strangers,
            *await self.reconciler.keeper.complaints(),
        ]

    def _stepped(self, job_id: str | None) -> None:
        if job_id is not None:
            self.work.add(job_id)
        self._changed()

    def _changed(self) -> None:
        self._round_wanted.set()
        self.changes.tell()

    def _freed(self) -> None:
        """Tell of an end, and then look whose turn it is: that takes the CPU from those who listen."""
        self.changes.tell()
        asyncio.get_running_loop().call_later(TELL_SECONDS, self._round_wanted.set)

    async def _rounds(self) -> None:
        while True:
            try:
                await self._round()
            except Exception:
                log.exception("a round of the queue failed")
            try:
                async with asyncio.timeout(ESTIMATE_SECONDS if self._estimates_due else ROUND_SECONDS):
                    await self._round_wanted.wait()
            except TimeoutError:
                pass

    async def _round(self) -> None:
        self._round_wanted.clear()
        was_due, self._estimates_due = self._estimates_due, False
        # What is new, or was changed while nobody looked, is looked at before it is given out.
        if await self._look_at_nodes() or not self._compared:
            await self._reconcile()
        nodes, closed, now = list(self.ledger.nodes), self._closed(), self.clock.wall()
        began, full = self.clock.now(), self.places.full()

        def write(db: Connection) -> tuple[Round, list[tuple[str, bool]]]:
            decided = take_turn(
                db,
                nodes,
                self.site.limits,
                closed,
                now=now,
                rules=self.rulebook.rules,
                usage=self._usage,
                idle=self.ledger.idle,
                ends=self.ledger.ends,
                full=full,
            )
            return decided, wishes.their_turn(db)

        decided, their_turn = await self.db.write(write)
        self.meters.turn(decided, self.clock.now() - began)
        for job_id in (*(attempt.partition(".")[0] for attempt in decided.started), *decided.warned):
            self.work.add(job_id)
        self.starter.look(their_turn)
        # At once: whoever hears of a change asks for the place and the reason, and an estimate takes its time.
        before = self.line
        self.ledger.line = self.serving.line = line = Line(waits=decided.waits, estimates=before.estimates)
        self._estimates_due = began - self._estimated_at < ESTIMATE_SECONDS
        if not self._estimates_due:
            self._estimated_at = began
            waits = list(decided.waits.values())
            estimates = await asyncio.to_thread(estimate, decided.left, waits, self._lengths, self.rulebook.rules)
            self.ledger.line = self.serving.line = line = Line(waits=decided.waits, estimates=estimates)
        late = was_due and not self._estimates_due  # who heard of the places has yet to hear of these
        moved = before.places() != line.places() or (late and before.estimates != line.estimates)
        self.line_number += moved
        if decided.changed or moved:
            self.changes.tell()

    async def _look_at_nodes(self) -> bool:
        """Ask for the nodes and write what they have; return whether their slots changed."""
        try:
            nodes = await self.engine.nodes()
        except EngineError as error:
            self._engine_down = str(error)
            return False
        self._engine_down = ""
        _, changed = await self.gpu_modes.write(nodes)
        if changed:
            self.changes.tell()
        return changed

    def _know(self, nodes: list[Node]) -> None:
        """Remember the machines, with what can be asked for."""
        self.ledger.nodes, self.serving.nodes = nodes, nodes

    def _closed(self) -> tuple[Reason, str] | None:
        """Return why nothing may start now."""
        if self._engine_down or not self.ledger.nodes or not self._compared:
            return Reason.WAITS_FOR_ENGINE, SENTENCES[Reason.WAITS_FOR_ENGINE]
        lack = self._lack_of_room()
        if lack:
            return Reason.WAITS_FOR_DISK, f"{lack} {SENTENCES[Reason.WAITS_FOR_DISK]}"
        if self.clock.now() < self.runner.full_until:
            return Reason.WAITS_FOR_DISK, SENTENCES[Reason.WAITS_FOR_DISK]
        return None

    def _lack_of_room(self) -> str:
        return room_on(self.site.data).lack(self.site.limits.disk_reserve)

    async def _watch(self) -> None:
        while True:
            try:
                async for event in self.engine.watch():
                    if event.attempt:
                        self.work.add(event.attempt.partition(".")[0])
                    if event.kind is EngineEventKind.INVENTORY:
                        self._changed()
                    elif event.kind is EngineEventKind.IMAGES:
                        self.offered.changed()
                    elif not event.attempt or await self._is_stranger(event):
                        await self._reconcile()
            except Exception:
                log.exception("the engine's events broke off")
            await asyncio.sleep(1)

    async def _is_stranger(self, event: EngineEvent) -> bool:
        """Tell whether a container was started that no lease stands for: by hand, or past a lost database."""
        if event.kind is not EngineEventKind.STARTED:
            return False
        lease = await self.db.read(lambda db: leases.find(db, event.lease_id))
        return lease is None or lease.state is LeaseState.RELEASED

    async def _settle(self) -> None:
        """Look soon and often at what was given up, so that nobody waits for a GPU that is free."""
        try:
            if await self.db.read(slots.settling) and await self.reconciler.keeper.look():
                self._changed()
        except EngineError as error:
            log.debug("the GPUs that were given up cannot be looked at: %s", error)

    async def _reconcile(self) -> None:
        try:
            changed = await self.reconciler.run()
        except EngineError as error:
            self._engine_down = str(error)
            return
        self._compared = True
        if changed:
            self._changed()

    async def _give_back(self) -> None:
        if self._compared:
            await self.giving_back.step()
            self.ledger.idle, self.ledger.ends = self.giving_back.idle, self.giving_back.ends

    async def _learn(self) -> None:
        self._lengths = await self.db.read(read_lengths)
        queue = self.site.queue
        if queue.fair_share == "usage":
            now = self.clock.wall()
            self._usage = await self.db.read(lambda db: read_usage(db, queue.half_life, now))

    async def _clear(self) -> None:
        """Clear away what no job needs, once it is known what runs."""
        in_need = bool(self._lack_of_room())
        if self._compared and self.clock.now() >= self._cleared_at + (
            CLEAR_IN_NEED_SECONDS if in_need else CLEAR_SECONDS
        ):
            self._cleared_at = self.clock.now()
            await self.clearing.run(in_need=in_need)

    async def _trim(self) -> None:
        await self.db.write(events.trim)
        await self.db.write(lambda db: notices.trim(db, self.clock.wall()))
