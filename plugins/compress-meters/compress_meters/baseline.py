"""The score of the most frequent answer, beside which a model's own score is read.

An accuracy of 0.9 is poor where nine of ten texts have the same label. A model that always gives
the answer that is most often right knows nothing of the texts. So a model whose score is not above
that model's has learnt nothing that its score shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compress.meter import Probe
from compress.task import Prediction
from compress_meters import bootstrap


@dataclass(frozen=True)
class Scored:
    """A model's answers, their headline, and the headline of each resample [resamples]; None where
    the score cannot be resampled."""

    answers: Sequence[Prediction]
    headline: float
    resampled: np.ndarray | None


def baseline(probe: Probe, scored: Scored) -> Mapping[str, float] | None:
    """``value``, the headline of the most frequent answer; ``difference``, the model's less this
    one; ``low`` and ``high``, the 95 % interval of the difference, from pairs, where the score can
    be resampled. None if the task has no most frequent answer."""
    task, rows, labels = probe.task, probe.rows, probe.labels
    constant = task.most_frequent(scored.answers, rows, labels)
    if constant is None:
        return None
    if scored.resampled is None:
        value = float(task.score(constant, rows, labels, probe.processor).metrics[task.headline])
        return {"value": value, "difference": scored.headline - value}
    counts = task.resample(constant, rows, labels)
    assert counts is not None  # as those of the model's answers
    value = float(task.headline_of(counts.sum(axis=0)))
    differences = scored.resampled - bootstrap.resampled(counts, task.headline_of, probe.seed)
    low, high = bootstrap.interval(differences, len(rows))
    return {"value": value, "difference": scored.headline - value, "low": low, "high": high}
