"""Nobody learns what another has sent: by no answer, and by no work that it costs."""

from __future__ import annotations

import os
import sys
from types import FrameType

import pytest
from blake3 import blake3
from service_at_work import AtWork, one_file
from sqlalchemy import event
from uploads import opened, sent

pytestmark = pytest.mark.asyncio


class Work:
    """Counts what the service does: calls of the store's code, and statements of the database."""

    def __init__(self, work: AtWork) -> None:
        self.work = work
        self.done: list[str] = []
        event.listen(work.service.db.engine, "before_cursor_execute", self._statement)

    def _statement(self, _1: object, _2: object, statement: str, *_: object) -> None:
        self.done.append(statement)

    def _call(self, frame: FrameType, what: str, of: object) -> None:
        if what == "c_call":
            self.done.append(getattr(of, "__qualname__", str(of)))
        elif what == "call":
            self.done.append(frame.f_code.co_qualname)

    async def of(self, name: str, content: bytes) -> tuple[list[str], str]:
        """Return what is done when somebody opens a snapshot of one file with this content, and what they are told."""
        store, real = self.work.service.contents, self.work.service.contents.missing_of

        def watched(*args: str) -> list[str]:
            sys.setprofile(self._call)
            try:
                return real(*args)
            finally:
                sys.setprofile(None)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "missing_of", watched)
            self.done = []
            manifest = one_file(name, size_bytes=len(content), chunks=(blake3(content).hexdigest(),))
            wish = {"owner": "user:eve", "manifest": manifest.model_dump(mode="json")}
            answer = await self.work.ask("POST", "snapshots", "eve", json=wish)
        told = answer.text
        for own in (answer.json()["id"], answer.json()["digest"], blake3(content).hexdigest()):
            told = told.replace(own, "x")
        return self.done, told


@pytest.mark.fault(69)
async def test_who_names_what_another_has_sent_costs_and_hears_the_same_as_who_names_what_nobody_has(work: AtWork):
    theirs, nobodys = os.urandom(1000), os.urandom(1000)
    await sent(work, theirs)
    watch = Work(work)
    await watch.of("before", os.urandom(1000))  # what is done once is done by now

    named_theirs, heard_of_theirs = await watch.of("same", theirs)
    named_nobodys, heard_of_nobodys = await watch.of("same", nobodys)

    assert heard_of_theirs == heard_of_nobodys
    assert '"missing":["x"]' in heard_of_theirs
    assert len(named_theirs) > 20
    print(f"the work for another's content and for nobody's: {len(named_theirs) / len(named_nobodys):.2f}")
    assert named_theirs == named_nobodys


@pytest.mark.fault(69)
async def test_who_names_the_snapshot_of_another_hears_the_same_as_who_names_none(work: AtWork):
    await sent(work, b"theirs")
    there = (await opened(work, b"theirs"))["digest"]

    answers = [
        await work.ask("POST", "snapshots", "eve", json={"owner": "user:eve", "digest": digest})
        for digest in (there, "ab" * 32)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace(str(there)[:12], "x") == answers[1].text.replace("ab" * 6, "x")
    assert (await work.ask("POST", "snapshots", json={"owner": "user:ada", "digest": there})).json()["committed"]
