"""Whether a model is right as often as its confidence says."""

from __future__ import annotations

import numpy as np

from compress.measurement import Measurement, absent
from compress_meters.conditions import Stated
from compress_meters.decisions import Kept, opened

BINS = 15
NAME = "calibration_error"

Table = dict[str, dict[str, float]]


def calibration(kept: Kept | None, stated: Stated) -> Measurement:
    """``calibration_error`` of kept decisions, with a table by confidence. Absent where no
    answer has a confidence."""
    if kept is None:
        return absent(
            NAME, "", "lower", "the task's answers are no decisions, of which one is right or wrong"
        )
    decisions = opened(kept)
    sure = ~np.isnan(decisions.confidence)
    if not sure.any():
        return absent(NAME, "", "lower", "the answers do not hold their probability")
    error, table = expected_error(decisions.confidence[sure], decisions.right[sure])
    return Measurement(
        NAME,
        error,
        "",
        "lower",
        n=int(sure.sum()),
        conditions={**stated, "bins": BINS},
        detail={"tables": {"by confidence": table}},
    )


def expected_error(confidence: np.ndarray, right: np.ndarray) -> tuple[float, Table]:
    """(expected calibration error, its bins) of ``confidence`` float64 [n] and ``right``
    bool [n].

    The mean over decisions of the distance between the mean confidence of their bin and the
    share of it that is right (Guo et al. 2017, arXiv:1706.04599, section 3). Bins have
    equal mass instead of equal width (Nixon et al. 2019, arXiv:1904.01685, section 3):
    nearly all answers of a confident model would fall into the last bin of equal width, and
    one bin's mean hides what lies within it. Equal confidences share a bin, so there may be
    fewer than ``BINS``."""
    edges = np.quantile(confidence, np.linspace(0.0, 1.0, BINS + 1))
    places = np.searchsorted(edges[1:-1], confidence)
    count = np.bincount(places, minlength=BINS)
    # Sums over each bin [BINS]: of confidences, and of right answers.
    confident = np.bincount(places, weights=confidence, minlength=BINS)
    correct = np.bincount(places, weights=right.astype(np.float64), minlength=BINS)
    table: Table = {}
    for i in np.flatnonzero(count).tolist():
        # The number keeps apart bins whose edges are equal to four digits.
        table[f"{i + 1}: {edges[i]:.4f} to {edges[i + 1]:.4f}"] = {
            "confidence": float(confident[i] / count[i]),
            "right": float(correct[i] / count[i]),
            "support": float(count[i]),
        }
    # |mean confidence - share right| weighed by count / n is |sum - sum| / n.
    return float(np.abs(confident - correct).sum() / len(confidence)), table
