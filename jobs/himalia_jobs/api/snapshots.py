"""`snapshots`: which contents are missing, taking them in, committing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from tornado.web import stream_request_body

from himalia.errors import Busy, DiskFull, FieldError, HimaliaError, NotFound, TooLarge
from himalia.ids import is_id
from himalia.models import SnapshotView
from himalia.owners import Owner
from himalia.snapshot.chunks import LAYOUTS
from himalia.snapshot.wire import can_squeeze
from himalia.units import format_size

from ..contents import Accepted, ContentStore, PackReceiver, ReadList
from ..contents.manifests import DIGEST
from ..disk.reserve import must_have_room
from ..person import SUBMIT
from ..store import snapshots
from ..store.records import SnapshotRecord
from .base import HimaliaHandler
from .body_streams import WAKE_BYTES, take_no_more, take_views
from .long_bodies import LongBodyHandler, length_of

Result = TypeVar("Result")
DROPPED_BYTES = 64 * 1024 * 1024  #: of an upload that has failed, read on so that its sender hears why,
DROPPED_A_SECOND = 64 * 1024 * 1024  #: and not as fast as it is sent: others are answered meanwhile
PACE_SECONDS = 120.0  #: an upload of which in so long
LEAST_BYTES = 16 * 1024  #: less than this comes, is cut: it would hold its place for ever
MOST_ENTRY_BYTES = 600  #: of a manifest, for each entry: far more than what paths have on average
MOST_ENTRY_VALUES = 16
LONGEST_SECONDS = 30 * 86400.0


class SnapshotBase(HimaliaHandler):
    """What the three have in common."""

    scope = SUBMIT

    @property
    def contents(self) -> ContentStore:
        """The store of contents."""
        return self.service.contents

    @property
    def came_by_proxy(self) -> bool:
        """Whether the request came through the proxy, which says so itself; servers ask straight."""
        return "X-Forwarded-For" in self.request.headers

    def view(self, record: SnapshotRecord, missing: list[str]) -> SnapshotView:
        """Return a snapshot as it is shown."""
        return SnapshotView(
            id=record.id,
            owner=record.owner,
            digest=record.digest,
            committed=record.committed,
            missing=tuple(missing),
            file_count=record.file_count,
            size_bytes=record.size_bytes,
            squeeze=self.came_by_proxy and can_squeeze(),
            upload_url=self.service.settings.upload_url if self.came_by_proxy else None,
        )

    async def in_thread(self, call: Callable[..., Result], *args: object) -> Result:
        """Run a blocking call of the store in the contents' own threads."""
        return await asyncio.get_running_loop().run_in_executor(self.service.contents_threads, call, *args)

    async def snapshot(self, snapshot_id: str) -> SnapshotRecord:
        """Return one of the asker's own snapshots."""
        found = await self.service.db.read(lambda db: snapshots.find(db, snapshot_id)) if is_id(snapshot_id) else None
        if found is None or found.user_id != self.person.id:
            raise NotFound(f"There is no snapshot {snapshot_id} of yours.")
        return found


@stream_request_body
class SnapshotsHandler(LongBodyHandler, SnapshotBase):
    """`POST snapshots`: which of these contents does the service lack from this owner?"""

    @property
    def most_bytes(self) -> int:
        """How long a manifest may be."""
        return 1024 * 1024 + MOST_ENTRY_BYTES * self.service.settings.site.limits.entries + self._most_contents() * 70

    def too_long(self) -> str:
        """Return what is said of a longer one."""
        return f"The list of files is longer than {format_size(self.most_bytes)}. Leave some files out."

    def most_values(self) -> int:
        """Return how many values a manifest may have; names may have commas as well."""
        return 10_000 + MOST_ENTRY_VALUES * self.service.settings.site.limits.entries + self._most_contents()

    def _most_contents(self) -> int:
        """Return how many contents a workspace can have beside one for each entry."""
        return self.service.settings.site.limits.workspace // min(layout.chunk_bytes for layout in LAYOUTS)

    async def post(self) -> None:
        """Write an open snapshot and name what is missing; or a committed one, of which all is there."""
        body = self.take_body()  # or what is wrong with who sent it, before anything else
        request = await self.in_thread(self.contents.read, body, self.most_values())
        del body
        owner_id = self.person.owner_id(Owner.parse(request.owner))
        listed = request.checked()
        if listed is None:
            self.answer(self.view(await self._whole(owner_id, request), []), status=201)
            return
        accepted = await self.in_thread(self.contents.keep, owner_id, listed)
        missing = await self.in_thread(self.contents.missing_of, owner_id, accepted.digest)
        record = await self._written(request, accepted, is_whole=not missing)
        self.answer(self.view(record, missing), status=201)

    async def _written(self, request: ReadList, accepted: Accepted, *, is_whole: bool) -> SnapshotRecord:
        """Write an open snapshot, or at once a committed one."""
        owner_id, user_id = self.person.owner_id(Owner.parse(request.owner)), self.person.id

        def write(db: Connection) -> SnapshotRecord:
            record = snapshots.add(
                db,
                owner_id=owner_id,
                owner=request.owner,
                user_id=user_id,
                digest=accepted.digest,
                file_count=accepted.file_count,
                size_bytes=accepted.size_bytes,
            )
            return snapshots.commit(db, record.id) or record if is_whole else record

        return await self.service.db.write(write)

    async def _whole(self, owner_id: str, request: ReadList) -> SnapshotRecord:
        """Return a committed snapshot of the digest; raise NotFound where this owner has not sent all of it."""
        if request.digest is None or not DIGEST.fullmatch(request.digest):
            raise FieldError("digest", "Give a manifest, or the digest of one: 64 hex digits.")
        digest = request.digest
        known = await self.service.db.read(lambda db: snapshots.of_owner(db, owner_id, digest))
        missing = await self.in_thread(self.contents.missing_of, owner_id, digest) if known else []
        if known is None or missing:
            raise NotFound(f"There is no snapshot {digest[:12]}… of {request.owner}. Send its manifest.")

        accepted = Accepted(digest=digest, file_count=known.file_count, size_bytes=known.size_bytes)
        return await self._written(request, accepted, is_whole=True)


@stream_request_body
class ContentsHandler(SnapshotBase):
    """`PUT snapshots/{id}/contents`: a streamed pack; memory stays bounded whatever is sent."""

    largest_body_bytes = None
    receiver: PackReceiver | None = None
    failure: HimaliaError | None = None
    dropped_bytes = 0
    received_bytes = 0
    busy = False  #: we make the sender wait, not they us
    feeding = False  #: a thread reads what came, also when the sender is gone meanwhile
    pace: asyncio.TimerHandle | None = None

    async def prepare(self) -> None:
        """Find the snapshot before the first byte is taken."""
        await super().prepare()
        # A pack has limits of its own, and a pace instead of a time.
        self.request.connection.set_max_body_size(2**62)  # type: ignore[union-attr]  # a real one
        self.request.connection.set_body_timeout(LONGEST_SECONDS)  # type: ignore[union-attr]
        self.record = await self.snapshot(self.path_args[0])
        length = length_of(self.request.headers.get("Content-Length", ""))
        try:
            await self.in_thread(self._must_have_room, length)
        except DiskFull as error:
            self.failure = error
        self.receiver = await self.in_thread(self.contents.receive, self.record.owner_id, self.record.digest)
        if length > self.receiver.largest_bytes:
            self.failure = TooLarge(
                "The upload is larger than all the contents that are missing. Nothing of it is kept."
            )
        self._look_again(0)
        if length:  # small pieces of another body are put together by tornado before they come
            take_views(self.request.connection)

    async def data_received(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes, which are gone when this returns; after a failure so many are read and dropped that a sender who only sends hears why."""
        self.received_bytes += len(chunk)
        self.contents.pins.pin(self.record.owner_id, self.record.digest)
        self.busy = True
        try:
            await self._have(chunk)
        finally:
            self.busy = False

    async def _have(self, chunk: bytes | memoryview) -> None:
        if self.came_by_proxy:
            await self.service.proxied_uploads.wait(len(chunk))
        if self.failure is not None:
            self.dropped_bytes += len(chunk)
            await asyncio.sleep(len(chunk) / DROPPED_A_SECOND)
            if self.dropped_bytes > DROPPED_BYTES and not self._finished:
                self.set_header("Connection", "close")
                self._refuse(self.failure)
        elif self.receiver is not None:
            self.feeding = True
            try:
                await self.in_thread(self._take, chunk)
            except HimaliaError as error:
                self.failure = error
            finally:
                self.feeding = False

    def _take(self, chunk: bytes | memoryview) -> None:
        assert self.receiver is not None
        self._must_have_room(len(chunk))
        self.receiver.feed(chunk)

    def _must_have_room(self, coming_bytes: int) -> None:
        """Raise DiskFull when what is coming would take of the reserve."""
        site = self.service.settings.site
        must_have_room(site.data, site.limits.disk_reserve, coming_bytes)

    async def put(self, snapshot_id: str) -> None:
        """Answer with what is still missing; where that is nothing, the snapshot is committed."""
        if self.failure is not None:
            raise self.failure
        assert self.receiver is not None
        await self.in_thread(self.receiver.finish)
        missing = await self.in_thread(self.contents.missing_of, self.record.owner_id, self.record.digest)
        record_id, note = self.record.id, snapshots.touch if missing else snapshots.commit
        done = await self.service.db.write(lambda db: note(db, record_id))
        self.answer(self.view(done or self.record, missing))

    def on_finish(self) -> None:
        """Drop what is half received."""
        self._drop()

    def _refuse(self, error: HimaliaError) -> None:
        """Answer before the upload's end."""
        try:
            raise error
        except HimaliaError:
            self.send_error(error.status, exc_info=sys.exc_info())

    def _look_again(self, before_bytes: int) -> None:
        """Look after a while how much has come since, and cut an upload that brings too little."""

        def look() -> None:
            if self.busy or self.received_bytes - before_bytes >= LEAST_BYTES - WAKE_BYTES:
                self._look_again(self.received_bytes)
            else:
                self.request.connection.close()  # type: ignore[union-attr]  # a real one

        self.pace = asyncio.get_running_loop().call_later(PACE_SECONDS, look)

    def on_connection_close(self) -> None:
        """Drop what is half received when the sender is gone."""
        self._drop()
        super().on_connection_close()  # which ends the wait for the rest of the body

    def _drop(self) -> None:
        take_no_more(self.request.connection, is_read=self.feeding)
        if self.pace is not None:
            self.pace.cancel()
            self.pace = None
        if self.receiver is not None:
            self.service.contents_threads.submit(self.receiver.close)
            self.receiver = None


class CommitHandler(SnapshotBase):
    """`POST snapshots/{id}/commit`."""

    async def post(self, snapshot_id: str) -> None:
        """Mark the snapshot as complete; refuse while something is missing."""
        record = await self.snapshot(snapshot_id)
        missing = await self.in_thread(self.contents.missing_of, record.owner_id, record.digest)
        if missing:
            raise Busy(f"{len(missing)} contents are still missing. Send them, then commit again.")
        done = await self.service.db.write(lambda db: snapshots.commit(db, record.id))
        if done is None:
            raise NotFound(f"The snapshot {snapshot_id} was given up long ago. Submit again.")
        self.answer(self.view(done, []))
