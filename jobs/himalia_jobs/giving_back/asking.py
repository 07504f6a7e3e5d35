"""Asking a holder to give a GPU back: who waits for it may ask, the holder is told in Lab, and the asker hears of the answer."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from himalia.errors import Busy, NotFound, TooMany
from himalia.gpus import Slot
from himalia.models import AskView
from himalia.site import Site
from himalia.units import format_duration

from ..bootclock import BootClock
from ..person import Person
from ..policy import Hold
from ..queue import Line
from ..store import Database, leases, notices, watched
from ..store.clock import from_text
from ..store.records import NoticeRecord
from ..store.watched import AskRecord
from . import told
from .writing import ANSWERED, ASKED


class Asking:
    """Takes what people ask of holders."""

    def __init__(self, db: Database, site: Site, clock: BootClock) -> None:
        self.db = db
        self.site = site
        self.clock = clock

    async def ask(self, person: Person, uuid: str, line: Line) -> AskView:
        """Ask the holder of a GPU; raise NotFound, Busy or TooMany with what to do instead."""
        slot, hold = waited_for(line, person, uuid)
        who = f"{hold.user}" if person.reader.may_read(hold) else "Its holder"
        now = self.clock.wall()
        await self.db.write(lambda db: self._write(db, person, slot, hold, who, now))
        return AskView(sentence=f"{who} is asked to give GPU {slot.index} back. You are told what they answer.")

    def _write(self, db: Connection, person: Person, slot: Slot, hold: Hold, who: str, now: datetime) -> None:
        if slot.uuid not in {one.uuid for one in leases.slots_by_lease(db).get(hold.lease_id, ())}:
            raise Busy(f"GPU {slot.index} has just gone back.")
        record = watched.find(db, hold.lease_id)
        if record is not None and record.end_reason is not None:
            raise Busy(f"GPU {slot.index} is being given back already.")
        before = watched.asks_of(db, hold.lease_id)
        self._must_be_due(before, person, slot, who, now)
        ask = watched.add_ask(db, hold.lease_id, person.id, person.name, f"GPU {slot.index}", who)
        waiting = [one for one in before if one.answer is None]
        if waiting:
            notices.withdraw(db, _key(waiting[-1]))
        askers = list(dict.fromkeys([*(one.asker for one in waiting), person.name]))
        job = hold.job_id if hold.kind == "job" else ""
        notices.tell(
            db,
            user_id=hold.user_id,
            kind=ASKED,
            sentence=told.asked(askers, f"GPU {slot.index}", hold.kind, job),
            key=_key(ask),
            actions=_actions(hold),
            lease_id=hold.lease_id,
            job_id=job or None,
        )

    def _must_be_due(self, before: list[AskRecord], person: Person, slot: Slot, who: str, now: datetime) -> None:
        every = timedelta(seconds=self.site.idle.ask_every)
        recent = [one for one in before if now - every < from_text(one.asked_at) <= now]
        kept = [one for one in recent if one.answer == told.KEEP]
        wait = f"Ask again in {format_duration(self.site.idle.ask_every)}."
        if any(one.asker_id == person.id and one.answer is None for one in recent):
            raise TooMany(f"You have asked already, and there is no answer yet. {wait}")
        if kept:
            raise TooMany(f"{who} keeps GPU {slot.index} for now. {wait}")


def waited_for(line: Line, person: Person, uuid: str) -> tuple[Slot, Hold]:
    """Return a GPU that something of a person's waits for, and who has it; raise what a stranger would see."""
    mine = [wait for wait in line.waits.values() if wait.waiter.user_id == person.id]
    for wait in mine:
        for slot, hold in wait.lack.holds:
            if slot.uuid == uuid and hold.user_id == person.id:
                raise Busy(f"GPU {slot.index} is yours. Stop what you run there.")
            if slot.uuid == uuid and hold.user_id:
                return slot, hold
    if not mine:
        raise Busy("Nothing of yours waits. Only who waits for a GPU may ask for it.")
    raise NotFound("Nothing of yours waits for this GPU. `himalia gpus` shows what it waits for.")


def answer_askers(db: Connection, notice: NoticeRecord, *, released: bool) -> list[str]:
    """Tell all who asked what the holder answered, and return their names."""
    answer = told.STOP if released else told.KEEP
    answered = watched.answer_asks(db, notice.lease_id or "", answer)
    for ask in answered:
        sentence = told.answered(ask.holder, ask.gpu, released=released)
        notices.tell(db, user_id=ask.asker_id, kind=ANSWERED, sentence=sentence, key=f"answered:{ask.id}")
    return list(dict.fromkeys(ask.asker for ask in answered))


def _actions(hold: Hold) -> dict[str, str]:
    """Return the answers with the words of their buttons; Lab has room for three short ones in a row."""
    if hold.kind == "job":
        return {told.CANCEL: "Cancel my job", told.KEEP: "Keep it"}
    return {
        told.STOP: "Stop server",
        told.RESTART: "Restart without",
        told.KEEP: "Keep it",
    }


def _key(ask: AskRecord) -> str:
    return f"ask:{ask.id}"
