"""``quality``: the whole test split predicted in the artifact's own engine and scored by the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from compress.measurement import Direction, Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress.predict import predict
from compress.task import Prediction
from compress_meters import bootstrap
from compress_meters.conditions import NO_TEST_ROWS, conditions

BATCH = 32


class Quality(Meter):
    """The task's headline as ``quality`` with a 95 % bootstrap interval where the task's score can be resampled, its
    other metrics under their names. The sample holds each example's answer under its row's id, in row order."""

    name: ClassVar[str] = "quality"
    summary: ClassVar[str] = "The task's score of the whole test split"
    keeps: ClassVar[bool] = True
    order: ClassVar[int] = 50

    def sample(self, probe: Probe) -> Sample:
        """``predictions``, ``metrics``, ``per_class``, ``counts`` of each example and ``interval`` of the headline."""
        if not probe.rows:
            return {"absent": NO_TEST_ROWS}
        task = probe.task
        answers = predict(probe.session, task, probe.processor, probe.features, BATCH)
        scored = task.score(answers, probe.rows, probe.labels)
        counts, interval = _resampled(probe, answers)
        return {
            "predictions": [{**answer, "id": row["id"]} for answer, row in zip(answers, probe.rows, strict=True)],
            "metrics": {n: float(v) for n, v in scored.metrics.items()},
            "per_class": {label: dict(values) for label, values in scored.per_class.items()},
            "counts": counts, "interval": interval, "headline": task.headline,
            "direction": "higher" if task.higher_is_better else "lower",
            "conditions": {**conditions(probe, probe.features, BATCH), "split": "test", "metric": task.headline},
        }

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``quality``, and each other metric of the score."""
        sample = samples[0]
        if "absent" in sample:
            return [absent("quality", "", "neither", sample["absent"], "quality")]
        headline, direction = sample["headline"], sample["direction"]
        low, high = sample["interval"] or (None, None)
        quality = _measurement(sample, headline, "quality", direction, low=low, high=high, title=headline,
                               detail={"per_class": sample["per_class"]})
        # Only of the headline does the task say which way it points.
        return [quality, *(_measurement(sample, n, n, "neither") for n in sample["metrics"] if n != headline)]


def _resampled(probe: Probe, answers: list[Prediction]) -> tuple[list[list[float]] | None, list[float] | None]:
    counts = probe.task.resample(answers, probe.rows, probe.labels)
    if counts is None:
        return None, None
    return counts.tolist(), list(bootstrap.of_counts(counts, probe.task.headline_of, probe.seed))


def _measurement(sample: Sample, metric: str, name: str, direction: Direction, **more: Any) -> Measurement:
    return Measurement(name, sample["metrics"][metric], "", direction, n=sample["conditions"]["examples"],
                       conditions=sample["conditions"], **more)
