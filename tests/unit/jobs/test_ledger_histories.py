"""Random histories of the ledger: no slot double, none lost, holders untouched, reasons true.

Many short ones, which shrink to what matters where one fails; and long walks, each step checked as well.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from ledger_history import LedgerHistory
from ledger_walk import Walk

pytestmark = pytest.mark.timeout(3600)

CAMPAIGN = 1000  #: histories; `make campaign`

TestHistories = LedgerHistory.TestCase
TestHistories.settings = settings(
    max_examples=CAMPAIGN if os.environ.get("HIMALIA_CAMPAIGN") else 12,
    stateful_step_count=100,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

LONG_WALKS = (20300102, 20300103)  #: seeds; `make campaign`
SHORT_WALK = 20300101


@pytest.mark.parametrize("seed", LONG_WALKS if os.environ.get("HIMALIA_CAMPAIGN") else (SHORT_WALK,))
def test_a_long_walk_gives_everything_back(seed):
    steps = 10_000 if os.environ.get("HIMALIA_CAMPAIGN") else 200

    walked = Walk(seed).go(steps)

    print(f"\nseed {seed}: {walked}")
    assert walked.steps == steps
    assert walked.most_at_once > 1
    assert {gpus for gpus in walked.given if gpus.startswith(("shared", "mig"))}
