"""The numbers for Prometheus, and the dashboard that asks for them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from service_at_work import AtWork

from himalia_jobs.engines.gpus import GPUState

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "hub_config" / "grafana" / "himalia.json"
WISH = {"user": "ada", "spawn_id": "one", "server": "second", "profile": "gpu", "teams": ["nlp"]}
NAME = re.compile(r"\b(?:himalia|process)_\w+")
#: What PromQL itself says; all other words of a query are metrics or labels.
WORDS = {"sum", "avg", "max", "min", "count", "by", "on", "group_left", "histogram_quantile", "rate", "vector", "or"}


async def scraped(work: AtWork) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return all samples by name, as Prometheus reads them."""
    answer = await work.http.get("/services/jobs/metrics", headers={"Authorization": "Bearer metrics-token"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.fixture
def metrics(work: AtWork) -> AtWork:
    """A service that a reader of metrics may ask."""
    work.hub.knows("metrics", kind="service", scopes=("access:services!service=jobs", "custom:jobs:metrics"))
    return work


async def busy(work: AtWork) -> str:
    """Let a notebook and a job have the GPUs, and another job wait; return the job's id."""
    lease = (await work.ask("POST", "leases", "spawner", json=WISH)).json()["id"]
    await work.service._round()
    job = await work.submit("bob", gpus="1")
    await work.service._round()
    await work.submit("eve", gpus="1")
    await work.service._round()
    state = GPUState(uuid="GPU-0", busy_percent=37, memory_used_bytes=7, temperature_celsius=60, power_watts=412.5)
    work.service.reconciler.keeper.states = {"GPU-0": state}
    work.service.ledger.idle = {lease: datetime.now(UTC) - timedelta(hours=1)}
    return str(job["id"])


async def test_what_gpus_do_and_who_has_them_is_told(metrics: AtWork):
    job = await busy(metrics)

    found = await scraped(metrics)

    gpu = {"node": "local", "gpu": "0", "uuid": "GPU-0", "model": "Simulated"}
    assert found["himalia_gpu_busy_ratio"] == [(gpu, 0.37)]
    assert found["himalia_gpu_memory_used_bytes"] == [(gpu, 7)]
    assert found["himalia_gpu_temperature_celsius"] == [(gpu, 60)]
    assert found["himalia_gpu_power_watts"] == [(gpu, 412.5)]
    assert [labels["health"] for labels, value in found["himalia_gpu_health"] if value] == ["ok", "ok"]
    assert [labels["gpu"] for labels, seconds in found["himalia_gpu_holder_idle_seconds"] if seconds > 3500] == ["0"]
    held = {labels["uuid"]: labels for labels, _ in found["himalia_gpu_lease"]}
    assert (
        held["GPU-0"].items()
        >= {"kind": "server", "user": "ada", "job": "", "server": "second", "profile": "gpu"}.items()
    )
    assert held["GPU-1"].items() >= {"kind": "job", "user": "bob", "job": job, "server": ""}.items()
    assert found["himalia_gpus_free"] == [({}, 0)]


async def test_the_queue_its_waits_and_rounds_are_told(metrics: AtWork):
    await busy(metrics)

    found = await scraped(metrics)

    assert found["himalia_queue_waiting"] == [({"kind": "job", "reason": "waits_for_gpus"}, 1)]
    assert {labels["kind"] for labels, _ in found["himalia_queue_longest_wait_seconds"]} == {"job", "server"}
    assert {labels["kind"]: value for labels, value in found["himalia_wait_seconds_count"]} == {
        "job": 1,
        "server": 1,
    }
    assert found["himalia_round_seconds_count"] == [({}, 3)]
    assert ({"kind": "server", "state": "reserved"}, 1) in found["himalia_leases"]
    assert ({"state": "queued"}, 1) in found["himalia_jobs"]
    assert found["himalia_service_ok"] == [({}, 1)]


async def test_what_is_wrong_is_told(metrics: AtWork):
    await metrics.service.reconciler.keeper.quarantine("GPU-0", 'Quotes " and \\ and\nlines.', "root")

    found = await scraped(metrics)

    assert (found["himalia_service_ok"], found["himalia_complaints"]) == ([({}, 0)], [({}, 1)])
    assert [labels["health"] for labels, value in found["himalia_gpu_health"] if value] == ["quarantined", "ok"]


async def test_only_who_may_read_metrics_reads_them(metrics: AtWork):
    for who in ("ada", "root", "spawner"):
        answer = await metrics.http.get("/services/jobs/metrics", headers={"Authorization": f"Bearer {who}-token"})
        assert answer.status_code == 403
    assert (await metrics.http.get("/services/jobs/metrics")).status_code == 401
    assert (await metrics.ask("GET", "gpus", "metrics")).status_code == 403


async def test_each_query_of_the_dashboard_asks_for_numbers_and_labels_that_there_are(metrics: AtWork):
    await busy(metrics)
    found = await scraped(metrics)
    labels = {label for samples in found.values() for given, _ in samples for label in given}
    queries = [target for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]

    assert len(queries) >= 20
    for query in queries:
        expression = query["expr"]
        asked = set(NAME.findall(expression))
        assert asked <= set(found), expression
        others = set(re.findall(r"\b[a-z_]+\b", NAME.sub("", re.sub(r"\[\w+\]", "", expression)))) - WORDS
        assert others <= labels, expression
        assert set(re.findall(r"\{\{(\w+)\}\}", query["legendFormat"])) <= labels, query


async def test_every_number_is_in_the_guide(metrics: AtWork):
    await busy(metrics)
    guide = (ROOT / "docs" / "howto" / "monitoring.md").read_text()

    for name in await scraped(metrics):
        family = re.sub(r"_(bucket|sum|count|created|total)$", "", name)
        assert name.startswith("process_") or f"`{family}`" in guide, name
