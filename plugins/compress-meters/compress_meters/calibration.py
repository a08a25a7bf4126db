"""Whether a model is right as often as its confidence says."""

from __future__ import annotations

import numpy as np

from compress.measurement import Conditions, Measurement, absent
from compress_meters.decisions import Kept, opened
from compress_meters.slices import Table

BINS = 15
NAME = "calibration_error"


def calibration(kept: Kept | None, stated: Conditions) -> Measurement:
    """``calibration_error`` of kept decisions, with a table by confidence. Absent if there
    are no decisions, or none has a confidence."""
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
    """(expected calibration error, table of its bins) of ``confidence`` float64 [n] and
    ``right`` bool [n], for n of at least 1 and no nan.

    Decisions are sorted into bins by confidence. In each bin the mean confidence is
    compared with the share of right answers; the error is the mean of these distances,
    weighed by the decisions in the bin (Guo et al. 2017, arXiv:1706.04599, section 3).

    Bins hold equally many decisions (Nixon et al. 2019, arXiv:1904.01685, section 3). With
    bins of equal width, nearly all answers of a confident model would be in the last one,
    and its mean would hide the differences within it. Equal confidences are in one bin, so
    there may be fewer bins than ``BINS``."""
    edges = np.quantile(confidence, np.linspace(0.0, 1.0, BINS + 1))  # [BINS + 1], ascending
    # The bin of each decision [n], 0 to BINS - 1. Only inner edges are searched: with the
    # outer ones the smallest confidence would have a bin of its own.
    places = np.searchsorted(edges[1:-1], confidence)
    # Of each bin [BINS]: decisions, the sum of their confidences, and right answers.
    count = np.bincount(places, minlength=BINS)
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
    # count / n * |confident / count - correct / count| is |confident - correct| / n: the
    # counts cancel, and an empty bin divides nothing by 0.
    return float(np.abs(confident - correct).sum() / len(confidence)), table
