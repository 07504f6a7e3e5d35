"""The most that a person, a team or a profile holds at once; who is at a limit reads which, and holds up nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from queue_world import NOW, hold, names, reasons, room, situation, slots, waiter

from himalia.queueing import Quota, quotas_of_group
from himalia.reasons import Reason
from himalia_gpus.request import parse_request
from himalia_jobs.policy import Reader, Rules, decide, sentence, why_never_allowed

EACH_TWO = Quota(user="*", gpus=2)


def rules(*quotas: Quota) -> Rules:
    return Rules(quotas=quotas)


def test_who_is_at_a_limit_waits_and_those_behind_start():
    asked = [waiter("a01", gpus="2"), waiter("a02", gpus="1"), waiter("b03", user="bob", gpus="1")]

    decision = decide(situation(asked, [room(gpus=4)]), rules(EACH_TWO))

    assert names(decision.starts) == ["a01", "b03"]
    assert reasons(decision) == {"a02": "at_limit"}


def test_what_is_held_counts_notebooks_and_jobs_alike():
    holds = [hold("ada", slots(1), kind="server"), hold("ada", slots(2)[1:])]

    decision = decide(situation([waiter("a01", gpus="1"), waiter("a02")], [room(gpus=1)], holds), rules(EACH_TWO))

    assert names(decision.starts) == ["a02"]
    assert reasons(decision) == {"a01": "at_limit"}


def test_a_persons_own_quota_stands_in_the_place_of_the_one_for_each():
    asked = [waiter("a01", gpus="3"), waiter("b02", user="bob", gpus="3")]

    decision = decide(situation(asked, [room(gpus=8)]), rules(EACH_TWO, Quota(user="ada", gpus=3)))

    assert names(decision.starts) == ["a01"]


def test_a_teams_quota_counts_all_that_its_members_hold():
    asked = [waiter(f"j{n:02}", user=f"u{n}", gpus="1", teams=["nlp"]) for n in range(4)]
    asked.append(waiter("x99", user="eve", gpus="1", teams=["cv"]))

    decision = decide(situation(asked, [room(gpus=8)]), rules(Quota(team="nlp", gpus=3)))

    assert names(decision.starts) == ["j00", "j01", "j02", "x99"]


def test_a_profiles_quota_counts_those_who_use_it_and_each_member_has_a_share():
    asked = [waiter(f"j{n:02}", user=f"u{n}", profile="large") for n in range(3)] + [waiter("k03", profile="small")]
    each = [waiter(f"m{n:02}", user="ada", teams=["nlp"], gpus="1") for n in range(3)]

    together = decide(situation(asked, [room()]), rules(Quota(profile="large", running=2)))
    by_member = decide(situation(each, [room(gpus=8)]), rules(Quota(team="nlp", user="*", gpus=2)))

    assert names(together.starts) == ["j00", "j01", "k03"]
    assert names(by_member.starts) == ["m00", "m01"]


@pytest.mark.parametrize(
    ("quota", "said", "to_strangers"),
    [
        (EACH_TWO, "Each person may hold 2 GPUs at once, and 2 are held.", "Each person may hold 2 GPUs at once"),
        (Quota(user="ada", gpus=2), "ada may hold 2 GPUs at once, and 2 are held.", "Its owner may hold 2 GPUs"),
        (Quota(team="nlp", gpus=2), "The team nlp may hold 2 GPUs at once, and 2 are held.", "Its team may hold"),
        (Quota(profile="small", running=1), "All who use the profile small together may hold 1 notebook or job", "All"),
    ],
)
def test_the_limit_is_told_in_words_and_names_only_to_those_who_may_see_them(quota, said, to_strangers):
    asked = [waiter("a01", gpus="1", teams=["nlp"])]
    holds = [hold("ada", slots(2), teams=["nlp"])]
    wait = decide(situation(asked, [room(gpus=2)], holds), rules(quota)).waits[0]

    own, strangers = (sentence(wait, Reader(user_id=who), NOW) for who in ("ada", "eve"))

    assert own.startswith(f"1st in line. {said}")
    assert strangers.startswith(f"1st in line. {to_strangers}")
    assert own.endswith("It starts when enough is given back.")
    assert "ada" not in strangers and "nlp" not in strangers


@pytest.mark.fault(65)
def test_a_limit_lowered_below_what_is_asked_for_says_so():
    wait = decide(situation([waiter("a01", gpus="4")], [room(gpus=8)]), rules(EACH_TWO)).waits[0]

    said = sentence(wait, Reader(sees_all=True), NOW)

    assert said == (
        "1st in line. Each person may hold 2 at once, and this is 4 GPUs. Ask an administrator, or cancel it."
    )


def test_what_no_limit_ever_allows_is_known_before():
    who = ("ada", frozenset({"nlp"}), "small")

    assert why_never_allowed([EACH_TWO], who, parse_request("2")) is None
    assert why_never_allowed([EACH_TWO], who, parse_request("3")) == (
        "Each person may hold 2 GPUs at once, and this asks for 3. Ask for fewer, or ask an administrator."
    )
    assert "may hold nothing" in str(why_never_allowed([Quota(team="nlp", running=0)], who, parse_request("0")))
    assert why_never_allowed([Quota(team="cv", gpus=0)], who, parse_request("9")) is None


def test_the_properties_of_a_group_are_quotas():
    properties = {"himalia": {"gpus": 8, "gpus_each": 2, "running": "many", "running_each": True}, "other": 1}

    assert quotas_of_group("nlp", properties) == (Quota(team="nlp", gpus=8), Quota(team="nlp", user="*", gpus=2))
    assert quotas_of_group("nlp", {"himalia": 3}) == quotas_of_group("nlp", {}) == ()


@pytest.mark.parametrize("table", [{"gpus": 3}, {"user": "ada"}, {"user": "ada", "gpus": -1}])
def test_a_quota_says_whose_and_how_much(table):
    with pytest.raises(ValidationError):
        Quota.model_validate(table)


quotas = st.lists(
    st.builds(
        Quota,
        user=st.sampled_from(["", "*", "a"]),
        team=st.sampled_from(["", "nlp"]),
        profile=st.just("small"),
        gpus=st.integers(0, 4),
        running=st.one_of(st.none(), st.integers(0, 4)),
    ),
    max_size=3,
)
rows = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=20)


@given(rows, quotas)
def test_no_quota_is_ever_exceeded_and_at_limit_is_true(found, limits):
    asked = [
        waiter(f"j{n:02}", user=user, gpus=str(count), teams=["nlp"] if member else [])
        for n, (user, count, member) in enumerate(found)
    ]

    decision = decide(situation(asked, [room(cpus=99, gpus=6)]), rules(*limits))

    for quota in limits:
        own = any(
            other.user == "a" and other.team == quota.team and (other.running or quota.running is None)
            for other in limits
        )
        mine = [
            start.waiter
            for start in decision.starts
            if (not quota.team or quota.team in start.waiter.teams)
            and (quota.user in ("", "*") or quota.user == start.waiter.user)
            and not (quota.user == "*" and own and start.waiter.user == "a")
        ]
        for people in [{one.user} for one in mine] if quota.user == "*" else [{"a", "b", "c"}]:
            held = [one for one in mine if one.user in people]
            assert sum(one.gpus.count for one in held) <= quota.gpus
            if quota.running is not None and quota.user != "*":
                assert len(held) <= quota.running
    if not limits:
        assert Reason.AT_LIMIT not in {wait.reason for wait in decision.waits}
