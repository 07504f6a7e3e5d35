"""What `--retry-on` takes: what is written is what is read, and what cannot be read is pointed at."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from himalia.errors import FieldError
from himalia.reasons import Reason
from himalia.retrying import DEFAULT, LONGEST, parse_retry_on

SPACES = st.sampled_from(["", " ", "  "])
CODES = st.integers(min_value=1, max_value=255)
RANGES = st.tuples(CODES, CODES).map(lambda ends: f"exit:{min(ends)}-{max(ends)}")
SIGNALS = st.sampled_from(["signal:SEGV", "signal:sigkill", "signal:9", "signal:33"])
CAUSES = st.one_of(
    st.sampled_from(["exit", "signal", "oom", "timeout", "lost", "OOM", "Lost"]),
    CODES.map(lambda code: f"exit:{code}"),
    RANGES,
    SIGNALS,
)


@given(st.lists(CAUSES, min_size=1, max_size=20), SPACES, st.randoms())
def test_the_canonical_text_reads_back_and_order_case_and_spaces_say_nothing(causes, space, random):
    read = parse_retry_on(causes)
    shuffled = random.sample(causes, len(causes))

    assert parse_retry_on(str(read)) == read
    assert str(parse_retry_on(f"{space},{space}".join(shuffled))) == str(read)


@given(st.text(max_size=40))
@example("exit:0")
@example("exit:256")
@example("exit:9-3")
@example("signal:65")
@example("signal:NOPE")
@example("oom:1")
@example("exit:٣")
@example("oom,,lost")
@example("")
def test_any_text_is_read_or_refused_with_where_it_is_wrong(text):
    try:
        parse_retry_on(text)
    except FieldError as refused:
        assert refused.field == "retry_on"
        assert "at position" in refused.message


@given(st.lists(CAUSES, max_size=5), st.sampled_from(["of", "exit:0", "signal:NOPE", "oom:2", "exit:75x"]), SPACES)
def test_the_refusal_names_the_token_and_where_it_stands(before, wrong, space):
    text = ",".join([*before, f"{space}{wrong}"])

    with pytest.raises(FieldError) as refused:
        parse_retry_on(text)

    assert f"{wrong!r} at position {len(text) - len(wrong) + 1} " in refused.value.message


def test_a_text_without_end_is_refused_in_few_words():
    with pytest.raises(FieldError, match="longer than 1000 characters"):
        parse_retry_on("oom," * LONGEST)


def test_unless_told_every_failure_is_covered_that_another_attempt_may_help_against():
    covered = {reason for reason in Reason if parse_retry_on(DEFAULT).covers(reason, 3, 11)}

    assert covered == {
        Reason.EXITED,
        Reason.KILLED_BY_SIGNAL,
        Reason.OUT_OF_MEMORY,
        Reason.NODE_REBOOTED,
        Reason.ENGINE_STOPPED,
        Reason.VANISHED,
    }


def test_the_files_causes_of_a_retry_say_nothing_where_none_is_asked_for(service, code, himalia):
    (code / "himalia-job.toml").write_text('command = "true"\nretries = 2\nretry_on = ["oom", "exit:75"]\n')

    for words in ((), ("--retries", "0")):
        himalia("submit", "-d", *words)

    assert [(wish.retries, wish.retry_on) for wish in service.requests] == [(2, ["oom", "exit:75"]), (0, None)]


def test_a_cause_that_cannot_be_read_is_pointed_at_before_anything_is_sent(service, code, himalia):
    outcome = himalia("submit", "--retries", "1", "--retry-on", "oom,exot:75", "--", "true")

    assert (outcome.code, service.requests) == (125, [])
    assert "'exot:75' at position 5 is no cause of a retry." in outcome.err
