"""The tables. Times are UTC text (RFC 3339), durations seconds, sizes bytes; ids are ours, names are only shown."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from himalia.retrying import DEFAULT as RETRY_ON

metadata = MetaData()

#: A user is (name, hub_created): a new user of an old name inherits nothing.
users = Table(
    "users",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String, nullable=False),
    Column("hub_created", String, nullable=False),
    Column("created_at", String, nullable=False),
    UniqueConstraint("name", "hub_created"),
)

teams = Table(
    "teams",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("created_at", String, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("owner_id", String(12), nullable=False),
    Column("owner", String, nullable=False),
    Column("name", String, nullable=False),
    Column("description", String, nullable=False, server_default=""),
    Column("created_at", String, nullable=False),
    UniqueConstraint("owner_id", "name"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("owner_id", String(12), nullable=False),
    Column("owner", String, nullable=False),
    Column("user_id", String(12), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("committed", Boolean, nullable=False),
    Column("created_at", String, nullable=False),
    Column("asked_at", String),  # when somebody last sent files of it, or was told which are missing; none: then
)
Index("snapshots_by_digest", snapshots.c.owner_id, snapshots.c.digest)

jobs = Table(
    "jobs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # order of submission: keyset pages
    Column("id", String(12), nullable=False, unique=True),
    Column("seq", Integer, nullable=False),  # of the last event
    Column("project_id", String(12), ForeignKey("projects.id"), nullable=False),
    Column("owner_id", String(12), nullable=False),
    Column("owner", String, nullable=False),
    Column("user_id", String(12), nullable=False),
    Column("user", String, nullable=False),
    Column("project", String, nullable=False),
    Column("experiment", String),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("detail", String, nullable=False, server_default=""),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("0")),
    Column("cancelled_by", String),
    Column("preemptible", Boolean, nullable=False, server_default=text("0")),
    Column("preemptions", Integer, nullable=False, server_default=text("0")),  # attempts that gave way
    Column(
        "own_rank", Integer, nullable=False, server_default=text("0")
    ),  # among the person's own; the lower the earlier
    Column("profile", String, nullable=False),
    Column("image", String, nullable=False),
    Column("image_id", String, nullable=False),
    Column("cpus", Float, nullable=False),
    Column("memory_bytes", Integer, nullable=False),
    Column("disk_bytes", Integer),  # that it may write, as asked for; none: what its profile says
    Column("gpus", String, nullable=False),
    Column("timeout_seconds", Integer, nullable=False),
    Column("warn_seconds", Integer),  # before its time limit it is warned; none: it is not
    Column("retries", Integer, nullable=False),
    Column("retry_on", String, nullable=False, server_default=RETRY_ON),  # causes
    Column("retry_at", String),  # after a failed attempt: not in line before then
    Column("spec", JSON, nullable=False),  # command, notebook, workdir, env, clean
    Column("teams", JSON, nullable=False),  # the submitter's teams: name -> id
    Column("snapshot_id", String(12), ForeignKey("snapshots.id")),
    Column("snapshot_owner_id", String(12)),
    Column("snapshot_digest", String(64)),
    Column("source", JSON(none_as_null=True)),  # where its files came from, as far as git knows it
    Column("diff_digest", String(64)),  # of what they have over the commit of their source; of the project's owner
    Column("attempt_count", Integer, nullable=False, server_default=text("0")),
    Column("exit_code", Integer),
    Column("rerun_of", String(12)),
    Column("idempotency_key", String),
    Column("created_at", String, nullable=False),
    Column("started_at", String),
    Column("finished_at", String),
    UniqueConstraint("user_id", "idempotency_key"),
)
Index("jobs_by_diff", jobs.c.diff_digest, sqlite_where=jobs.c.diff_digest.is_not(None))
Index("jobs_by_owner", jobs.c.owner_id, jobs.c.number)
Index("jobs_by_snapshot", jobs.c.snapshot_id)
Index("jobs_by_project", jobs.c.project_id, jobs.c.number)
Index(
    "jobs_live",
    jobs.c.state,
    jobs.c.number,
    sqlite_where=text("state IN ('queued', 'starting', 'running', 'collecting')"),
)

#: What a directory had over the commit it was submitted from; the same one is kept once for an owner.
diffs = Table(
    "diffs",
    metadata,
    Column("owner_id", String(12), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("packed", LargeBinary, nullable=False),  # zlib
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", String, primary_key=True),
    Column("job_id", String(12), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("node_id", String, nullable=False),
    Column("lease_id", String(12), nullable=False),
    Column("spec_digest", String, nullable=False, server_default=""),
    Column("slots", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    Column("started_at", String),
    Column("started_clock", Float),  # CLOCK_BOOTTIME, with the boot id beside it: survives steps of the wall clock
    Column("boot_id", String),
    Column("finished_at", String),
    Column("stop_reason", String),  # why we stopped it: cancelled, timed_out or preempted
    Column("over_by", Float),  # CLOCK_BOOTTIME by which it has ended, since it was told to
    Column("stuck_at", String),  # it had not by then
    Column("give_way_at", String),  # it is stopped then, for somebody before it
    Column("warned_at", String),  # that its time limit is near
    Column("warned_clock", Float),  # the same as CLOCK_BOOTTIME
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("oom", Boolean, nullable=False, server_default=text("0")),
    Column("reason", String),
    Column("detail", String, nullable=False, server_default=""),
    Column("label", String),  # the policy that the end of its log speaks of
    Column("log_bytes", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("job_id", "number"),
)

slots = Table(
    "slots",
    metadata,
    Column("node_id", String, primary_key=True),
    Column("uuid", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("index", Integer, nullable=False),
    Column("model", String, nullable=False),
    Column("memory_bytes", Integer, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("numa_node", Integer),
    Column("peers", JSON, nullable=False, server_default=text("'[]'")),  # UUIDs that NVLink joins it with
    Column("parent", String, nullable=False, server_default=""),  # of a MIG device: its GPU
    Column("mig_profile", String, nullable=False, server_default=""),  # of a MIG device
    Column("seats", Integer, nullable=False, server_default=text("0")),  # of its GPU
    Column("auto", Boolean, nullable=False, server_default=text("0")),  # whole or by seats, as the first lease has it
    Column("health", String, nullable=False),  # what the machine says of it
    Column("health_detail", String, nullable=False, server_default=""),
    Column("hold", String),  # why the ledger keeps it back; none: it does not
    Column("hold_detail", String, nullable=False, server_default=""),
    Column("hold_clock", Float),  # since when, as started_clock; none: it was not looked at since
    Column("hold_boot", String),
    Column("returned_clock", Float),  # when an administrator gave it back: faults before that are dealt with
    Column("returned_boot", String),
    Column("missing_since", String),  # when the machine first did not list it
)

leases = Table(
    "leases",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # order in the queue
    Column("id", String(12), nullable=False, unique=True),
    Column("kind", String, nullable=False),  # server or job
    Column("state", String, nullable=False),
    Column("node_id", String, nullable=False),
    Column("user_id", String(12), nullable=False),
    Column("user", String, nullable=False),
    Column("holder", String, nullable=False),  # attempt id, or the server's name
    Column("spawn_id", String, unique=True),
    Column("profile", String, nullable=False),
    Column("image", String, nullable=False, server_default=""),
    Column("image_id", String, nullable=False, server_default=""),
    Column("cpus", Float, nullable=False),
    Column("memory_bytes", Integer, nullable=False),
    Column("gpus", String, nullable=False),
    Column("teams", JSON, nullable=False),
    Column("container", String),
    Column("slot_count", Integer, nullable=False, server_default=text("0")),  # kept when the slots went back
    Column(
        "gpu_parts", Float, nullable=False, server_default=text("0")
    ),  # the same, seats and slices as parts of a GPU
    Column("created_at", String, nullable=False),
    Column("granted_at", String),  # when it got its share
    Column("lasting", Boolean, nullable=False, server_default=text("0")),  # it stays in line though nobody asks for it
    Column("options", JSON, nullable=False, server_default=text("'{}'")),  # the choice, as the hub was given it
    Column("meanwhile", Boolean, nullable=False, server_default=text("0")),  # its server is to run without GPUs
    Column("beside", String(12)),  # the lease of the server that runs without GPUs meanwhile
    Column("restart_wanted", Boolean, nullable=False, server_default=text("0")),  # that server is to be restarted
    Column("outcome", String, nullable=False, server_default=""),  # how a wait ended that did not end in a server
    Column("outcome_detail", String, nullable=False, server_default=""),
    Column("changed_at", String, nullable=False),
)
Index("leases_granted", leases.c.granted_at)
Index("leases_live", leases.c.state, sqlite_where=text("state != 'released'"))

#: A slot has one lease at most: the primary key is the lock. What a slot excludes beside itself (an automatic GPU is
#: whole or by seats) is looked at in the same transaction.
lease_slots = Table(
    "lease_slots",
    metadata,
    Column("node_id", String, primary_key=True),
    Column("uuid", String, primary_key=True),
    Column("lease_id", String(12), ForeignKey("leases.id"), nullable=False),
    Column("budget_bytes", Integer, nullable=False, server_default=text("0")),  # of a seat
)

#: How administrators want GPUs to be given out, where that is not what the operator's file says.
gpu_modes = Table(
    "gpu_modes",
    metadata,
    Column("node_id", String, primary_key=True),
    Column("gpu", String, primary_key=True),  # its UUID
    Column("mode", String, nullable=False),
    Column("seats", Integer, nullable=False),
    Column("set_by", String, nullable=False),
    Column("set_at", String, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("job_id", String(12)),
    Column("owner_id", String(12)),
    Column("state", String),
    Column("reason", String),
    Column("detail", String, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
Index("events_by_job", events.c.job_id, events.c.seq)

#: What a person is told in Lab, and may answer.
notices = Table(
    "notices",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(12), nullable=False, unique=True),
    Column("key", String, nullable=False, unique=True),  # what is told once has a key of its own; else the id
    Column("user_id", String(12), nullable=False),
    Column("kind", String, nullable=False),
    Column("sentence", String, nullable=False),
    Column("actions", JSON, nullable=False),  # answer: words of its button
    Column("lease_id", String(12)),
    Column("job_id", String(12)),
    Column("created_at", String, nullable=False),
    Column("expires_at", String),
    Column("answer", String),
    Column("answered_at", String),
    Column("withdrawn_at", String),  # it is over without an answer
)
Index(
    "notices_open",
    notices.c.user_id,
    sqlite_where=text("answered_at IS NULL AND withdrawn_at IS NULL"),
)

#: How long the GPUs of a lease have been idle, what its owner was told of it, and its end where that is decided.
watched = Table(
    "watched",
    metadata,
    Column("lease_id", String(12), primary_key=True),
    Column("user_id", String(12), nullable=False),
    Column("idle_seconds", Float, nullable=False, server_default=text("0")),
    Column("clock", Float, nullable=False),  # of the last look, as started_clock
    Column("boot_id", String, nullable=False),
    Column("stamp", String, nullable=False, server_default=""),  # what its kernels said of their last activity
    Column("first_clock", Float, nullable=False),  # when it was granted, as started_clock
    Column("warned_idle", Float),  # how long it had been idle when its owner was told; none: they were not
    Column("warned_age", Float),
    Column("warnings", Integer, nullable=False, server_default=text("0")),
    Column("kept", Integer, nullable=False, server_default=text("0")),  # times in a row
    Column("kept_until", Float, nullable=False, server_default=text("0")),
    Column("end_reason", String),  # its end is decided
    Column("end_then", String),
    Column("end_sentence", String, nullable=False, server_default=""),
    Column("ended_at", String),  # its lease went back
)

#: Who asked a holder to give a GPU back.
asks = Table(
    "asks",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("lease_id", String(12), nullable=False),
    Column("asker_id", String(12), nullable=False),
    Column("asker", String, nullable=False),
    Column("asked_at", String, nullable=False),
    Column("gpu", String, nullable=False),  # in words
    Column("holder", String, nullable=False),  # in words that the asker may read
    Column("answer", String),
)
Index("asks_by_lease", asks.c.lease_id)

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

#: Every time that a slot was given out: what GPU hours are counted from. It stays when the job is deleted.
grants = Table(
    "grants",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("lease_id", String(12), nullable=False),
    Column("node_id", String, nullable=False),
    Column("uuid", String, nullable=False),
    Column("part", Float, nullable=False),  # of a GPU: 1 for a whole one
    Column("kind", String, nullable=False),  # server or job
    Column("user_id", String(12), nullable=False),
    Column("user", String, nullable=False),
    Column("teams", JSON, nullable=False),  # the person's teams then: name -> id
    Column("owner_id", String(12), nullable=False),  # of the project; of a server: the person
    Column("owner", String, nullable=False),
    Column("project", String, nullable=False, server_default=""),  # empty: a notebook server
    Column("started_at", String, nullable=False),
    Column("ended_at", String),  # none: it is held
)
Index("grants_by_lease", grants.c.lease_id, sqlite_where=grants.c.ended_at.is_(None))
Index("grants_by_end", grants.c.ended_at)

#: For how much of a month it was known what the GPU of a grant did, and how much of that it was idle.
grant_use = Table(
    "grant_use",
    metadata,
    Column("grant", Integer, ForeignKey("grants.number"), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("measured_seconds", Float, nullable=False),
    Column("idle_seconds", Float, nullable=False),
)
