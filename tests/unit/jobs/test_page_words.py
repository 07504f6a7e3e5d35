"""How pages write moments to come and what is asked for: as the command line and the service's sentences do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from service_at_work import at_work

from himalia.moments import stamp
from himalia_jobs.pages.words import deadline, moment, sentence


@pytest.mark.parametrize("second", [0, 1, 59])
def test_a_deadline_reads_as_in_a_sentence_and_what_was_is_never_later_than_it_was(second: int):
    when = datetime(2030, 1, 1, 14, 19, second, tzinfo=UTC)

    assert deadline(when) == sentence(stamp(when))
    assert moment(when) == f'<time datetime="{when:%Y-%m-%dT%H:%M:%S}.000Z">2030-01-01 14:19 UTC</time>'
    assert deadline(when + timedelta(minutes=1)) != deadline(when)


@pytest.mark.asyncio
async def test_parts_of_gpus_are_counted_and_asked_for_as_what_they_are(tmp_path: Path):
    async with at_work(tmp_path, gpu_modes=[{"gpu": "0", "mode": "shared", "seats": 2}]) as work:
        for gpus in ("shared:16GB", "shared:16GB", "1"):
            await work.submit(gpus=gpus)
        await work.service._round()
        page = (await work.open()).text

    assert "1 of 2 free · 1 waiting" in page
    assert "1 seat of a shared GPU (shared:16GB) · 1 CPU ·" in page
