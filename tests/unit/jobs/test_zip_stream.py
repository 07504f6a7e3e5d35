"""A zip that is made as it is sent: every name and content comes back, memory stays small."""

from __future__ import annotations

import io
import os
import subprocess
import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia_jobs.api.zipstream import BLOCK_BYTES, KEPT_BYTES, ZipStream, member

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def descriptor_of(content: bytes) -> int:
    """Return a descriptor of a file without a name."""
    descriptor = os.memfd_create("content")
    os.write(descriptor, content)
    return descriptor


def zipped(files: dict[str, bytes], moment: datetime = NOW) -> bytes:
    """Return the whole stream."""
    stream, parts = ZipStream(), []
    for name, content in files.items():
        descriptor = descriptor_of(content)
        try:
            parts += list(stream.add(name, moment, descriptor))
        finally:
            os.close(descriptor)
    parts += list(stream.finish())
    stream.close()
    return b"".join(parts)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60).filter(
    lambda name: not name.startswith("/") and not name.endswith("/")
)


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(files=st.dictionaries(NAMES, st.binary(max_size=200), max_size=5))
def test_names_and_contents_of_every_kind_come_back(files):
    found = zipfile.ZipFile(io.BytesIO(zipped(files)))

    assert {name: found.read(name) for name in found.namelist()} == {member(name): files[name] for name in files}
    assert found.testzip() is None


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/..%2f/b", "a/..%2f/b"),
        ("back\\slash", "back\\slash"),
        ("..\\..\\evil.exe", ".._.._evil.exe"),
        ("dir/..\\..\\evil", "dir/.._.._evil"),
        ("\\\\server\\share", "__server_share"),
        ("C:evil", "C_evil"),
        ("CON", "CON"),
    ],
)
def test_a_name_leads_no_program_of_whatever_system_out_of_where_it_unpacks(path, name):
    assert zipfile.ZipFile(io.BytesIO(zipped({path: b"x"}))).namelist() == [name]


@pytest.mark.fault(41)
def test_memory_stays_small_however_many_files_there_are():
    empty, stream, files = descriptor_of(b""), ZipStream(), 20_000
    sent = bytearray()
    for block in stream.add("first", NOW, empty):
        sent += block
    tracemalloc.start()

    for number in range(files):
        for block in stream.add(f"{number:0200}", NOW, empty):
            sent += block if number % 1000 == 0 else b""
    size = sum(len(block) for block in stream.finish())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    stream.close()
    os.close(empty)

    assert size > 4 * KEPT_BYTES
    assert most < 4 * KEPT_BYTES


def test_a_zip_of_more_files_than_old_programs_count_is_read_whole():
    empty, stream, files = descriptor_of(b""), ZipStream(), 70_000
    sent = [block for number in range(files) for block in stream.add(f"{number}", NOW, empty)]
    sent += list(stream.finish())
    stream.close()
    os.close(empty)

    assert len(zipfile.ZipFile(io.BytesIO(b"".join(sent))).namelist()) == files


def test_another_program_can_read_it(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"größe/大きさ.txt": b"x" * 3_000_000, "b": b""}))

    told = subprocess.run(["python3", "-m", "zipfile", "-t", tmp_path / "a.zip"], capture_output=True, text=True)

    assert "Done testing" in told.stdout


@pytest.mark.parametrize(
    ("year", "kept"), [(1970, 1980), (1980, 1980), (2026, 2026), (2107, 2107), (2300, 2107)], ids=str
)
def test_moments_that_a_zip_cannot_tell_are_the_nearest_it_can(year, kept):
    found = zipfile.ZipFile(io.BytesIO(zipped({"a": b""}, datetime(year, 1, 2, tzinfo=UTC))))

    assert found.infolist()[0].date_time[:3] == (kept, 1, 2)


def test_an_empty_zip_is_a_zip():
    assert zipfile.ZipFile(io.BytesIO(zipped({}))).namelist() == []


def test_memory_stays_small_whatever_is_sent(tmp_path):
    file = Path(tmp_path / "large")
    with file.open("wb") as sparse:
        sparse.truncate(100 * BLOCK_BYTES)
    descriptor, stream, sent = os.open(file, os.O_RDONLY), ZipStream(), 0
    tracemalloc.start()

    for block in stream.add("large", NOW, descriptor):
        sent += len(block)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    os.close(descriptor)
    stream.close()

    assert sent > 100 * BLOCK_BYTES
    assert most < 8 * BLOCK_BYTES


def test_a_file_that_grows_while_it_is_sent_is_whole_as_far_as_it_went():
    descriptor, stream = descriptor_of(b"x" * BLOCK_BYTES), ZipStream()
    blocks = stream.add("grows", NOW, descriptor)
    parts = [next(blocks)]
    os.write(descriptor, b"y" * 10)
    parts += list(blocks)
    os.close(descriptor)

    found = zipfile.ZipFile(io.BytesIO(b"".join([*parts, *stream.finish()])))
    stream.close()

    assert found.read("grows") == b"x" * BLOCK_BYTES + b"y" * 10
