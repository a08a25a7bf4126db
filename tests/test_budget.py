"""Budgets: limits, verdicts on reports made by hand, and what the plan makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from barereports import against, measured, report, step
from reports import as_report, step_named, whole

from compress.errors import UsageError
from compress.planning import Plan, make_plan
from compress.planning.budget import Budget, Limit
from compress.planning.sections.limits import parse_limit
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.results import examples, verdicts
from compress.results.outcomes import BudgetOutcome, Verdict


def judge(
    one: dict[str, Any], limits: Sequence[Limit], values: dict[str, Any], decide: str = "point"
) -> tuple[Verdict, ...]:
    """The verdicts on a step of a report."""
    made = as_report(whole(values))
    return verdicts.judge(step_named(made, one["name"]), limits, made, decide)


def verdict_on_run(budget: Budget, values: dict[str, Any]) -> BudgetOutcome:
    return verdicts.verdict_on_run(budget, as_report(whole(values)))


def budget_missed(values: dict[str, Any]) -> bool:
    return verdicts.budget_missed(as_report(whole(values)))


def comparable(values: dict[str, Any]) -> list[str]:
    return [step.name for step in examples.comparable_steps(as_report(whole(values)))]


def incomparable(values: dict[str, Any]) -> list[str]:
    return examples.incomparable_names(as_report(whole(values)))


@pytest.fixture
def three_steps() -> dict[str, Any]:
    fast = step("teacher@onnxruntime", 0.90, 4.0, 100e6, role="reference-engine")
    student = step(
        "student",
        0.895,
        3.0,
        40e6,
        parent="teacher",
        against_reference=against("teacher", 4.0, 0.4),
        against_fastest=against("teacher@onnxruntime", 1.3, 0.4),
        against_parent=against("teacher", 4.0, 0.4),
    )
    small = step(
        "small",
        0.80,
        1.0,
        10e6,
        parent="student",
        against_reference=against("teacher", 11.0, 0.1),
        against_fastest=against("teacher@onnxruntime", 4.1, 0.1),
        against_parent=against("student", 2.9, 0.25),
    )
    return report(step("teacher", 0.90, 12.0, 100e6, role="reference"), fast, student, small)


@pytest.mark.parametrize(
    ("quantity", "text", "value", "relative", "of"),
    [
        ("quality", ">= 99% of teacher", 0.99, True, "teacher"),
        ("quality", ">= 0.85", 0.85, False, None),
        ("latency", "<= 5 ms", 5.0, False, None),
        ("latency", "<= 2s", 2000.0, False, None),
        ("latency", ">= 4x", 4.0, True, None),
        ("latency", ">= 4x of B0", 4.0, True, "B0"),
        ("size", "<= 20 MB", 20e6, False, None),
        ("memory", ">= 2x", 2.0, True, None),
    ],
)
def test_a_limit_is_read_in_the_measurements_unit(
    quantity: str, text: str, value: float, relative: bool, of: str | None
) -> None:
    limit = parse_limit(quantity, text)
    assert (limit.value, limit.relative, limit.of) == (value, relative, of)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        ("quality", "99%"),
        ("quality", "<= 0.5"),
        ("latency", ">= 5 ms"),
        ("latency", "<= 4x"),
        ("latency", "<= 5 MB"),
        ("size", "<= 20 ms"),
        ("size", 20),
        ("memory", "<= 20"),
        ("latency", "<= 5 ms of teacher"),
    ],
)
def test_a_limit_that_means_nothing_is_refused_with_an_example(quantity: str, text: Any) -> None:
    with pytest.raises(ValueError, match=f"{quantity}: .*write '"):
        parse_limit(quantity, text)


def test_a_limit_of_the_reference_on_itself_needs_a_measurement(
    three_steps: dict[str, Any],
) -> None:
    teacher = three_steps["steps"][0]
    limits = [parse_limit("quality", ">= 99% of teacher"), parse_limit("latency", ">= 1x of B0")]
    measured = [verdict.measured for verdict in judge(teacher, limits, three_steps)]
    assert measured == ["100.0 % of teacher", "1.00x of teacher"]
    teacher["measurements"] = {}
    unmeasured = judge(teacher, limits, three_steps)
    assert [(v.measured, v.met) for v in unmeasured] == [("not measured", None)] * 2


def test_a_score_that_is_better_when_lower_is_limited_from_above() -> None:
    limit = parse_limit("quality", "<= 0.3", higher_is_better=False)
    assert (limit.relation, limit.value, limit.relative) == ("<=", 0.3, False)
    assert parse_limit("quality", ">= 99%", higher_is_better=False).relative
    with pytest.raises(
        ValueError, match="score is better when it is lower: write '>= 99% of teacher' or '<= 0.85'"
    ):
        parse_limit("quality", ">= 0.3", higher_is_better=False)


@pytest.mark.parametrize(
    ("limit", "lower", "words"),
    [
        ("<= 0.3", True, ""),
        (">= 0.3", True, "score is better when it is lower"),
        ("<= 0.3", False, "got '<= 0.3': write"),
    ],
)
def test_a_recipe_s_limit_points_the_way_of_its_task_s_score(
    limit: str,
    lower: bool,
    words: str,
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
    registry: Registry,
    families: Families,
) -> None:
    fake_model()
    entry = registry.tasks["text-classification"]
    task = replace(entry, cls=type("Loss", (entry.cls,), {"higher_is_better": not lower}))
    recipe = read_recipe(
        write_recipe(
            "task: text-classification\nmodel: ./model\nstages: [finetune]\n"
            f"data: {{train: train.csv, test: test.csv}}\nbudget: {{quality: '{limit}'}}\n"
        )
    )
    scored = replace(registry, tasks={**registry.tasks, entry.name: task})
    if words:
        with pytest.raises(UsageError, match=words):
            make_plan(recipe, scored, families)
    else:
        assert make_plan(recipe, scored, families).budget == Budget(
            (parse_limit("quality", limit, higher_is_better=False),)
        )


def test_a_speed_limit_is_against_the_fastest_float_engine_unless_it_says_otherwise(
    three_steps: dict[str, Any],
) -> None:
    student = three_steps["steps"][2]
    bare, of_b0 = judge(
        student,
        [parse_limit("latency", ">= 4x"), parse_limit("latency", ">= 4x of B0")],
        three_steps,
    )
    assert not bare.met and "1.30x of teacher@onnxruntime" in bare.measured
    assert of_b0.met and "4.00x of teacher [3.92x, 4.08x]" in of_b0.measured


def test_a_limit_that_names_another_step_is_held_against_what_was_measured_in_turns(
    three_steps: dict[str, Any],
) -> None:
    small, limit = three_steps["steps"][3], parse_limit("latency", ">= 2x of first")
    assert judge(small, [limit], three_steps)[0].met is None
    small["against_named"] = [against("first", 2.5, 0.5)]
    assert judge(small, [limit], three_steps)[0].measured == "2.50x of first [2.45x, 2.55x]"


def test_the_best_is_the_fastest_that_keeps_the_quality(three_steps: dict[str, Any]) -> None:
    outcome = verdict_on_run(Budget((parse_limit("quality", ">= 99% of teacher"),)), three_steps)
    assert outcome.met and outcome.best == "student" and outcome.nearest is None


def test_the_fastest_is_so_beside_the_reference_whatever_the_machine_did_meanwhile(
    three_steps: dict[str, Any],
) -> None:
    """``later`` was timed when all was slower: more milliseconds, and yet faster than
    ``student``."""
    three_steps["steps"].append(
        step("later", 0.895, 3.6, 40e6, against_reference=against("teacher", 4.6, 0.4))
    )
    budget = Budget((parse_limit("quality", ">= 99% of teacher"),))
    assert verdict_on_run(budget, three_steps).best == "later"
    three_steps["steps"][-1]["against_reference"] = None
    assert verdict_on_run(budget, three_steps).best == "student", (
        "two moments are all that is known"
    )


def test_a_step_that_missed_is_nearer_than_one_that_was_not_measured(
    three_steps: dict[str, Any],
) -> None:
    budget = Budget((parse_limit("latency", "<= 0.1 ms"),))
    for one in three_steps["steps"][:-1]:
        one["measurements"]["latency_p50"] = {**measured(0.0, "ms"), "value": None}
    outcome = verdict_on_run(budget, three_steps)
    assert outcome.nearest == "small" and outcome.verdicts["small"][0].shortfall > 1


def test_memory_of_other_examples_is_no_share_and_a_size_is(three_steps: dict[str, Any]) -> None:
    small = three_steps["steps"][3]
    small["test"], small["against_reference"] = "shorter examples", None
    memory, size = (
        judge(small, [parse_limit(what, ">= 2x")], three_steps)[0] for what in ("memory", "size")
    )
    assert (memory.met, memory.measured) == (None, "not measured")
    assert size.met is True


def test_a_speed_without_a_float_engine_to_compare_with_says_how_to_ask(
    three_steps: dict[str, Any],
) -> None:
    three_steps["fastest_float_engine"] = None
    (verdict,) = judge(three_steps["steps"][3], [parse_limit("latency", ">= 2x")], three_steps)
    assert verdict.met is None and "write 'of B0'" in verdict.measured


def test_the_best_is_the_one_of_highest_quality_where_only_size_is_limited(
    three_steps: dict[str, Any],
) -> None:
    assert verdict_on_run(Budget((parse_limit("size", "<= 50 MB"),)), three_steps).best == "student"


def test_a_teacher_from_outside_meets_no_budget_and_the_recipes_model_does(
    three_steps: dict[str, Any],
) -> None:
    budget = Budget((parse_limit("quality", ">= 0.95"),))
    three_steps["steps"].append(step("./teacher", 0.97, 30.0, 400e6, role="input"))
    assert not verdict_on_run(budget, three_steps).met
    three_steps["steps"].append(step("model", 0.96, 30.0, 400e6, role="input"))
    assert verdict_on_run(budget, three_steps).best == "model"


def test_where_none_meets_the_budget_the_nearest_is_named_and_the_run_counts_as_missed(
    three_steps: dict[str, Any],
) -> None:
    budget = Budget((parse_limit("quality", ">= 99% of teacher"), parse_limit("size", "<= 20 MB")))
    outcome = verdict_on_run(budget, three_steps)
    assert not outcome.met and outcome.best is None and outcome.nearest == "small"
    assert budget_missed({**three_steps, "budget": outcome.model_dump(mode="json")})
    assert not budget_missed(
        {**three_steps, "budget": {**outcome.model_dump(mode="json"), "on_miss": "warn"}}
    )


def test_what_was_not_measured_meets_nothing(three_steps: dict[str, Any]) -> None:
    three_steps["steps"][2]["measurements"]["quality"]["value"] = None
    limit: Limit = parse_limit("quality", ">= 1% of teacher")
    verdict = judge(three_steps["steps"][2], [limit], three_steps)[0]
    assert verdict.met is None and verdict.measured == "not measured"


def test_scores_of_other_examples_are_no_share_of_each_other_and_no_part_of_the_recipes_budget(
    three_steps: dict[str, Any],
) -> None:
    other = step("other", 0.99, 0.5, 1e6, test="others", parent="teacher")
    three_steps["steps"].append(other)
    limits = [
        parse_limit("quality", ">= 50% of teacher"),
        parse_limit("latency", ">= 2x of student"),
        parse_limit("quality", ">= 0.9"),
        parse_limit("size", ">= 2x"),
    ]
    kept, faster, absolute, size = judge(other, limits, three_steps)
    assert [v.met for v in (kept, faster)] == [None, None] and kept.measured == "not measured"
    assert absolute.met and size.met, "its own score, and bytes, depend on no other's examples"
    for text in (">= 0.7", ">= 99% of teacher"):
        outcome = verdict_on_run(Budget((parse_limit("quality", text),)), three_steps)
        assert outcome.best != "other" and "other" not in outcome.verdicts
    assert comparable(three_steps) == [
        "teacher",
        "teacher@onnxruntime",
        "student",
        "small",
    ]
    assert incomparable(three_steps) == ["other"]


def test_until_the_reference_has_answered_the_first_step_that_has_says_which_examples_count(
    three_steps: dict[str, Any],
) -> None:
    del three_steps["steps"][0]
    three_steps["steps"][0]["test"] = None
    three_steps["steps"].append(step("other", 0.99, 0.5, 1e6, test="others"))
    assert comparable(three_steps) == ["student", "small"] and incomparable(three_steps) == [
        "other"
    ]


# what decides


def with_intervals(report: dict[str, Any]) -> dict[str, Any]:
    """The student's numbers with ends: each meets its limit by its value alone."""
    student = report["steps"][2]
    student["measurements"]["quality"].update(low=0.88, high=0.91, worst=0.883)
    student["measurements"]["latency_p50"].update(low=2.9, high=3.2, worst=3.1)
    student["against_reference"]["comparisons"] = {
        "speedup_p50": {"value": 4.0, "low": 3.8, "high": 4.3, "worst": 3.85},
        "quality_kept": {"value": 0.992, "low": 0.97, "high": 1.01, "worst": 0.975},
    }
    return report


@pytest.mark.parametrize(
    ("quantity", "text", "shown"),
    [
        ("quality", ">= 99% of teacher", "99.2 % of teacher [97.0 %, 101.0 %]|, worst 97.5 %"),
        ("quality", ">= 0.89", "0.895 [0.880, 0.910]|, worst 0.883"),
        ("latency", ">= 4x of B0", "4.00x of teacher [3.80x, 4.30x]|, worst 3.85x"),
        ("latency", "<= 3 ms", "3.00 ms [2.90 ms, 3.20 ms]|, worst 3.10 ms"),
    ],
)
def test_the_point_decides_unless_the_worst_shall_and_the_interval_is_shown_either_way(
    three_steps: dict[str, Any], quantity: str, text: str, shown: str
) -> None:
    report, limits = with_intervals(three_steps), [parse_limit(quantity, text)]
    by_point = judge(report["steps"][2], limits, report)[0]
    by_worst = judge(report["steps"][2], limits, report, "worst")[0]
    assert (
        by_point.met is True
        and by_point.shortfall == 0
        and by_point.measured == shown.split("|")[0]
    )
    assert (
        by_worst.met is False
        and by_worst.shortfall > 0
        and by_worst.measured == shown.replace("|", "")
    )


def test_a_worst_end_on_the_good_side_of_the_limit_meets_it(three_steps: dict[str, Any]) -> None:
    report = with_intervals(three_steps)
    limits = [parse_limit("quality", ">= 97% of teacher"), parse_limit("latency", "<= 4 ms")]
    assert all(v.met for v in judge(report["steps"][2], limits, report, "worst"))


def test_what_has_no_uncertainty_is_its_own_worst_and_what_was_not_compared_has_none(
    three_steps: dict[str, Any],
) -> None:
    student = three_steps["steps"][2]
    size, factor = judge(
        student,
        [parse_limit("size", "<= 40 MB"), parse_limit("size", ">= 2x")],
        three_steps,
        "worst",
    )
    assert size.met and factor.met and "worst" not in size.measured + factor.measured
    for limit in (
        parse_limit("quality", ">= 50% of teacher"),
        parse_limit("latency", ">= 1x of B0"),
    ):
        assert judge(student, [limit], three_steps)[0].met
        unknown = judge(student, [limit], three_steps, "worst")[0]
        assert (
            unknown.met is None
            and unknown.shortfall == 1
            and "worst not measured" in unknown.measured
        )


def test_quality_kept_is_the_paired_comparison_before_the_quotient_of_two_scores(
    three_steps: dict[str, Any],
) -> None:
    limit = parse_limit("quality", ">= 99.3% of teacher")
    assert judge(three_steps["steps"][2], [limit], three_steps)[0].met, "0.895 / 0.90"
    assert not judge(with_intervals(three_steps)["steps"][2], [limit], three_steps)[0].met, "0.992"


def test_the_reference_keeps_all_of_its_own_quality_in_the_worst_case_too(
    three_steps: dict[str, Any],
) -> None:
    teacher = three_steps["steps"][0]
    limit = parse_limit("quality", ">= 100% of teacher")
    assert judge(teacher, [limit], three_steps, "worst")[0].met


def test_the_best_of_a_careful_budget_is_judged_by_the_worst(three_steps: dict[str, Any]) -> None:
    report, limit = with_intervals(three_steps), parse_limit("quality", ">= 99% of teacher")
    assert verdict_on_run(Budget((limit,)), report).best == "student"
    careful = verdict_on_run(Budget((limit,), decide="worst"), report)
    assert (careful.best, careful.decide) == ("teacher", "worst")


def test_a_missed_limit_that_a_step_has_from_the_recipe_is_the_recipes_matter(
    three_steps: dict[str, Any],
) -> None:
    missed = {"met": False, "on_miss": "back_off", "of_recipe": True}
    assert not budget_missed({**three_steps, "step_budgets": {"student": missed}})
    assert budget_missed(
        {**three_steps, "step_budgets": {"student": {**missed, "of_recipe": False}}}
    )


# what the plan refuses

HEAD = """\
task: text-classification
model: owner/encoder
data: {train: train.csv, test: test.csv}
stages:
  - finetune
"""
PRUNE = "  - prune.structured: {feed_forward: 0.5}\n    name: slim\n"


@pytest.fixture
def planned(
    csv_data: Path, write_recipe: Callable[..., Path], registry: Registry, families: Families
) -> Callable[[str], Plan]:
    """``planned(text)`` is the plan of a recipe with this text."""
    return lambda text: make_plan(read_recipe(write_recipe(HEAD + text)), registry, families)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "  - finetune: {}\n    name: anew\n    budget: {quality: '>= 99%', on_miss: "
            "back_off}\n",
            r"8:\d+: on_miss: 'finetune' has no rule to back off by "
            r"\(stages that can: .*prune.structured",
        ),
        (
            "  - distill: {student: {layers: [1]}}\n    budget: {quality: '>= 99%', on_miss: "
            "back_off}\n",
            "with these options 'distill' has nothing less to take",
        ),
        (
            "  - quantize.onnx: {per_channel: true}\n    budget: {quality: '>= 99%', on_miss: "
            "back_off}\n",
            "with these options 'quantize.onnx' has nothing less to take",
        ),
        (
            PRUNE + "    budget: {size: '>= 2x', on_miss: back_off}\n",
            "a step backs off for quality, which the budget does not",
        ),
        (PRUNE + "    budget: {quality: '>= 99% of slim'}\n", "there is no step 'slim'"),
        ("budget: {latency: '<= 0 ms'}\n", "limits nothing that could be met or missed"),
        (
            "  - pretrain: {}\n    name: words\n    task: fill-mask\nbudget: {quality: '>= 99% of "
            "words'}\n",
            "quality: 'words' is for fill-mask, and this for text-classification",
        ),
        (
            "  - prune.structured: {layers: [1]}\n    budget: {quality: '>= 99%', on_miss: "
            "back_off}\n",
            "with these options 'prune.structured' has nothing less to take",
        ),
        (
            PRUNE + "    budget: {quality: '>= 99%', tries: 2}\n",
            "tries: a step is tried again only with on_miss: back_off",
        ),
        (
            PRUNE + "    budget: {quality: '>= 99%', on_miss: back_off, tries: 11}\n",
            "a whole number from 1 to 10, got 11",
        ),
        (
            PRUNE + "    budget: {quality: '>= 99%', on_miss: back_off, tries: true}\n",
            "a whole number from 1 to 10, got True",
        ),
        (
            PRUNE + "    budget: {quality: '>= 99%', decide: best}\n",
            "decide: got 'best' .one of point, worst",
        ),
        (PRUNE + "    budget: {on_miss: warn}\n", "the budget limits nothing"),
        (
            PRUNE + "budget: {size: '>= 2x', on_miss: back_off}\n",
            "a recipe backs off for quality, which the budget does",
        ),
        (
            "budget: {quality: '>= 99%', on_miss: back_off}\n",
            "no step without a budget of its own can back off",
        ),
        (PRUNE + "budget: {quality: '>= 99%', dicide: worst}\n", "did you mean 'decide'"),
    ],
)
def test_a_budget_that_cannot_be_held_to_is_refused_in_the_plan(
    text: str, message: str, planned: Callable[[str], Plan]
) -> None:
    with pytest.raises(UsageError, match=message):
        planned(text)


def test_a_recipe_that_backs_off_gives_its_quality_to_the_steps_that_can(
    planned: Callable[[str], Plan],
) -> None:
    text = (
        PRUNE + PRUNE.replace("slim", "own") + "    budget: {size: '>= 2x'}\n  - quantize.onnx\n"
        "budget: {quality: '>= 99%', size: '>= 2x', on_miss: back_off, tries: 2, decide: worst}\n"
    )
    tune, slim, own, quantized = planned(text).steps
    assert tune.budget is None
    assert own.budget and own.budget.on_miss == "keep_best" and not own.budget.of_recipe
    of_recipe = Budget((parse_limit("quality", ">= 99%"),), "back_off", "worst", 2, of_recipe=True)
    assert slim.budget == quantized.budget == of_recipe
