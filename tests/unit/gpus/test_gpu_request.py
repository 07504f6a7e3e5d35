"""The grammar of GPU requests."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia.gpus import SlotKind
from himalia.units import GiB
from himalia_gpus.request import GPURequest, GPURequestError, parse_request


@pytest.mark.parametrize(
    ("text", "canonical", "request_"),
    [
        ("0", "0", GPURequest()),
        ("none", "0", GPURequest()),
        ("1", "1", GPURequest(count=1)),
        (" 2 ", "2", GPURequest(count=2)),
        ("H200", "H200", GPURequest(count=1, models=("H200",))),
        ("h200:2", "H200:2", GPURequest(count=2, models=("H200",))),
        ("2:H200", "H200:2", GPURequest(count=2, models=("H200",))),
        ("rtx 4090", "RTX-4090", GPURequest(count=1, models=("RTX-4090",))),
        ("H100, A100 :1", "A100,H100", GPURequest(count=1, models=("A100", "H100"))),
        ("80GB..:1", "80GB..", GPURequest(count=1, memory_min_bytes=80 * GiB)),
        ("..24g", "..24GB", GPURequest(count=1, memory_max_bytes=24 * GiB)),
        ("40GB..80GiB", "40GB..80GB", GPURequest(count=1, memory_min_bytes=40 * GiB, memory_max_bytes=80 * GiB)),
        ("80GB", "80GB", GPURequest(count=1, memory_min_bytes=80 * GiB, memory_max_bytes=80 * GiB)),
        ("1.5GB..", "1536MB..", GPURequest(count=1, memory_min_bytes=1536 * 2**20)),
        ("mig-1G.18GB", "mig-1g.18gb", GPURequest(count=1, kind=SlotKind.MIG, mig_profiles=("1g.18gb",))),
        ("mig-1c.2g.20gb:1", "mig-1c.2g.20gb", GPURequest(count=1, kind=SlotKind.MIG, mig_profiles=("1c.2g.20gb",))),
        ("mig-1g.10gb+me", "mig-1g.10gb+me", GPURequest(count=1, kind=SlotKind.MIG, mig_profiles=("1g.10gb+me",))),
        (
            "mig-2g.35gb, 1g.18gb",
            "mig-1g.18gb,mig-2g.35gb",
            GPURequest(count=1, kind=SlotKind.MIG, mig_profiles=("1g.18gb", "2g.35gb")),
        ),
        ("shared", "shared", GPURequest(count=1, kind=SlotKind.SEAT)),
        ("16GB:shared", "shared:16GB", GPURequest(count=1, kind=SlotKind.SEAT, seat_memory_bytes=16 * GiB)),
        (".50:T4", "T4:0.5", GPURequest(count=1, kind=SlotKind.SEAT, models=("T4",), seat_fraction=Decimal("0.5"))),
    ],
)
def test_a_request_is_read_whatever_the_order_and_written_in_one_way(
    text: str, canonical: str, request_: GPURequest
) -> None:
    assert parse_request(text) == request_
    assert str(request_) == canonical


@pytest.mark.parametrize(
    ("value", "equal"),
    [
        (None, "0"),
        (0, "0"),
        (2, "2"),
        (0.5, "0.5"),
        ({"count": 2, "models": ["H200", "A100"], "memory": "80GB.."}, "A100,H200:80GB..:2"),
        ({"models": "H200"}, "H200"),
        ({"shared": True, "memory": "16GB"}, "shared:16GB"),
        ({"shared": False, "count": 1, "mig": None}, "1"),
        ({"fraction": 0.25}, "0.25"),
        ({"mig": "1g.18gb"}, "mig-1g.18gb"),
        ({"mig": ["2g.35gb", "1g.18gb"]}, "mig-1g.18gb,mig-2g.35gb"),
    ],
)
def test_numbers_and_objects_say_the_same_as_texts(value: object, equal: str) -> None:
    assert parse_request(value) == parse_request(equal)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("-1", "'-1' at position 1 is no number of GPUs: it is 0 or more."),
        ("H200:-1", "'-1' at position 6 is no number of GPUs"),
        ("1.5", "'1.5' at position 1: GPUs are counted in whole. Write 1 or 2; 0.5 is half of one."),
        ("2.0", "'2.0' at position 1 is no number of GPUs: write 2."),
        (1.5, "GPUs are counted in whole"),
        ("all", "'all' at position 1 is no number of GPUs: say how many"),
        ("nan", "'nan' at position 1 is not understood. Write 0 for none"),
        (float("nan"), "'nan' at position 1 is not understood"),
        (float("inf"), "'inf' at position 1 is not understood"),
        (10**18, "is too many GPUs: 1024 are the most"),
        (str(10**18), "is too many GPUs: 1024 are the most"),
        ("", "The GPU request is empty. Write 0 for none"),
        ("  ", "The GPU request is empty. Write 0 for none"),
        ("H200::1", "There is nothing at position 6 of 'H200::1', beside a ':'."),
        (":1", "There is nothing at position 1"),
        ("1:", "There is nothing at position 3"),
        ("H200,:1", "'H200,' at position 1 is not understood"),
        ("0:H200", "'0' at position 1 means no GPU, so nothing may stand beside it."),
        ("1: 2", "'2' at position 4 says a second time what '1' at position 1 says."),
        ("2x", "'2x' at position 1 is not understood"),
        ("1e3", "'1e3' at position 1 is not understood"),
        ("٣", "is not understood"),
        ("80..90", "'80..90' at position 1 is no memory size"),
        ("80GB..40GB", "the wrong way round"),
        ("..", "names no size"),
        ("0GB", "out of range"),
        ("99999999999GB", "out of range"),
        ("0.0001", "too fine"),
        ("mig-half", "'mig-half' at position 1 is no MIG profile"),
        ("shared:2", "'2' at position 8 does not go with 'shared' at position 1"),
        ("0.5:16GB", "'16GB' at position 5 does not go with '0.5' at position 1"),
        ("shared:8GB..", "is a range"),
        ("mig-1g.18gb:shared", "ask for a slice or for a seat"),
        ("x" * 300, "has 300 characters; 200 are the most"),
        (True, "not bool"),
        ([1], "not list"),
        ({}, "The GPU request is empty"),
        ({"gpus": 1}, "'gpus' is no part of a GPU request. The parts are count, models, memory"),
        ({"count": "H200"}, "'H200' in 'count' does not belong there"),
        ({"count": True}, "not bool"),
        ({"memory": 16}, "'16' in 'memory' does not belong there"),
    ],
)
def test_what_is_no_request_is_refused_with_the_token_and_what_is_allowed(value: object, sentence: str) -> None:
    with pytest.raises(GPURequestError) as refused:
        parse_request(value, field="resources.gpus")

    assert sentence in refused.value.message
    assert refused.value.fields == {"resources.gpus": refused.value.message}
    assert (refused.value.status, refused.value.code) == (422, "invalid")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "no GPU"),
        ("1", "1 GPU"),
        ("2", "2 GPUs"),
        ("H200:2", "2 GPUs (H200:2)"),
        ("shared", "1 seat of a shared GPU"),
        ("shared:16GB", "1 seat of a shared GPU (shared:16GB)"),
        ("mig-1g.18gb", "1 slice (mig-1g.18gb)"),
    ],
)
def test_people_read_how_much_of_what_is_asked_for(text: str, words: str) -> None:
    assert parse_request(text).in_words == words


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_too_large_to_be_printed_is_refused_too(sign: int) -> None:
    with pytest.raises(GPURequestError, match="it lies between 0 and 1024"):
        parse_request(sign * 10**5000)


NO_MODEL = ("ALL", "ANY", "INF", "MIG", "NAN", "NONE", "SHARED")
names = st.from_regex(r"[A-Z][A-Z0-9]{0,6}([_-][A-Z0-9]{1,6})?", fullmatch=True)
models = st.lists(names.filter(lambda name: not name.startswith(NO_MODEL)), max_size=3, unique=True).map(
    lambda names: tuple(sorted(names))
)
sizes = st.integers(1, 2**30).map(lambda megabytes: megabytes * 2**20)
two_sizes = st.lists(sizes, min_size=2, max_size=2).map(sorted)
ranges = st.tuples(st.none() | sizes, st.none()) | st.tuples(st.none(), sizes) | two_sizes.map(tuple)
wholes = st.builds(
    lambda count, names, ends: GPURequest(
        count=count, models=names, memory_min_bytes=ends[0], memory_max_bytes=ends[1]
    ),
    st.integers(1, 1024),
    models,
    ranges,
)
seats = st.builds(
    lambda names, size, thousandths: GPURequest(
        count=1,
        kind=SlotKind.SEAT,
        models=names,
        seat_memory_bytes=None if thousandths else size,
        seat_fraction=(Decimal(thousandths) / 1000).normalize() if thousandths else None,
    ),
    models,
    st.none() | sizes,
    st.none() | st.integers(1, 999),
)
slices = st.builds(
    lambda names, profile: GPURequest(count=1, kind=SlotKind.MIG, models=names, mig_profiles=(profile,)),
    models,
    st.from_regex(r"[0-9]g\.[0-9]{1,3}gb(\+me)?", fullmatch=True),
)
requests = st.just(GPURequest()) | wholes | seats | slices


@given(requests)
def test_the_canonical_text_means_the_request_it_came_from(request_: GPURequest) -> None:
    assert parse_request(str(request_)) == request_


@given(requests, st.randoms())
def test_the_order_of_tokens_and_the_case_of_letters_mean_nothing(request_: GPURequest, random: Random) -> None:
    tokens = str(request_).lower().split(":")
    random.shuffle(tokens)

    assert parse_request(":".join(tokens)) == request_


@given(st.text(max_size=40) | st.text(alphabet="0123456789.:,-+GBMT hsmigal", max_size=30))
def test_any_text_is_either_a_request_or_refused_with_a_sentence(text: str) -> None:
    try:
        request_ = parse_request(text)
    except GPURequestError as refused:
        assert refused.message.endswith((".", "…"))
    else:
        assert parse_request(str(request_)) == request_
