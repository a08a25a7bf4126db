"""Quality with its intervals, calibration and slices, and an artifact's answers against
another's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compress_meters import Quality, bootstrap, decisions, slices
from compress_meters.calibration import calibration, expected_error
from compress_meters.proportion import effective_count, mcnemar, wilson
from scipy import stats
from sklearn.calibration import calibration_curve

from compress.engine import Placement
from compress.measurement import Measurement
from compress.meter import Probe
from compress.task import Decision, Task
from compress.task import Quality as Score

LABELS = ["zero", "one", "two"]


class Words:
    """A tag for each of an example's words; the headline is the share of words that are right."""

    answer, join, prompts = Task.answer, Task.join, Task.prompts

    headline = "accuracy"
    higher_is_better = True
    directions = {"other": "lower"}

    def length(self, features: Mapping[str, Any]) -> int:
        return len(features["input_ids"])

    def group(self, features: Mapping[str, Any]) -> int:
        return 0

    def collate(
        self, features: Sequence[Mapping[str, Any]], processor: Any
    ) -> dict[str, np.ndarray]:
        return {"places": np.array([f["place"] for f in features])}

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Any]
    ) -> list[dict[str, Any]]:
        return [outputs["answers"][f["place"]] for f in batch]  # type: ignore[misc]

    def score(
        self,
        answers: Sequence[Any],
        rows: Sequence[Any],
        labels: Sequence[str],
        processor: Any,
    ) -> Score:
        right, total = self._counts(answers, rows).sum(axis=0)
        recalls = {
            name: {"recall": self._recall(answers, rows, i), "support": 1.0}
            for i, name in enumerate(labels)
        }
        return Score({"accuracy": right / total, "other": 0.25}, recalls)

    def resample(
        self, answers: Sequence[Any], rows: Sequence[Any], labels: Sequence[str]
    ) -> np.ndarray | None:
        return self._counts(answers, rows)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        return np.asarray(counts[..., 0] / counts[..., 1])

    def most_frequent(
        self, answers: Sequence[Any], rows: Sequence[Any], labels: Sequence[str]
    ) -> list[dict[str, Any]]:
        return [{"tags": [0] * len(r["tags"]), "confidence": [0.5] * len(r["tags"])} for r in rows]

    def decisions(self, answer: Any, row: Any, labels: Sequence[str]) -> list[Decision]:
        return [
            Decision(labels[tag], tag == true, labels[true], share)
            for tag, true, share in zip(
                answer["tags"], row["tags"], answer["confidence"], strict=True
            )
        ]

    def _counts(self, answers: Sequence[Any], rows: Sequence[Any]) -> np.ndarray:
        return np.array(
            [
                [sum(t == r for t, r in zip(a["tags"], row["tags"], strict=True)), len(row["tags"])]
                for a, row in zip(answers, rows, strict=True)
            ],
            dtype=np.float64,
        )

    def _recall(self, answers: Sequence[Any], rows: Sequence[Any], label: int) -> float:
        right = [
            t == label
            for a, row in zip(answers, rows, strict=True)
            for t, r in zip(a["tags"], row["tags"], strict=True)
            if r == label
        ]
        return sum(right) / max(1, len(right))


class Numbers(Words):
    """Answers are no decisions, and no resample can be scored."""

    def resample(self, *arguments: Any) -> None:
        return None

    def decisions(self, *arguments: Any) -> list[Decision]:
        return []


class Mistakes(Words):
    """The headline counts what is wrong."""

    higher_is_better = False

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        return 1.0 - super().headline_of(counts)

    def score(self, *arguments: Any) -> Score:
        return Score({"accuracy": 1.0 - super().score(*arguments).metrics["accuracy"]})


def rows_of(*tags: Sequence[int]) -> list[dict[str, Any]]:
    return [{"id": f"r{i}", "tags": list(some)} for i, some in enumerate(tags)]


def sampled(
    rows: Sequence[Any],
    answers: Sequence[Sequence[int]],
    confidence: float | None = 0.8,
    task: Any = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The kept sample, as it comes back from JSON, of a model that gives these answers."""
    given = [{"tags": list(some), "confidence": [confidence] * len(some)} for some in answers]
    features = [
        {"place": i, "input_ids": [0] * n} for i, n in enumerate(lengths or [5] * len(rows))
    ]
    session = SimpleNamespace(run=lambda batch: {"answers": given})
    probe = Probe(
        artifact=None,  # type: ignore[arg-type]
        rows=rows,
        task=task or Words(),
        processor=None,
        labels=LABELS,
        session=session,  # type: ignore[arg-type]
        engine="torch",
        features=features,
        placement=Placement("cpu", 2),
        host_memory={},
        load_seconds=0.0,
        seed=seed,
        effort="quick",
    )
    kept: dict[str, Any] = json.loads(json.dumps(Quality().sample(probe), allow_nan=False))
    return kept


def compared(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Measurement]:
    return {m.name: m for m in Quality().compare([own], [other])}


def summary(sample: dict[str, Any]) -> dict[str, Measurement]:
    return {m.name: m for m in Quality().summarise([sample])}


def drawn(rows: Sequence[Any], right: float, seed: int) -> list[list[int]]:
    """Answers of which about a share of ``right`` are right."""
    draws = np.random.default_rng(seed)
    return [
        [t if draws.random() < right else int(draws.integers(3)) for t in row["tags"]]
        for row in rows
    ]


def single(count: int = 300) -> list[dict[str, Any]]:
    return rows_of(*([i % 3] for i in range(count)))


def several(count: int = 300) -> list[dict[str, Any]]:
    return rows_of(*([(i + j) % 3 for j in range(1 + i % 7)] for i in range(count)))


# the bootstrap


def test_resamples_agree_with_drawing_the_examples_and_are_the_same_each_time() -> None:
    generator = np.random.default_rng(3)
    counts = np.stack([generator.integers(0, 4, 200), generator.integers(4, 6, 200)], axis=1)
    values = bootstrap.resampled(counts, Words().headline_of, seed=1)
    low, high = bootstrap.interval(values, 200)
    theirs = stats.bootstrap(
        (counts[:, 0], counts[:, 1]),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        method="percentile",
        rng=np.random.default_rng(2),
        n_resamples=5000,
    ).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.005)
    assert (values == bootstrap.resampled(counts, Words().headline_of, seed=1)).all()


def test_the_worst_case_lies_on_the_bad_side_within_the_interval() -> None:
    rows = several()
    for task, bad in ((Words(), "low"), (Mistakes(), "high")):
        quality = summary(sampled(rows, drawn(rows, 0.7, 1), task=task))["quality"]
        assert quality.low < quality.worst < quality.high
        assert abs(quality.worst - getattr(quality, bad)) < 0.3 * (quality.high - quality.low)


def test_where_all_is_right_an_interval_is_what_unseen_examples_could_change() -> None:
    """The bounds are those of a binomial of which nothing was counted."""
    rows = single(20)
    quality = summary(sampled(rows, [r["tags"] for r in rows]))["quality"]
    bounds = [
        stats.binomtest(20, 20, alternative=side).proportion_ci(0.95, "exact").low
        for side in ("two-sided", "greater")
    ]
    assert (quality.value, quality.high) == (1.0, 1.0)
    assert [quality.low, quality.worst] == pytest.approx(bounds)


# slices and metrics


def test_quality_is_shown_by_class_and_by_length() -> None:
    rows = single(6)
    answers = [[0], [1], [0], [0], [0], [0]]
    quality = summary(sampled(rows, answers, lengths=[16, 17, 17, 3, 600, 40]))["quality"]
    assert quality.detail["tables"]["by class"]["one"] == {"recall": 0.5, "support": 1.0}
    assert quality.detail["tables"]["by length in tokens"] == {
        "1-16": {"accuracy": 1.0, "support": 2},
        "17-32": {"accuracy": 0.5, "support": 2},
        "33-64": {"accuracy": 0.0, "support": 1},
        "513 or more": {"accuracy": 0.0, "support": 1},
    }


def test_slices_by_length_are_scored_alike_whether_counts_or_the_task_score_them() -> None:
    rows, lengths = several(), list(np.random.default_rng(0).integers(1, 200, 300))
    one, other = (
        sampled(rows, drawn(rows, 0.6, 2), task=task, lengths=lengths)["by_length"]
        for task in (Words(), Numbers())
    )
    assert one == other and sum(row["support"] for row in one.values()) == 300


def test_other_metrics_point_where_the_task_says() -> None:
    assert summary(sampled(single(), drawn(single(), 0.8, 0)))["other"].direction == "lower"


# the most frequent answer


def test_the_score_of_the_most_frequent_answer_stands_beside_the_models() -> None:
    rows = several()
    quality = summary(sampled(rows, drawn(rows, 0.7, 1)))["quality"]
    tags = [tag for row in rows for tag in row["tags"]]
    beside = quality.baseline
    assert beside is not None and beside.value == pytest.approx(tags.count(0) / len(tags))
    assert beside.difference == pytest.approx(quality.value - beside.value)
    paired = compared(
        sampled(rows, drawn(rows, 0.7, 1)), sampled(rows, [[0] * len(r["tags"]) for r in rows])
    )["quality_difference"]
    assert (beside.low, beside.high) == pytest.approx((paired.low, paired.high), abs=1e-8)
    assert beside.low > 0


def test_a_model_that_gives_one_answer_is_not_above_the_most_frequent() -> None:
    rows = single(60)
    beside = summary(sampled(rows, [[0] for _ in rows]))["quality"].baseline
    assert beside is not None and beside.difference == 0 and beside.low < 0 < beside.high  # type: ignore[operator]


def test_without_resamples_the_difference_has_no_interval() -> None:
    rows = single()
    beside = summary(sampled(rows, drawn(rows, 0.9, 0), task=Numbers()))["quality"].baseline
    assert beside is not None and beside.difference > 0.4 and beside.low is beside.high is None


def test_a_task_without_a_most_frequent_answer_has_no_score_of_it() -> None:
    class Free(Words):
        def most_frequent(self, *arguments: Any) -> None:  # type: ignore[override]
            return None

    rows = single(30)
    quality = summary(sampled(rows, drawn(rows, 0.9, 0), task=Free()))["quality"]
    assert quality.baseline is None and "baseline" not in quality.detail


# calibration


def test_the_calibration_table_is_the_curve_that_scikit_learn_draws() -> None:
    draws = np.random.default_rng(4)
    confidence = draws.beta(5, 2, 1500)
    right = draws.random(1500) < confidence**2
    error, table = expected_error(confidence, right)
    true, said = calibration_curve(right, confidence, n_bins=15, strategy="quantile")
    assert [row["right"] for row in table.values()] == pytest.approx(true)
    assert [row["confidence"] for row in table.values()] == pytest.approx(said)
    assert [row["support"] for row in table.values()] == [100] * 15
    assert error == pytest.approx(np.abs(true - said).mean())
    crowded = expected_error(1.0 - np.arange(30) * 1e-7, np.ones(30, dtype=bool))[1]
    assert (
        sum(row["support"] for row in crowded.values()) == 30
    )  # edges that read alike are rows apart


def test_a_model_that_is_right_as_often_as_it_says_is_calibrated() -> None:
    draws = np.random.default_rng(5)
    confidence = draws.random(200_000)
    assert expected_error(confidence, draws.random(200_000) < confidence)[0] < 0.01
    assert expected_error(np.full(10, 0.75), np.arange(10) < 5)[0] == pytest.approx(0.25)
    assert expected_error(np.ones(10), np.ones(10, dtype=bool))[0] == 0.0


def test_answers_without_their_probability_have_no_calibration_error_and_say_why() -> None:
    without = summary(sampled(single(), drawn(single(), 0.8, 0), confidence=None))[
        "calibration_error"
    ]
    assert without.value is None and "do not hold their probability" in without.absent
    none = summary(sampled(single(), drawn(single(), 0.8, 0), task=Numbers()))["calibration_error"]
    assert none.value is None and "no decisions" in none.absent


def test_decisions_without_confidence_are_left_out_of_the_calibration() -> None:
    kept = decisions.keep([[Decision("a", True, "a", 0.5), Decision("b", False, "a")]])
    measured = calibration(kept, {})
    assert (measured.n, measured.value, measured.direction, measured.title) == (1, 0.5, "lower", "")


# decisions as they are kept


def test_kept_decisions_come_back_as_they_were() -> None:
    some = [
        [Decision("a", True, "a", 0.123456), Decision(None, False, "b")],
        [],
        [Decision(7, False, "a", 1.0)],
        [],
    ]
    back = decisions.opened(json.loads(json.dumps(decisions.keep(some), allow_nan=False)))
    assert (back.per_example.tolist(), back.answers.tolist()) == ([2, 0, 1, 0], ["a", None, 7])
    assert (back.right.tolist(), back.classes.tolist()) == ([True, False, False], ["a", "b", "a"])
    np.testing.assert_array_equal(back.confidence, [0.12346, np.nan, 1.0])
    assert back.of_examples(back.right).tolist() == [1, 0, 0, 0]
    assert decisions.keep([[], []]) is None


# an artifact against another


@pytest.mark.parametrize("rows", [single(), several()], ids=["one decision", "several decisions"])
def test_an_artifact_does_not_differ_from_itself(rows: Sequence[Any]) -> None:
    sample = sampled(rows, drawn(rows, 0.8, 0))
    found = compared(sample, sample)
    difference, kept, flips = found["quality_difference"], found["quality_kept"], found["flips"]
    beyond, worst = (
        stats.binomtest(0, len(rows), alternative=side).proportion_ci(0.95, "exact").high
        for side in ("two-sided", "less")
    )
    assert (difference.value, kept.value, kept.unit) == (0, 1, "share")
    assert (difference.low, difference.high, difference.worst) == pytest.approx(
        (-beyond, beyond, -worst)
    )
    score = summary(sample)["quality"].value
    assert (kept.low, kept.high, kept.worst) == pytest.approx(
        (1 - beyond / score, 1 + beyond / score, 1 - worst / score)
    )
    assert difference.detail["p"] == 1.0
    assert flips.value == flips.low == 0 and 0 < flips.worst < flips.high < 0.02
    assert flips.detail == {"changed": 0, "right_before": 0, "wrong_before": 0, "both_wrong": 0}


def test_flips_are_counted_by_hand() -> None:
    rows = rows_of([0, 0, 0, 0], [1, 1], [2])
    other = sampled(rows, [[0, 0, 1, 1], [1, 0], [2]])
    own = sampled(
        rows, [[0, 1, 0, 2], [1, 0], [0]]
    )  # right to wrong, wrong to right, wrong to wrong; same; right to wrong
    found = compared(own, other)
    flips = found["flips"]
    assert (flips.value, flips.n, flips.unit, flips.direction) == (
        pytest.approx(4 / 7),
        7,
        "share",
        "lower",
    )
    assert flips.detail == {"changed": 4, "right_before": 2, "wrong_before": 1, "both_wrong": 1}
    assert found["quality_difference"].value == pytest.approx(3 / 7 - 4 / 7)
    assert found["quality_kept"].value == pytest.approx(3 / 4)
    assert compared(other, own)["flips"].detail == {
        "changed": 4,
        "right_before": 1,
        "wrong_before": 2,
        "both_wrong": 1,
    }


def test_pairing_makes_the_interval_of_a_difference_narrower_than_those_of_its_sides() -> None:
    rows = several(500)
    before = drawn(rows, 0.7, 1)
    after = [[(t + 1) % 3 if i % 50 == 0 else t for t in some] for i, some in enumerate(before)]
    own, other = sampled(rows, after), sampled(rows, before)
    difference, quality = compared(own, other)["quality_difference"], summary(other)["quality"]
    assert difference.high - difference.low < 0.6 * (quality.high - quality.low)  # 1.4 if unpaired
    assert difference.low <= difference.worst <= difference.value <= difference.high


def test_the_interval_of_a_difference_is_scipys_paired_bootstrap() -> None:
    rows = several(200)
    own, other = sampled(rows, drawn(rows, 0.7, 1)), sampled(rows, drawn(rows, 0.8, 2))
    mine, theirs = (np.array(s["counts"]) for s in (own, other))

    def statistic(one: np.ndarray, two: np.ndarray, total: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray((one.sum(axis=axis) - two.sum(axis=axis)) / total.sum(axis=axis))

    found = stats.bootstrap(
        (mine[:, 0], theirs[:, 0], mine[:, 1]),
        statistic,
        paired=True,
        method="percentile",
        rng=np.random.default_rng(0),
        n_resamples=5000,
    ).confidence_interval
    difference = compared(own, other)["quality_difference"]
    assert (difference.low, difference.high) == pytest.approx((found.low, found.high), abs=0.006)


def test_one_decision_an_example_is_tested_by_mcnemar_as_scipy_does() -> None:
    rows = single(200)
    one, two = drawn(rows, 0.8, 1), drawn(rows, 0.6, 2)
    own, other = ([a == r["tags"] for a, r in zip(some, rows, strict=True)] for some in (one, two))
    only = [
        sum(a and not b for a, b in zip(own, other, strict=True)),
        sum(b and not a for a, b in zip(own, other, strict=True)),
    ]
    detail = compared(sampled(rows, one), sampled(rows, two))["quality_difference"].detail
    assert detail["test"] == "McNemar exact"
    assert detail["p"] == pytest.approx(stats.binomtest(only[0], sum(only), 0.5).pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("one", "other"), [(0, 0), (1, 0), (0, 9), (5, 5), (6, 5), (30, 70), (4000, 4300), (0, 3000)]
)
def test_exact_p_values_are_scipys(one: int, other: int) -> None:
    expected = stats.binomtest(one, one + other, 0.5).pvalue if one + other else 1.0
    assert (
        mcnemar(one, other) == pytest.approx(expected, rel=1e-9, abs=1e-300) == mcnemar(other, one)
    )


def test_several_decisions_an_example_are_resampled_by_example() -> None:
    rows = several()
    same, better = drawn(rows, 0.6, 1), drawn(rows, 0.9, 2)
    worse = compared(sampled(rows, same), sampled(rows, better))["quality_difference"].detail
    assert worse["test"] == "paired bootstrap" and worse["p"] == pytest.approx(2 / 2001)
    equal = compared(sampled(rows, same), sampled(rows, drawn(rows, 0.6, 3)))[
        "quality_difference"
    ].detail
    assert equal["p"] > 0.05


@pytest.mark.parametrize("count", [1, 3, 6])
def test_few_examples_prove_no_more_than_the_test_of_signs(count: int) -> None:
    """All resamples of a few examples that were all answered better lie on one side of 0."""
    rows = rows_of(*([0, 1, 2] for _ in range(count)))
    found = compared(sampled(rows, [[0, 1, 2]] * count), sampled(rows, [[0, 1, 0]] * count))[
        "quality_difference"
    ]
    assert found.detail == {**found.detail, "test": "paired bootstrap", "p": 2 * 0.5**count}
    assert found.low < 0 < found.high, (
        "nor does the interval, where no resample differs from another"
    )


def test_only_an_end_that_no_resample_has_is_kept_within_a_share() -> None:
    """A correlation near 0 has ends below it."""
    sample = sampled(single(60), drawn(single(60), 0.8, 1))
    values = np.linspace(-0.1, 0.2, 2000)
    found = summary(
        {
            **sample,
            "metrics": {**sample["metrics"], sample["headline"]: 0.05},
            "resampled": decisions.written(values.tolist()),
        }
    )["quality"]
    assert found.low < -0.09 and found.worst < -0.08


def test_a_score_that_is_no_share_of_right_decisions_is_resampled_though_they_are_single() -> None:
    rows = single(60)
    own, other = sampled(rows, drawn(rows, 0.8, 1)), sampled(rows, drawn(rows, 0.6, 2))
    for sample in (own, other):
        sample["metrics"] = {name: value / 2 for name, value in sample["metrics"].items()}
    assert compared(own, other)["quality_difference"].detail["test"] == "paired bootstrap"


def test_p_values_of_sides_that_are_equally_good_are_rarely_small() -> None:
    rows = several(80)
    values = [
        compared(
            sampled(rows, drawn(rows, 0.6, 2 * i)), sampled(rows, drawn(rows, 0.6, 2 * i + 1))
        )["quality_difference"].detail["p"]
        for i in range(40)
    ]
    assert sum(p < 0.05 for p in values) <= 6  # 2 expected; 7 or more has a chance of 0.3 %


def test_the_change_by_class_is_own_minus_other() -> None:
    rows = single(6)
    own, other = sampled(rows, [[0], [1], [0]] * 2), sampled(rows, [[0], [0], [2], [1], [1], [2]])
    table = compared(own, other)["quality_difference"].detail["tables"]["change by class"]
    assert {name: row["recall"] for name, row in table.items()} == {
        "zero": 0.5,
        "one": 0.5,
        "two": -1.0,
    }
    assert slices.change({"a": {"f1": 1.0}}, {"b": {"f1": 1.0}}) == {}


def test_artifacts_that_answered_other_examples_are_not_compared() -> None:
    rows = single()
    own = sampled(rows, drawn(rows, 0.8, 0))
    renamed = [{**row, "id": f"x{i}"} for i, row in enumerate(rows)]
    retagged = rows_of(*([(i + 1) % 3] for i in range(300)))
    longer = rows_of(*([i % 3, 0] for i in range(300)))
    for other_rows, why in (
        (renamed, "other test examples"),
        (rows[:-1], "other test examples"),
        (longer, "other decisions"),
        (retagged, "other decisions"),
    ):
        found = compared(own, sampled(other_rows, drawn(other_rows, 0.8, 0)))
        assert list(found) == ["quality_difference", "quality_kept", "flips"]
        assert {m.value for m in found.values()} == {None} and all(
            why in m.absent for m in found.values()
        )
    assert (
        "other seeds" in compared(own, sampled(rows, drawn(rows, 0.8, 0), seed=1))["flips"].absent
    )


def test_numbers_have_a_difference_but_no_flips_and_no_interval() -> None:
    rows = single()
    own, other = (sampled(rows, drawn(rows, right, 0), task=Numbers()) for right in (0.5, 0.9))
    found = compared(own, other)
    difference, flips = found["quality_difference"], found["flips"]
    assert difference.value < 0 and difference.low is None and "p" not in difference.detail
    assert flips.value is None and "no decisions" in flips.absent


def test_quality_of_which_less_is_better_has_its_bad_side_above() -> None:
    rows = several()
    own, other = (sampled(rows, drawn(rows, right, 0), task=Mistakes()) for right in (0.6, 0.7))
    found = compared(own, other)
    difference, kept = found["quality_difference"], found["quality_kept"]
    assert difference.direction == "lower" and difference.value < difference.worst < difference.high
    assert kept.direction == "higher" and kept.low < kept.worst < kept.value < 1, (
        "more mistakes keep less of the quality"
    )


def test_nothing_is_a_share_of_a_quality_of_zero() -> None:
    rows = single(30)
    wrong = sampled(rows, [[(r["tags"][0] + 1) % 3] for r in rows])
    kept = compared(sampled(rows, drawn(rows, 0.9, 0)), wrong)["quality_kept"]
    assert kept.value is None and kept.absent == "the other's accuracy is not above 0"
    almost = sampled(
        rows, [r["tags"] if i == 0 else [(r["tags"][0] + 1) % 3] for i, r in enumerate(rows)]
    )
    kept = compared(sampled(rows, drawn(rows, 0.9, 0)), almost)["quality_kept"]
    assert (
        kept.value > 20 and kept.low is kept.worst is None
    )  # a third of the resamples hold no right answer


# shares


@pytest.mark.parametrize(("hits", "n"), [(0, 40), (3, 40), (40, 40), (700, 46_000)])
def test_the_interval_of_a_share_is_scipys_wilson(hits: int, n: int) -> None:
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_decisions_that_repeat_within_an_example_count_once() -> None:
    hits = (np.arange(200) % 5 == 0).astype(float)
    assert effective_count(hits, np.ones(200)) == pytest.approx(200)
    assert effective_count(9 * hits, np.full(200, 9)) == pytest.approx(200)
    assert effective_count(np.zeros(200), np.full(200, 9)) == 200
    independent = np.random.default_rng(0).binomial(9, 0.2, 2000)
    assert effective_count(independent, np.full(2000, 9)) == pytest.approx(18_000, rel=0.1)


# cost


def test_a_test_split_of_3453_sentences_is_compared_in_well_under_two_seconds_and_kept_small() -> (
    None
):
    rows = rows_of(*([(i * j) % 3 for j in range(13)] for i in range(3453)))
    own = sampled(rows, drawn(rows, 0.9, 0))
    other = sampled(rows, drawn(rows, 0.9, 1))
    start = time.perf_counter()
    bootstrap.resampled(np.array(own["counts"]), Words().headline_of, 0)
    summary(own), compared(own, other)
    assert time.perf_counter() - start < 2.0  # 0.3 measured
    assert len(json.dumps(own["decisions"])) + len(own["resampled"]) < 15 * 3453 * 13


def test_answers_are_compared_without_torch_scipy_or_the_task() -> None:
    rows = several(20)
    samples = [sampled(rows, drawn(rows, 0.8, i)) for i in range(2)]
    code = (
        "import json, sys\nfor name in ('torch', 'transformers', 'scipy', 'sklearn'):\n    "
        "sys.modules[name] = None\n"
        "from compress_meters import Quality\nown, other = json.load(sys.stdin)\n"
        "assert Quality().summarise([own]) and Quality().compare([own], [other])[0].value is not "
        "None"
    )
    subprocess.run([sys.executable, "-c", code], input=json.dumps(samples), text=True, check=True)
