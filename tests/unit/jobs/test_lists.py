"""Lists of files: what a process of their own reads of them is what the service would have read itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from live_platform import eventually
from service_at_work import AtWork

from himalia.errors import FieldError, HimaliaError, NotFound, TooLarge, Unavailable, Unparsable
from himalia.models import Entry, EntryType, Manifest
from himalia_jobs.contents import ContentStore
from himalia_jobs.contents.lists import CheckedList, ListReader, ReadList, checked_list, reader, reading

OWNER = "a" * 12
MOST = {"most_values": 200_000, "most_entries": 5000, "most_bytes": 10**9}
FILE = {"path": "f", "type": "file", "mode": 0o644, "size_bytes": 5, "chunks": [blake3(b"right").hexdigest()]}
LONG = [FILE | {"path": f"{'d' * 100}/{number}"} for number in range(2000)]
PARENT = """
import sys, time
from himalia_jobs.contents.lists import ListReader
reader = ListReader(long_bytes=0)
reader.read(b'{"owner": "user:ada"}', most_values=9, most_entries=9, most_bytes=9)
print(reader.process_id, flush=True)
time.sleep(600)
"""
WRONG: dict[str, tuple[bytes, type[HimaliaError]]] = {
    "no JSON": (b'{"owner": ', Unparsable),
    "no object": (b"[]", Unparsable),
    "nothing": (b"", Unparsable),
    "no text": (b'{"owner": "\xff"}', Unparsable),
    "too deep": (b'{"owner": ' + b"[" * 40_000 + b"]" * 40_000 + b"}", Unparsable),
    "a key twice": (b'{"owner": "a", "owner": "b"}', Unparsable),
    "no number": (b'{"owner": "a", "manifest": {"version": NaN}}', Unparsable),
    "a field that is not known": (b'{"owner": "a", "more": 1}', FieldError),
    "no owner": (b'{"digest": "a"}', FieldError),
    "too many values": (b'{"owner": [' + b"0," * 300_000 + b"0]}", TooLarge),
    "too many lists": (b'{"owner": [' + b"[]," * 60_000 + b"[]]}", TooLarge),
}
WRONG_LISTS: dict[str, list[Any]] = {
    "nothing": [],
    "more than there may be": [FILE | {"path": str(number)} for number in range(5001)],
    "too many bytes": [FILE | {"size_bytes": 10**10}],
    "a way out": [*LONG, FILE | {"path": ".."}],
    "a file twice": [FILE, FILE],
    "a file below a file": [FILE, FILE | {"path": "f/below"}],
    "one content in two lengths": [FILE, FILE | {"path": "g", "size_bytes": 4}],
    "half a letter": [FILE | {"path": "\ud800"}],
    "a link to nowhere": [FILE, {"path": "link", "type": "symlink"}],
}
NO_ENTRIES: tuple[list[Any], ...] = ([*LONG, {"path": 1}], [FILE | {"type": "door"}], [1], [FILE | {"more": 1}])
ENTRIES = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["a", "b", "a/b", "ü", "\0", "..", "x" * 300, "\ud800", 7]),
        "type": st.sampled_from(["file", "dir", "symlink", "door"]),
    },
    optional={
        "mode": st.sampled_from([0o644, 0o1777, -1, "rw"]),
        "size_bytes": st.sampled_from([0, 5, 10**12, 1.5]),
        "chunks": st.lists(st.sampled_from(["ab" * 32, "cd" * 32, "no digest"]), max_size=2),
        "target": st.sampled_from(["", "a", "\0"]),
    },
)
BODIES = st.fixed_dictionaries(
    {"owner": st.sampled_from(["user:ada", "", "\ud800", None])},
    optional={
        "manifest": st.fixed_dictionaries({"entries": st.lists(ENTRIES, max_size=4)}) | st.none() | st.just([]),
        "digest": st.sampled_from(["ab" * 32, "", 1]),
    },
)


@pytest.fixture(scope="module")
def apart() -> Iterator[ListReader]:
    """A reader for which every list is long."""
    with_process = ListReader(long_bytes=0)
    yield with_process
    with_process.close()


@pytest.fixture
def make() -> Iterator[Callable[..., ListReader]]:
    """Make readers, for which every list is long, that are closed in the end."""
    made: list[ListReader] = []

    def one(*args: Any, **options: Any) -> ListReader:
        made.append(ListReader(*args, **{"long_bytes": 0} | options))
        return made[-1]

    yield one
    for each in made:
        each.close()


def body_of(entries: list[Any]) -> bytearray:
    """Return the request for a snapshot of these entries."""
    return bytearray(json.dumps({"owner": "user:ada", "manifest": {"entries": entries}}).encode())


def outcome(read: Callable[[], ReadList]) -> Any:
    """Return what comes of a list, in a form that can be compared."""
    try:
        found = read()
    except HimaliaError as error:
        return told(error)
    return replace(found, listed=None), told(found.listed) if isinstance(found.listed, HimaliaError) else found.listed


def told(error: HimaliaError) -> Any:
    """Return what somebody is told of an error."""
    return type(error), error.status, error.code, error.message, error.fields, getattr(error, "field", None)


def both(apart: ListReader, body: bytes | bytearray) -> tuple[Any, Any]:
    """Return what comes of a list here, and in the process."""
    return outcome(lambda: reading.read_list(body, **MOST)), outcome(lambda: apart.read(body, **MOST))


def is_over(process_id: int) -> bool:
    """Tell whether a process has ended, whoever has still to be told."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    "entries", [[FILE], LONG, [FILE, {"path": "link", "type": "symlink", "mode": 511, "target": "ü"}]]
)
def test_a_good_list_is_the_same_wherever_it_is_read(apart, entries):
    here, there = both(apart, body_of(entries))

    assert here == there
    assert isinstance(there[1], CheckedList)
    assert Manifest.model_validate_json(there[1].text).entries == tuple(Entry.model_validate(one) for one in entries)
    assert there[1].lengths == {FILE["chunks"][0]: 5}


def test_the_contents_of_a_list_that_has_very_many_are_not_handed_over(apart, monkeypatch):
    monkeypatch.setattr(reading, "MOST_CONTENTS", 0)
    many = [FILE | {"path": str(n), "chunks": [blake3(b"%d" % n).hexdigest()]} for n in range(20_001)]
    found = apart.read(body_of(many), **MOST | {"most_entries": 30_000, "most_values": 10**6}).checked()

    here = reading.read_list(body_of([FILE]), **MOST).checked()

    assert found is not None and found.lengths is None
    assert here is not None and here.lengths is None


def test_a_digest_in_the_place_of_a_list_is_read(apart):
    found = apart.read(b'{"owner": "user:ada", "digest": "abc"}', **MOST)

    assert (found.owner, found.digest, found.checked()) == ("user:ada", "abc", None)


@pytest.mark.parametrize(("body", "kind"), WRONG.values(), ids=WRONG)
def test_a_body_that_cannot_be_read_is_refused_in_the_same_words(apart, body, kind):
    here, there = both(apart, body)

    assert here == there
    assert there[0] is kind


@pytest.mark.parametrize("entries", WRONG_LISTS.values(), ids=WRONG_LISTS)
def test_what_is_wrong_with_a_list_is_said_in_the_same_words_once_it_is_asked_for(apart, entries):
    here, there = both(apart, body_of(entries))

    assert here == there
    with pytest.raises((FieldError, TooLarge)):
        apart.read(body_of(entries), **MOST).checked()


@pytest.mark.parametrize("entries", NO_ENTRIES)
def test_an_entry_that_is_none_is_named_in_the_same_words(apart, entries):
    here, there = both(apart, body_of(entries))

    assert here == there
    assert there[0] is FieldError and f"manifest.entries.{len(entries) - 1}" in there[5]


@settings(max_examples=150)
@given(body=BODIES)
def test_whatever_is_sent_comes_to_the_same(apart, body):
    here, there = both(apart, json.dumps(body).encode())

    assert here == there


def test_short_lists_start_no_process(make):
    lists = make(long_bytes=reader.LONG_BYTES)

    assert lists.read(body_of([FILE]), **MOST).checked() is not None
    assert lists.process_id is None
    assert lists.read(body_of(LONG), **MOST).checked() is not None
    assert lists.process_id is not None


def test_one_process_reads_what_comes_from_many_threads(make):
    lists, found = make(), []
    lists.read(body_of([FILE]), **MOST)
    first = lists.process_id

    def read(number: int) -> None:
        name = str(number)
        listed = lists.read(body_of([FILE | {"path": name}]), **MOST).checked()
        found.append(listed is not None and Manifest.model_validate_json(listed.text).entries[0].path == name)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [True] * 8
    assert lists.process_id == first


def test_a_process_that_was_killed_is_replaced_and_nobody_notices(make):
    lists = make()
    lists.read(body_of([FILE]), **MOST)
    first = lists.process_id
    os.kill(first, signal.SIGKILL)

    assert lists.read(body_of(LONG), **MOST).checked() is not None
    assert lists.process_id not in (None, first)


def test_a_process_that_is_killed_while_it_reads_is_replaced(make, caplog):
    lists = make()
    lists.read(body_of([FILE]), **MOST)
    first = lists.process_id
    os.kill(first, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (first, signal.SIGKILL)).start()

    assert lists.read(body_of(LONG), **MOST).checked() is not None
    assert "started anew" in caplog.text


@pytest.mark.parametrize(
    "program",
    [
        "",
        "print('{}')",
        "print('nonsense')",
        "print('[]')",
        """print('{"lines": 0, "bytes": 9}')""",
        """print('{"lines": 0, "bytes": 0, "owner": "x", "digest": null, "listed": {"digest": "x"}}')""",
    ],
)
def test_what_dies_or_answers_nonsense_again_and_again_is_told(make, program):
    lists = make((sys.executable, "-c", program))

    with pytest.raises(Unavailable, match="ended twice"):
        lists.read(body_of([FILE]), **MOST)
    assert lists.process_id is None


def test_what_is_left_of_an_answer_is_never_taken_for_the_next_one(make, monkeypatch):
    lists = make()
    lists.read(body_of([FILE]), **MOST)
    first = lists.process_id
    with monkeypatch.context() as broken, pytest.raises(MemoryError):
        broken.setattr(reader, "hear", lambda _: (_ for _ in ()).throw(MemoryError))
        lists.read(body_of([FILE]), **MOST)

    found = lists.read(b'{"owner": "user:bob"}', **MOST)
    assert (found.owner, found.checked()) == ("user:bob", None)
    assert lists.process_id != first


def test_a_program_that_cannot_be_started_is_told(make, tmp_path):
    with pytest.raises(Unavailable):
        make((str(tmp_path / "nothing"),)).read(body_of([FILE]), **MOST)


def test_a_process_for_which_there_is_nothing_to_do_ends(make):
    lists = make(idle_seconds=0.1)
    lists.read(body_of([FILE]), **MOST)

    eventually(lambda: lists.process_id is None)
    assert lists.read(body_of([FILE]), **MOST).checked() is not None


def test_a_list_that_takes_for_ever_ends_with_its_process(make, monkeypatch):
    monkeypatch.setattr(reader, "MOST_SECONDS", 0.2)

    with pytest.raises(Unavailable):
        make((sys.executable, "-c", "import time; time.sleep(600)")).read(body_of([FILE]), **MOST)


def test_the_process_ends_when_its_reader_is_closed_and_no_other_is_started(make):
    lists = make()
    lists.read(body_of([FILE]), **MOST)
    first = lists.process_id
    lists.close()

    assert is_over(first)
    with pytest.raises(Unavailable, match="stopping"):
        lists.read(body_of([FILE]), **MOST)
    assert lists.process_id is None


def test_who_waits_for_a_list_hears_that_the_service_stops(make):
    lists = make((sys.executable, "-c", "import time; time.sleep(600)"))
    threading.Timer(0.3, lists.close).start()

    with pytest.raises(Unavailable, match="stopping"):
        lists.read(body_of([FILE]), **MOST)


def test_the_process_ends_with_a_service_that_is_killed():
    with subprocess.Popen((sys.executable, "-c", PARENT), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()

    eventually(lambda: is_over(child))


def test_the_process_goes_after_others(apart):
    apart.read(body_of([FILE]), **MOST)
    process = f"/proc/{apart.process_id}"

    assert int(Path(process, "stat").read_text().rpartition(")")[2].split()[16]) == min(19, os.nice(0) + 5)


def test_the_process_loads_little():
    code = "import sys, himalia_jobs.contents.lists.process; print(*sys.modules)"
    loaded = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True).stdout.split()

    assert {"tornado", "jupyterhub", "sqlalchemy", "docker", "httpx", "asyncio"}.intersection(loaded) == set()


def test_the_contents_of_a_kept_list_are_the_same_wherever_they_are_read(apart, tmp_path):
    entries = tuple(
        Entry(
            path=str(number), type=EntryType.FILE, size_bytes=number + 1, chunks=(blake3(b"%d" % number).hexdigest(),)
        )
        for number in range(1200)
    )
    kept = checked_list(Manifest(entries=entries), most_entries=5000, most_bytes=10**9)
    (tmp_path / "manifest.json").write_bytes(kept.text)

    assert dict(apart.kept_lengths(tmp_path / "manifest.json")) == kept.lengths
    assert ListReader().kept_lengths(tmp_path / "manifest.json") == kept.lengths
    with pytest.raises(FileNotFoundError):
        apart.kept_lengths(tmp_path / "gone")


def test_a_list_that_goes_before_it_is_read_is_not_there(apart, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "stat", lambda _: os.stat(__file__))

    with pytest.raises(FileNotFoundError):
        apart.kept_lengths(tmp_path / "gone")


def test_of_a_snapshot_that_is_gone_the_store_says_so(tmp_path):
    with pytest.raises(NotFound):
        ContentStore(tmp_path).receive(OWNER, "ab" * 32)


@pytest.mark.asyncio
async def test_a_long_list_is_kept_and_what_it_lacks_is_asked_for(work: AtWork):
    answer = await work.ask("POST", "snapshots", content=bytes(body_of(LONG)))

    assert answer.status_code == 201
    assert (answer.json()["missing"], answer.json()["file_count"]) == (FILE["chunks"], 2000)


@pytest.mark.asyncio
async def test_of_a_long_list_for_somebody_else_only_that_is_said(work: AtWork):
    wrong = await work.ask("POST", "snapshots", "eve", content=bytes(body_of([*LONG, FILE | {"path": ".."}])))
    own = await work.ask("POST", "snapshots", content=bytes(body_of([*LONG, FILE | {"path": ".."}])))

    assert (wrong.status_code, list(wrong.json()["error"]["fields"])) == (422, ["owner"])
    assert (own.status_code, list(own.json()["error"]["fields"])) == (422, ["manifest"])
