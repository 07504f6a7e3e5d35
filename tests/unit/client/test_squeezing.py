"""Squeezed packs: what shrinks is sent in less, what does not is sent as it is, and both come back."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_bodies import unpack

from himalia.snapshot import pack, scan, wire

TEXT = b"".join(b"loss %d %f\n" % (number, number / 7) for number in range(200_000))


def sent_of(folder: Path) -> bytes:
    """Return the squeezed pack of all that is in a directory."""
    packed = pack(scan(folder))
    stream = b"".join(packed.stream(packed.sources, squeezed=True))
    assert sorted(unpack(stream)) == sorted(packed.sources)
    return stream


def test_text_is_sent_in_a_third_of_its_length_or_less(tmp_path):
    (tmp_path / "log.txt").write_bytes(TEXT)

    stream = sent_of(tmp_path)

    assert list(unpack(stream).values()) == [TEXT]
    assert len(stream) < len(TEXT) / 3


def test_what_does_not_shrink_is_sent_as_it_is_with_four_bytes_a_megabyte_more(tmp_path):
    noise = random.Random(1).randbytes(3_500_000)
    (tmp_path / "weights.bin").write_bytes(noise)

    stream = sent_of(tmp_path)

    assert list(unpack(stream).values()) == [noise]
    assert len(stream) == 8 + 40 + len(noise) + 4 * 4 + 32


def test_only_the_part_of_a_file_that_shrinks_is_squeezed(tmp_path):
    noise = os.urandom(2 * wire.BLOCK_BYTES)
    (tmp_path / "mixed").write_bytes(noise + TEXT)

    stream = sent_of(tmp_path)

    assert list(unpack(stream).values()) == [noise + TEXT]
    assert len(noise) < len(stream) < len(noise) + len(TEXT) / 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from([TEXT[:70_000], bytes(5000)])), max_size=5))
def test_whatever_is_squeezed_comes_back(contents):
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            (Path(folder) / str(number)).write_bytes(content)

        assert set(unpack(sent_of(Path(folder))).values()) == {content for content in contents if content}


@given(st.binary(max_size=600), st.integers(1, 2000))
def test_noise_is_no_block_of_another_length(noise, length):
    if len(noise) == length:
        assert wire.unfolded(noise, length) == noise
    else:
        with pytest.raises(ValueError, match="."):
            wire.unfolded(noise, length)


def test_without_zstd_blocks_are_sent_as_they_are(monkeypatch):
    monkeypatch.setattr(wire, "zstd", None)

    assert not wire.can_squeeze()
    assert list(wire.squeezed([TEXT])) == [len(TEXT).to_bytes(4, "big"), TEXT]
    with pytest.raises(ValueError, match="not installed"):
        wire.unfolded(b"x", 2)


@given(st.lists(st.binary(max_size=50)), st.integers(1, 100))
def test_what_is_gathered_is_the_same_in_pieces_of_some_length(pieces, least):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(wire, "GATHERED_BYTES", least)
        gathered = list(wire.gathered(pieces))

    assert b"".join(gathered) == b"".join(pieces)
    assert all(len(piece) >= least for piece in gathered[:-1])
