"""A goal is missed only when the median and the best of the rounds miss; others on the machine cannot make it so."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from measuring.judging import HEAD, Bound, judge, leave, row_of, row_of_absent, table
from measuring.turns import cpu_of, in_turn, percentile

ROOT = Path(__file__).parents[3]
AT_MOST, AT_LEAST = Bound(limit=1.25), Bound(limit=0.85, at_least=True)


def test_a_goal_holds_when_the_median_of_the_rounds_does():
    judged = judge("G1", "start", "s", [1.0, 1.2, 9.0], [1.0, 1.0, 1.0], bound=AT_MOST)

    assert judged.passed
    assert judged.ratio is not None
    assert judged.ratio.median == pytest.approx(1.2)


def test_a_goal_holds_when_the_best_of_both_sides_does():
    assert judge("G1", "start", "s", [1.0, 5.0, 9.0], [1.0, 1.0, 1.0], bound=AT_MOST).passed


def test_a_goal_is_missed_when_median_and_best_miss():
    assert not judge("G1", "start", "s", [1.3, 1.4, 1.5], [1.0, 1.0, 1.0], bound=AT_MOST).passed


def test_of_what_should_be_much_the_most_is_the_best():
    assert judge("G3", "rate", "1/s", [1.0, 1.0, 3.0], [3.0, 3.0, 3.0], bound=AT_LEAST).passed
    assert not judge("G3", "rate", "1/s", [1.0, 2.0, 2.0], [3.0, 3.0, 3.0], bound=AT_LEAST).passed


def test_without_another_side_the_figure_itself_is_judged():
    judged = judge("G17", "ready", "s", [2.0], bound=Bound(limit=3))

    assert judged.passed
    assert (judged.ratio, judged.other) == (None, None)


def test_a_figure_of_zero_holds_a_bound_of_zero():
    assert judge("G11", "wrong bytes", "", [0.0, 0.0], bound=Bound(limit=0)).passed
    assert not judge("G11", "wrong bytes", "", [1.0, 1.0], bound=Bound(limit=0)).passed


def test_a_goal_reads_the_same_after_it_was_written_as_json():
    judged = judge(
        "G2", "start", "s", [1.0, 2.0], [1.0, 1.0], bound=AT_MOST, stretch=True, cpu_seconds={"himalia": 0.5}
    )

    again = row_of(json.loads(json.dumps(judged.to_json())))

    assert again == judged.row()
    assert len(again) == len(HEAD)
    assert table([HEAD, again]).count("\n") == 1


def test_a_stretch_that_is_not_reached_is_no_miss():
    judged = judge("G2", "start", "s", [2.0, 2.0], [1.0, 1.0], bound=AT_MOST, stretch=True)

    assert not judged.passed
    assert "MISS" not in judged.row()


def test_sides_take_turns_after_a_round_that_nobody_counts():
    order = []

    taken = in_turn(2, {"a": lambda: order.append("a"), "b": lambda: order.append("b")})

    assert order == ["a", "b"] * 3
    assert len(taken["a"].samples) == len(taken["b"].cpu_seconds) == 2
    assert set(cpu_of(taken)) == {"a", "b"}


def test_a_percentile_is_one_of_the_values():
    assert percentile([float(number) for number in range(100)], 95) == 95
    assert percentile([3.0], 95) == 3


def test_every_benchmark_is_run_and_every_goal_in_it_is_named():
    import run

    files = {file.stem: file.read_text() for file in (ROOT / "benchmarks").glob("*.py")}
    told = (ROOT / "benchmarks" / "README.md").read_text()

    assert set(run.BENCHMARKS) == set(files) - {"run", "peers"}
    for name, judged in run.BENCHMARKS.items():
        said = {node.value for node in ast.walk(ast.parse(files[name])) if isinstance(node, ast.Constant)}
        assert [goal for goal in judged if goal not in said] == [], name
        assert f"`{name}.py`" in told
        assert ("sized=True" in files[name]) is (name in run.SIZED), name


def test_a_goal_that_nobody_judges_is_refused():
    import run

    refused = CliRunner().invoke(run.main, ["G99"])

    assert refused.exit_code == 2
    assert "G99" in refused.output


def test_a_run_of_all_faults_leaves_its_goal_for_the_table(tmp_path):
    import figures_told
    import run

    fault = SimpleNamespace(when="call", keywords={"fault": 1})
    figures_told.tell_goals(tmp_path, {"passed": [fault] * 200, "failed": [fault]}, campaign=False)

    (told,) = run.told(tmp_path)
    assert (told["goal"], told["ours"]["median"], told["passed"]) == ("G21", 1.0, False)
    assert len(row_of(told)) == len(HEAD)


CAMPAIGN = ("test_service_campaign.py::one", "test_power_cuts.py::two", "test_recovery_steps.py::three")


def reports(*names):
    return [SimpleNamespace(when="call", keywords={"fault": 1}, nodeid=name) for name in names]


@pytest.mark.parametrize(("failed", "passes"), [((), True), (CAMPAIGN[:1], False)])
def test_a_whole_campaign_leaves_its_goal_however_it_ended(tmp_path, failed, passes):
    import figures_told
    import run

    stats = {"passed": reports(*(name for name in CAMPAIGN if name not in failed)), "failed": reports(*failed)}
    figures_told.tell_goals(tmp_path, stats, campaign=True)

    (told,) = run.told(tmp_path)
    assert (told["goal"], told["passed"]) == ("G16", passes)
    assert "G16" not in {one["goal"] for one in run.not_told(tmp_path)}


def test_a_part_of_a_campaign_leaves_no_goal(tmp_path):
    import figures_told

    figures_told.tell_goals(tmp_path, {"passed": reports(*CAMPAIGN[1:])}, campaign=True)

    assert list(tmp_path.iterdir()) == []


def test_a_goal_that_a_longer_run_judges_is_told_as_not_measured_with_what_to_run(tmp_path):
    import run

    leave(tmp_path, [judge("G23", "script, told", "s", [1.0], [2.0], bound=Bound(limit=1), other_side="Slurm")])

    absent = run.not_told(tmp_path)
    assert {one["goal"] for one in absent} == {"G16", "G21"}
    assert [told["passed"] for told in run.told(tmp_path)] == [True]
    lines = table([HEAD, *(row_of_absent(**one) for one in absent)]).splitlines()
    assert "not measured here: run `make campaign`" in lines[1]


def test_what_only_a_longer_run_judges_can_be_asked_for(tmp_path):
    import run

    told = CliRunner().invoke(run.main, ["G16", "--json", str(tmp_path / "bench.json")])

    assert told.exit_code == 0, told.output
    assert "not measured here: run `make campaign`" in told.output
    written = json.loads((tmp_path / "bench.json").read_text())
    assert (written["goals"], [one["goal"] for one in written["not_measured"]]) == ([], ["G16"])


def test_a_few_tests_of_faults_leave_no_goal(tmp_path):
    import figures_told

    figures_told.tell_goals(tmp_path, {"passed": [SimpleNamespace(when="call", keywords={"fault": 1})]}, campaign=False)

    assert list(tmp_path.iterdir()) == []
