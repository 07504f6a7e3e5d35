"""Lines of a real job's log, picked while it runs and afterwards; and what its end says about a failure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from live_platform import LivePlatform, eventually, output, run

from himalia.states import JobState

STEPS = """
import time
for step in range(6):
    print(f"step {step} loss {1 / (step + 1):.2f}", "done" if step % 2 else "")
    time.sleep(0.6)
"""


@pytest.fixture
def ada(live: LivePlatform):
    with live.client("ada") as client:
        yield client


def lines(job, **picked):
    """Return the lines that are picked of a job's log."""
    return b"".join(job.log(**picked)).decode().splitlines()


def test_lines_are_picked_while_a_job_runs_and_after_its_end(ada):
    job = run(ada, ["python3", "-c", STEPS], wait=False)
    eventually(lambda: lines(job, grep="step"))

    followed = lines(job, follow=True, grep="step * done")

    assert [line[:6] for line in followed] == ["step 1", "step 3", "step 5"]
    assert lines(job, tail=2) == output(job).decode().splitlines()[-2:]
    assert lines(job, tail=1, grep="done") == followed[-1:]
    stamped = [re.fullmatch(r"(\S+Z) step \d loss .*", line) for line in lines(job, timestamps=True)]
    moments = [datetime.fromisoformat(found[1]) for found in stamped if found]
    assert len(moments) == 6 and moments == sorted(moments)
    assert moments[-1] - moments[0] >= timedelta(seconds=1)
    late = lines(job, since=moments[-1].isoformat())
    assert late[-1].startswith("step 5") and 1 <= len(late) < 6


def test_a_job_whose_log_says_why_it_failed_has_a_label_and_is_not_tried_again(ada):
    job = run(ada, "echo 'OSError: [Errno 28] No space left on device'; exit 1", retries=3)

    assert (job.state, job.view.attempt, job.view.attempts[-1].label) == (JobState.FAILED, 1, "disk-full")
    assert "A disk that it wrote to was full" in job.view.sentence
