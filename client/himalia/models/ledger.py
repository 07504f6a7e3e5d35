"""The ledger as it is shown, and the leases that a spawner asks for."""

from __future__ import annotations

from pydantic import Field

from ..gpus import GPUMode, Slot
from ..reasons import Reason, Sure
from ..states import LeaseState
from .base import Answer, Moment, Request


class LeaseRequest(Request):
    """`POST api/leases`: a share of a node for one start of a server. Repeating a `spawn_id` gives the same lease."""

    user: str  #: hub name
    server: str = ""  #: name of the server; the default server has none
    spawn_id: str  #: one start of a server
    teams: tuple[str, ...] = ()  #: the person's hub groups
    profile: str
    admin: bool = False
    wait: str = ""  #: the wait whose turn it is: was it left meanwhile, nothing is started


class StayRequest(Request):
    """`POST api/leases/{id}/stay`: this server waits in line by itself, and is started when it is its turn."""

    options: dict[str, object] = {}  #: the person's choice, as the hub was given it


class BindRequest(Request):
    """`POST api/leases/{id}/bind`: the container of a lease is made."""

    container: str = Field(min_length=1, max_length=200)


class MountView(Answer):
    """A directory of the host that the server's container mounts."""

    source: str
    target: str
    read_only: bool = False


class WaitingFor(Answer):
    """A GPU that something waits for, and who has it."""

    node_id: str
    uuid: str = ""
    index: int
    holder: str  #: in words, as far as the reader may know; times are UTC stamps
    kind: str  #: server or job
    user: str | None = None
    job: str | None = None
    until: Moment | None = None  #: free again by then; none: nobody knows
    idle_seconds: float | None = None  #: where it is known


class LeaseView(Answer):
    """A lease, for the spawner: what it got, or why it waits."""

    id: str
    state: LeaseState
    reason: Reason | None = None
    sentence: str = ""  #: why it waits; times in it are UTC stamps
    position: int | None = None
    estimate_at: Moment | None = None  #: when it is expected to start
    sure: Sure | None = None  #: how sure that is
    waiting_for: tuple[WaitingFor, ...] = ()
    node_id: str = "local"
    profile: str
    image: str
    cpus: float
    memory_bytes: int
    gpus: str = "0"
    without_gpus: bool = False  #: a start without the profile's GPUs: these are still waited for
    lasting: bool = False  #: it stays in line by itself
    slots: tuple[Slot, ...] = ()
    mounts: tuple[MountView, ...] = ()
    environment: dict[str, str] = {}
    device_requests: tuple[dict[str, object], ...] = ()  #: as the Docker API takes them
    ulimits: tuple[dict[str, object], ...] = ()  #: as the Docker API takes them (Name, Soft, Hard)


class QuarantineRequest(Request):
    """`POST api/gpus/{uuid}/quarantine`, `/drain`, `/release`: what people are told with it."""

    why: str = Field("", max_length=500)


class Intervention(Answer):
    """Something that an administrator did to a GPU; kept for good."""

    at: Moment
    by: str
    sentence: str  #: what was done to what, and why


class GPUModeRequest(Request):
    """`PUT api/gpus/{uuid}/mode`: how this GPU is given out from when nobody holds anything of it."""

    mode: GPUMode
    seats: int | None = Field(None, ge=1, le=64)  #: with `shared` and `auto`; none: as many as the operator's file says


class GPUModeView(Answer):
    """How a GPU is given out."""

    uuid: str
    index: int
    mode: GPUMode
    seats: int  #: 0: it has none
    by: str  #: setting (the operator's file) or administrator
    in_force: bool  #: false: holders of an earlier mode are still there
    sentence: str


class GPUProcessView(Answer):
    """A process on a GPU; administrators see them."""

    pid: int  #: on the machine, not in the container
    command: str = ""
    user: str = ""
    container: str = ""  #: empty: it runs in none
    ours: bool = False  #: whether the container is Himalia's
    graphics: bool = False  #: it draws, such as the machine's own screen
    memory_bytes: int | None = None


class SlotView(Slot):
    """A slot, who holds it, and what it does."""

    mode: GPUMode = GPUMode.EXCLUSIVE  #: how its GPU is given out

    holder: str | None = None  #: a sentence: "alice's notebook", "job 8f2… of alice"
    holder_kind: str | None = None  #: server or job
    holder_user: str | None = None
    lease: str | None = None  #: for administrators
    job: str | None = None  #: for those who may open it
    profile: str | None = None  #: of the holder
    since: Moment | None = None
    until: Moment | None = None
    idle_seconds: float | None = None  #: for how long the holder has done nothing on it, where that is known
    ending: bool = False  #: the holder is being stopped
    busy_percent: int | None = None  #: of the time in which any kernel ran, however small
    memory_used_bytes: int | None = None  #: of a seat: what its holder uses
    temperature_celsius: int | None = None
    power_watts: float | None = None
    over_share: bool = False  #: its holder uses more than its share of the memory, which nothing fences
    processes: tuple[GPUProcessView, ...] = ()  #: for administrators


class WaiterView(Answer):
    """Something in the queue."""

    position: int
    kind: str  #: server or job
    user: str
    job: str | None = None
    name: str = ""
    gpus: str
    cpus: float
    memory_bytes: int
    reason: Reason
    sentence: str  #: times in it are UTC stamps
    estimate_at: Moment | None = None  #: when it is expected to start
    sure: Sure | None = None  #: how sure that is
    since: Moment


class ServerView(Answer):
    """A running server: how long it has been idle, and how long it may go on."""

    user: str
    server: str = ""  #: its name; the default server has none
    lease: str
    profile: str
    gpus: int  #: how many it holds
    since: Moment
    idle_seconds: float  #: how long nothing has used its GPUs, with no kernel at work
    idle_limit_seconds: float | None = None  #: its GPUs go back after so long, unless it is kept; none: never
    ends_at: Moment | None = None  #: it reaches its largest age; none: it has none
    ending: bool = False  #: it is being ended


class NodeView(Answer):
    """A machine of the platform: what it has and what is free."""

    node_id: str
    cpus: float
    cpus_free: float
    memory_bytes: int
    memory_free_bytes: int


class Notice(Answer):
    """What everybody should know: a maintenance or a reservation, under way or soon."""

    kind: str  #: maintenance or reservation
    text: str  #: a sentence; times in it are UTC stamps
    start: Moment
    end: Moment


class GPUsView(Answer):
    """`GET api/gpus`: slots, holders, what is free, the queue."""

    slots: tuple[SlotView, ...]
    free: int  #: GPUs of which something is free
    nodes: tuple[NodeView, ...]
    queue: tuple[WaiterView, ...]
    note: str = ""  #: a sentence where there are no GPUs, or they are simulated
    notices: tuple[Notice, ...] = ()

    @property
    def gpus(self) -> int:
        """How many GPUs there are; seats and slices are of one."""
        return len({(slot.node_id, slot.gpu) for slot in self.slots})
