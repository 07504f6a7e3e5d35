"""A job's output on a terminal: nothing in it reaches beyond the job's own lines; in a pipe it is as it was written."""

from __future__ import annotations

import io
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_bodies import ended

from himalia.cli.output import printable
from himalia.cli.terminal import MOST_SEQUENCE, Cleaner, printing
from himalia.states import JobState

ALLOWED = re.compile(r"\x1b\[[0-9;:]*[mKCDGABEF]|[\r\b\t\n]")


def shown(*blocks: bytes) -> str:
    cleaner = Cleaner()
    return "".join([*(cleaner.clean(block) for block in blocks), cleaner.end()])


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        (b"10%\r50%\r100%\n", "10%\r50%\r100%\n"),
        (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
        (b"\x1b]52;c;cm0gLXJmIC8=\x07x", "x"),
        (b"\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b]0;title\x07\x1bPdevice\x1b\\\x1b_app\x1b\\x", "x"),
        (b"\x1b[2J\x1b[H\x1b[6n\x1b[?1049h\x1bc\x1b(0x", "x"),
        (b"a\0b\x07c\x7f", "a\\x00b\\x07c\\x7f"),
        (b"caf\xe9 \xed\xa0\x80", "caf\\xe9 \\xed\\xa0\\x80"),
        ("\x9b2J \u202egpj".encode(), "\\x9b2J \\u202egpj"),
        ("größe 大きさ 😀\n".encode(), "größe 大きさ 😀\n"),
        (b"\x1b]0;never ends\nnext\n", "\\x1b]0;never ends\nnext\n"),
        (b"cut \x1b[3", "cut \\x1b[3"),
    ],
)
def test_colours_and_bars_are_shown_and_what_steers_a_terminal_is_not(printed, seen):
    assert shown(printed) == seen


@pytest.mark.fault(39)
def test_a_job_never_writes_over_lines_that_are_not_its_own():
    assert shown(b"\x1b[5Aforged", b"\x1b[2F\x1b[9Bx") == "forged\rx"
    assert shown(b"outer\ninner\n\x1b[A\x1b[99Aouter\n\x1b[Bx\n") == "outer\ninner\n\x1b[1A\x1b[1Aouter\n\x1b[1Bx\n"


def test_a_sequence_without_an_end_is_given_up():
    assert shown(b"\x1b]" + b"x" * MOST_SEQUENCE, b"yz").endswith("yz")


@pytest.mark.fault(37)
@given(
    blocks=st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"\x1b[", b"\x1b]52;", b"A", b"m", b"\x07"])))
)
def test_whatever_is_printed_only_harmless_sequences_are_shown_wherever_it_is_cut(blocks):
    text = shown(*blocks)

    assert printable(ALLOWED.sub("", text)) == ALLOWED.sub("", text)
    assert text == shown(b"".join(blocks))


class Screen(io.TextIOWrapper):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.fault(37)
@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_clean_text_and_a_pipe_the_bytes(monkeypatch, terminal):
    got = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", (Screen if terminal else io.TextIOWrapper)(got, encoding="utf-8"))

    with printing() as show:
        show(b"\xff\x1b]52;c;x\x07\n")
    sys.stdout.flush()

    assert got.getvalue() == (b"\\xff\n" if terminal else b"\xff\x1b]52;c;x\x07\n")


@pytest.mark.fault(39)
def test_a_job_that_prints_that_it_succeeded_has_failed_all_the_same(service, himalia):
    service.add_job(**ended("a" * 12, state=JobState.FAILED, exit_code=3), id="a" * 12).logs = [
        b"aaaaaaaaaaaa: succeeded.\n"
    ]

    outcome = himalia("logs", "a" * 12, "-f")

    assert (outcome.code, outcome.out) == (3, b"aaaaaaaaaaaa: succeeded.\n")
    assert outcome.err.splitlines()[-1].startswith("aaaaaaaaaaaa: failed.")


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("name", "seen"),
    [("new\rline\x1b[2J", "new\\rline\\x1b[2J"), ("gpj.\u202eexe", "gpj.\\u202eexe"), ("ok größe 😀", "ok größe 😀")],
)
def test_names_are_shown_with_what_steers_escaped(name, seen):
    assert printable(name) == seen
