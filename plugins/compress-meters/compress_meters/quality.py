"""``quality``: the whole test split, answered one example at a time in the artifact's own
engine, and scored by the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from compress.measurement import Direction, Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress.task import Prediction
from compress_meters import agreement, batched, bootstrap, company, decisions, paired
from compress_meters.baseline import Scored, baseline
from compress_meters.calibration import NAME as CALIBRATION
from compress_meters.calibration import calibration
from compress_meters.conditions import no_rows
from compress_meters.decisions import written
from compress_meters.slices import Table, by_length


class Quality(Meter):
    """The task's headline as ``quality``, with a 95 % bootstrap interval if the task's
    score can be resampled. Also its other metrics under their names, ``calibration_error``,
    what batches change (``batched``), and what changed against another artifact
    (``paired``).

    The sample holds each example's answer with its row's id, in row order. A comparison has
    no task to ask, so the sample also holds the headline of each resample and the
    decisions."""

    name: ClassVar[str] = "quality"
    summary: ClassVar[str] = "The task's score of the whole test split"
    keeps: ClassVar[bool] = True
    order: ClassVar[int] = 50

    def sample(self, probe: Probe) -> Sample:
        """``predictions``, ``metrics``, ``per_class``, ``by_length``, ``counts`` of each
        example, the headline of each resample (``resampled``), ``decisions``, and what
        batches change (``batched``); the score of the most frequent answer (``baseline``);
        the tokens of answers that are generated (``written``)."""
        if not probe.rows:
            return {"absent": no_rows(probe)}
        task, rows, labels = probe.task, probe.rows, probe.labels
        answered = company.answer(probe)
        answers = answered.answers
        scored = task.score(answers, rows, labels, probe.processor)
        counts = task.resample(answers, rows, labels)
        metrics = {n: float(v) for n, v in scored.metrics.items()}
        resampled = _resampled(probe, counts)
        pairs = list(zip(answers, rows, strict=True))
        return {
            "predictions": [{**answer, "id": row["id"]} for answer, row in pairs],
            "metrics": metrics,
            "per_class": {label: dict(values) for label, values in scored.per_class.items()},
            "signatures": dict(scored.signatures),
            "by_length": _by_length(probe, answers, counts),
            "counts": None if counts is None else counts.tolist(),
            # Nine decimals are kept: an interval is shown with fewer.
            "resampled": None if resampled is None else written(resampled.round(9).tolist()),
            "decisions": decisions.keep(task.decisions(a, r, labels) for a, r in pairs),
            "headline": task.headline,
            "direction": "higher" if task.higher_is_better else "lower",
            "directions": dict(task.directions),
            "seed": probe.seed,
            "conditions": {
                **answered.stated(probe),
                "split": probe.split,
                "metric": task.headline,
            },
            "batched": answered.kept(probe),
            "written": agreement.written(probe, answers),
            "baseline": baseline(probe, Scored(answers, metrics[task.headline], resampled)),
        }

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``quality``, each other metric of the score, ``calibration_error``, and what
        batches change."""
        sample = samples[0]
        if "absent" in sample:
            return [
                absent("quality", "", "neither", sample["absent"], "quality"),
                absent(CALIBRATION, "", "lower", sample["absent"]),
                *batched.absences(sample["absent"]),
            ]
        others = [
            _measurement(sample, n, n, sample["directions"].get(n, "neither"))
            for n in sample["metrics"]
            if n != sample["headline"]
        ]
        return [
            _headline(sample),
            *others,
            calibration(sample["decisions"], sample["conditions"]),
            *batched.batched_changes(sample["batched"]),
        ]

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """``quality_difference``, ``quality_kept`` and ``flips``; of answers that are generated
        also ``equal_tokens`` and ``first_difference``."""
        return paired.compare(samples[0], others[0])


def _headline(sample: Sample) -> Measurement:
    """``quality`` with its intervals, its tables by class and by length, and the score of
    the most frequent answer."""
    direction: Direction = sample["direction"]
    low = high = worst = None
    if sample["resampled"] is not None:
        values, examples = decisions.read(sample["resampled"]), sample["conditions"]["examples"]
        low, high = bootstrap.interval(values, examples)
        worst = bootstrap.worst(values, direction, examples)
        if not bootstrap.varies(values):
            value = float(values[0])
            low, high = _within(low, value, direction), _within(high, value, direction)
            worst = _within(worst, value, direction)
    tables = {"by class": sample["per_class"], "by length in tokens": sample["by_length"]}
    detail: dict[str, Any] = {"tables": {title: t for title, t in tables.items() if t}}
    if sample["baseline"] is not None:
        detail["baseline"] = sample["baseline"]
    return _measurement(
        sample,
        sample["headline"],
        "quality",
        direction,
        low=low,
        high=high,
        worst=worst,
        title=sample["headline"],
        detail=detail,
    )


def _within(end: float, value: float, direction: Direction) -> float:
    """``end``, cut to 0 and 1 if ``value`` may be a share. Only for an end that was
    computed (``bootstrap.unseen``): resampled scores are never outside of their range."""
    return min(1.0, max(0.0, end)) if direction == "higher" and 0 <= value <= 1 else end


def _by_length(probe: Probe, answers: Sequence[Prediction], counts: np.ndarray | None) -> Table:
    task = probe.task

    def score(places: np.ndarray) -> float:
        if counts is not None:
            return float(task.headline_of(counts[places].sum(axis=0)))
        part = task.score(
            [answers[i] for i in places],
            [probe.rows[i] for i in places],
            probe.labels,
            probe.processor,
        )
        return float(part.metrics[task.headline])

    return by_length([probe.length(row) for row in range(len(probe.rows))], score, task.headline)


def _resampled(probe: Probe, counts: np.ndarray | None) -> np.ndarray | None:
    """The headline of each resample [bootstrap.RESAMPLES]; None if the task's score cannot
    be resampled."""
    if counts is None:
        return None
    return bootstrap.resampled(counts, probe.task.headline_of, probe.seed)


def _measurement(
    sample: Sample, metric: str, name: str, direction: Direction, **more: Any
) -> Measurement:
    return Measurement(
        name,
        sample["metrics"][metric],
        "",
        direction,
        n=sample["conditions"]["examples"],
        conditions={**sample["conditions"], **_signature(sample, metric)},
        **more,
    )


def _signature(sample: Sample, metric: str) -> dict[str, str]:
    """How the library of a metric counted, as it states it; empty where it states nothing."""
    signature = sample["signatures"].get(metric)
    return {} if signature is None else {"signature": signature}
