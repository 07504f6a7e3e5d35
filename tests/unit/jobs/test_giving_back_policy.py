"""Giving back, as a pure function: nobody loses a server without having been told in time, and nobody is told twice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia.site import Site
from himalia_jobs.giving_back.deciding import MOST_STEP_SECONDS, decide, looked, may_keep
from himalia_jobs.giving_back.terms import terms_of
from himalia_jobs.giving_back.words import Do, Standing, Step, Terms, Use

WARNING, AFTER, KEEP_FOR = 600.0, 7200.0, 3600.0
TERMS = Terms(idle_after=AFTER, warning=WARNING, keep_for=KEEP_FOR, keeps=3)
BOOT = "one start of the machine"


def standing(**changes: object) -> Standing:
    """Return a lease that differs in what a test is about."""
    return replace(Standing(lease_id="a", terms=TERMS, idle_seconds=0, age_seconds=0), **changes)  # type: ignore[arg-type]


def does(**changes: object) -> list[Do]:
    """Return what is done about such a lease."""
    return [step.do for step in decide([standing(**changes)])]


def test_a_warning_comes_before_the_end_and_says_when_that_is():
    assert does(idle_seconds=AFTER - WARNING - 1) == []
    assert decide([standing(idle_seconds=AFTER - WARNING)]) == [
        Step(lease_id="a", do=Do.WARN_IDLE, left_seconds=WARNING)
    ]
    assert does(idle_seconds=AFTER - 1, warned_idle=AFTER - WARNING) == []
    assert does(idle_seconds=AFTER, warned_idle=AFTER - WARNING) == [Do.END_IDLE]


def test_who_was_told_late_has_the_whole_warning_all_the_same():
    late = 9 * AFTER

    assert decide([standing(idle_seconds=late)])[0].left_seconds == WARNING
    assert does(idle_seconds=late + WARNING - 1, warned_idle=late) == []
    assert does(idle_seconds=late + WARNING, warned_idle=late) == [Do.END_IDLE]


def test_use_takes_a_warning_back():
    assert does(idle_seconds=0, warned_idle=AFTER - WARNING) == [Do.TAKE_BACK]


def test_a_setting_that_was_switched_off_takes_a_warning_back():
    assert does(terms=replace(TERMS, idle_after=None), idle_seconds=AFTER, warned_idle=1.0) == [Do.TAKE_BACK]


def test_what_was_kept_is_told_again_before_that_is_over():
    kept = {"kept": 1, "kept_until": AFTER + KEEP_FOR}

    assert does(idle_seconds=AFTER, **kept) == []
    assert does(idle_seconds=AFTER + KEEP_FOR - WARNING, **kept) == [Do.WARN_IDLE]
    assert may_keep(standing(kept=2)) and not may_keep(standing(kept=3))


def test_a_server_that_grows_too_old_is_told_and_then_ends_used_or_not():
    aging = replace(TERMS, max_age=86400.0)

    assert does(terms=aging, age_seconds=86400 - WARNING - 1) == []
    assert does(terms=aging, age_seconds=86400 - WARNING) == [Do.WARN_AGE]
    assert does(terms=aging, age_seconds=86400, warned_age=86400 - WARNING) == [Do.END_AGE]
    assert does(terms=aging, age_seconds=99999) == [Do.WARN_AGE]


def test_nothing_is_done_about_what_is_ending_already():
    assert does(idle_seconds=9 * AFTER, warned_idle=AFTER, ending=True) == []


def test_a_job_that_is_only_told_is_never_ended():
    told = replace(TERMS, ends=False)

    assert does(terms=told, idle_seconds=AFTER - WARNING) == [Do.WARN_IDLE]
    assert does(terms=told, idle_seconds=99 * AFTER, warned_idle=AFTER - WARNING) == []


@pytest.mark.parametrize(
    ("active", "idle"), [(True, 0.0), (False, 130.0), (None, 100.0)], ids=["used", "not used", "nobody knows"]
)
def test_a_look_counts_only_idleness_that_was_seen(active, idle):
    before = Use(idle_seconds=100, clock=1000, boot_id=BOOT)

    assert looked(before, clock=1030, boot_id=BOOT, active=active).idle_seconds == idle


def test_the_time_in_which_nobody_watched_is_no_idleness():
    before = Use(idle_seconds=100, clock=1000, boot_id=BOOT)

    assert looked(before, clock=99999, boot_id=BOOT, active=False).idle_seconds == 100 + MOST_STEP_SECONDS
    assert looked(before, clock=10, boot_id="another", active=False).idle_seconds == 100
    assert looked(before, clock=500, boot_id=BOOT, active=False).idle_seconds == 100


@dataclass
class Life:
    """A server's life as the keeper lives it: looks, decisions, answers; it remembers what a person saw of it."""

    terms: Terms
    use: Use = field(default_factory=lambda: Use(clock=0, boot_id=BOOT))
    kept: Use | None = None  #: what a killed service finds
    one: Standing = field(default_factory=standing)
    clock: float = 0.0
    told_at: float | None = None  #: watched seconds at which a warning stands
    watched: float = 0.0  #: seconds in which idleness was seen
    ended: bool = False
    warnings: int = 0
    keeps_in_a_row: int = 0

    def look(self, seconds: float, active: bool | None) -> None:
        """Let some time pass, and look."""
        self.clock += seconds
        before = self.use.idle_seconds
        self.use = looked(self.use, clock=self.clock, boot_id=BOOT, active=active)
        self.watched += max(0.0, self.use.idle_seconds - before)
        if active:
            self.one, self.keeps_in_a_row = replace(self.one, kept=0, kept_until=0.0), 0
        self.one = replace(self.one, terms=self.terms, idle_seconds=self.use.idle_seconds)
        for step in decide([self.one]):
            self._take(step, active)
        assert not decide([self.one]) or self.ended

    def _take(self, step: Step, active: bool | None) -> None:
        assert not self.ended
        if step.do is Do.WARN_IDLE:
            assert self.told_at is None, "told twice"
            assert active is not True
            self.told_at, self.warnings = self.watched, self.warnings + 1
            self.one = replace(self.one, warned_idle=self.one.idle_seconds)
            self.kept = self.use
        elif step.do is Do.TAKE_BACK:
            assert active, "taken back though nothing used it"
            self.told_at = None
            self.one = replace(self.one, warned_idle=None)
        elif step.do is Do.END_IDLE:
            assert self.told_at is not None and active is not True
            assert self.watched - self.told_at >= self.terms.warning - 1e-6, "no time to answer"
            assert self.use.idle_seconds >= (self.terms.idle_after or 0) - 1e-6
            self.ended, self.one = True, replace(self.one, ending=True)

    def keep(self) -> None:
        """Answer *Keep*, where that is offered."""
        if self.told_at is None or self.ended or not may_keep(self.one):
            return
        self.told_at, self.keeps_in_a_row = None, self.keeps_in_a_row + 1
        assert self.keeps_in_a_row <= self.terms.keeps
        until = self.use.idle_seconds + self.terms.keep_for
        self.one = replace(self.one, warned_idle=None, kept=self.one.kept + 1, kept_until=until)

    def restart(self) -> None:
        """Kill the service: what was measured after the last warning, and was not yet written, is lost."""
        if (
            self.kept is not None
            and self.one.warned_idle is not None
            and self.kept.idle_seconds <= self.use.idle_seconds
        ):
            self.use = replace(self.use, idle_seconds=max(self.kept.idle_seconds, self.one.warned_idle))


EVENTS = st.one_of(
    st.tuples(st.floats(0, 4000), st.sampled_from([True, False, False, False, None])),
    st.just("keep"),
    st.just("restart"),
)


@given(events=st.lists(EVENTS, max_size=120), ends=st.booleans(), keeps=st.integers(0, 3))
def test_whatever_happens_nobody_loses_a_server_untold_and_nobody_is_told_twice(events, ends, keeps):
    life = Life(terms=Terms(idle_after=1800, warning=300, keep_for=900, keeps=keeps, ends=ends))
    for event in events:
        if life.ended:
            break
        if event == "keep":
            life.keep()
        elif event == "restart":
            life.restart()
        else:
            life.look(*event)

    assert ends or not life.ended


@given(keeps=st.integers(0, 5), step=st.floats(1, 60))
def test_an_idle_server_ends_in_the_end_however_often_it_is_kept(keeps, step):
    life = Life(terms=Terms(idle_after=1800, warning=300, keep_for=900, keeps=keeps))
    most = 1800 + keeps * (900 + 300) + 300
    while not life.ended and life.clock < 10 * most:
        life.look(step, False)
        life.keep()

    assert life.ended
    assert life.warnings == keeps + 1
    assert life.use.idle_seconds <= most + (keeps + 2) * step


SITE = Site.model_validate(
    {
        "idle": {"then": "restart"},
        "profiles": [
            {"name": "gpu", "gpus": "1"},
            {"name": "long", "gpus": "1", "idle_after": "5h", "idle_then": "stop", "max_age": "2d"},
            {"name": "ever", "gpus": "1", "idle_after": "never"},
        ],
    }
)


@pytest.mark.parametrize(
    ("profile", "after", "then", "max_age"),
    [
        ("gpu", 7200, "restart", None),
        ("long", 18000, "stop", 172800),
        ("ever", None, "restart", None),
        ("gone", 7200, "restart", None),
    ],
)
def test_a_profiles_own_terms_come_before_those_of_all(profile, after, then, max_age):
    terms = terms_of(SITE, "server", SITE.profile(profile), gpus=1)

    assert (terms.idle_after, terms.then, terms.max_age) == (after, then, max_age)


def test_a_server_without_gpus_holds_none_and_a_job_is_told_after_its_own_time():
    assert terms_of(SITE, "server", SITE.profile("gpu"), gpus=0).idle_after is None
    assert terms_of(SITE, "job", SITE.profile("gpu"), gpus=0).idle_after is None
    job = terms_of(SITE, "job", SITE.profile("ever"), gpus=1)
    assert (job.idle_after, job.ends) == (3600 + 600, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"idle": {"after": "5m"}},
        {"idle": {"keep_for": "10m"}},
        {"profiles": [{"name": "gpu", "idle_after": "1m"}]},
        {"profiles": [{"name": "gpu", "max_age": "10m"}]},
    ],
)
def test_settings_that_would_end_something_without_a_word_are_refused(wrong):
    with pytest.raises(ValueError, match="longer than"):
        Site.model_validate(wrong)
