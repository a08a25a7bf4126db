"""Whether a model is right as often as it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from compress.measurement import Measurement, absent
from compress_meters.decisions import Kept, opened

BINS = 15
NAME = "calibration_error"

Table = dict[str, dict[str, float]]


def calibration(kept: Kept | None, stated: Mapping[str, Any]) -> Measurement:
    """``calibration_error`` of kept decisions, with the table by confidence; absent where no answer
    has a confidence."""
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
    """(expected calibration error, its bins): the mean distance between confidence [n] and the
    share that is right [n] (Guo et al. 2017, arXiv:1706.04599, section 3), in bins of equal mass
    instead of equal width (Nixon et al. 2019, arXiv:1904.01685, section 3), for confident models
    crowd the last bin. Equal confidences share a bin."""
    edges = np.quantile(confidence, np.linspace(0.0, 1.0, BINS + 1))
    places = np.searchsorted(edges[1:-1], confidence)
    count = np.bincount(places, minlength=BINS)
    said = np.bincount(places, weights=confidence, minlength=BINS)
    true = np.bincount(places, weights=right.astype(np.float64), minlength=BINS)
    # The number keeps apart bins whose edges read alike.
    table = {
        f"{i + 1}: {edges[i]:.4f} to {edges[i + 1]:.4f}": {
            "confidence": float(said[i] / count[i]),
            "right": float(true[i] / count[i]),
            "support": float(count[i]),
        }
        for i in np.flatnonzero(count).tolist()
    }
    return float(np.abs(said - true).sum() / len(confidence)), table
