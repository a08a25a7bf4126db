"""Compare the answers of two artifacts to the same examples: how much quality differs, and
which answers changed.

Both artifacts answer one test split. What makes an interval wide is mostly which examples
the split happens to hold: some are hard for every model. That is common to both sides and
cancels where each example is compared with itself. The interval of a difference is
therefore drawn from pairs, and is much narrower than two separate intervals suggest: two
models with 90 % ± 2 % may well differ by 0.5 % ± 0.3 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from compress.measurement import Direction, Measurement, absent
from compress.meter import Sample
from compress_meters import bootstrap
from compress_meters.conditions import Stated
from compress_meters.decisions import Decisions, opened, read
from compress_meters.proportion import ONE_SIDED, effective_count, mcnemar, wilson
from compress_meters.slices import change

_EQUAL = 1e-9
"""Scores that differ by less are equal: the rest is rounding of float64 sums."""
NO_DECISIONS = "the task's answers are no decisions that could change"


def compare(own: Sample, other: Sample) -> list[Measurement]:
    """``quality_difference``, ``quality_kept`` and ``flips`` of one kept sample against
    another. They are absent, with the reason, where the two did not answer the same
    questions."""
    why = _why_incomparable(own, other)
    if why:
        direction = own.get("direction", "neither")
        return [
            absent("quality_difference", "", direction, why),
            absent("quality_kept", "share", "higher", why),
            absent("flips", "share", "lower", why),
        ]
    return [_difference(own, other), _kept(own, other), _flips(own, other)]


def _why_incomparable(own: Sample, other: Sample) -> str:
    """Why the two cannot be compared; empty where they can."""
    for sample in (own, other):
        if "absent" in sample:
            return str(sample["absent"])
    if (own["headline"], own["seed"]) != (other["headline"], other["seed"]):
        return "the two were scored by other metrics or resampled with other seeds"
    if [p["id"] for p in own["predictions"]] != [p["id"] for p in other["predictions"]]:
        return "the two answered other test examples"
    if _asked(own) != _asked(other):
        return "the two were asked for other decisions about the same examples"
    return ""


def _asked(sample: Sample) -> Any:
    """How many decisions each example has, and the class of each, in the form in which they
    are kept: equal classes are written alike. None where answers are no decisions."""
    kept = sample["decisions"]
    return None if kept is None else (kept["per_example"], kept["classes"])


def _difference(own: Sample, other: Sample) -> Measurement:
    """Own minus other, with the paired bootstrap's interval and a p-value for there being
    no difference."""
    mine, theirs = _resampled(own), _resampled(other)  # [RESAMPLES], the same examples at place i
    differences = mine - theirs if mine is not None and theirs is not None else None
    detail = _tested(own, other, differences)
    table = change(own["per_class"], other["per_class"])
    if table:
        detail["tables"] = {"change by class": table}
    return _measurement(
        "quality_difference", _value(own) - _value(other), "", own, other, differences, detail
    )


def _kept(own: Sample, other: Sample) -> Measurement:
    """Own over other; other over own where a lower score is better, so that above 1 is
    always a gain.

    Absent where the score below the line is not above 0: a share of a negative correlation
    means nothing. Without an interval where that holds for some resample."""
    over, under = (other, own) if own["direction"] == "lower" else (own, other)
    if _value(under) <= 0:
        whose = "own" if under is own else "other's"
        return absent(
            "quality_kept", "share", "higher", f"the {whose} {under['headline']} is not above 0"
        )
    kept = _measurement("quality_kept", _value(over) / _value(under), "share", own, other, None, {})
    above, below = _resampled(over), _resampled(under)
    if above is None or below is None or not (below > 0).all():
        return replace(kept, direction="higher")
    shares = above / below  # the i-th of both are of the same examples: a paired ratio
    # A score of 1 over the other's: the share if all examples were right.
    examples, right = len(own["predictions"]), 1 / _value(under)
    low, high = bootstrap.interval(shares, examples, right)
    worst = bootstrap.worst(shares, "higher", examples, right)
    return replace(kept, direction="higher", low=low, high=high, worst=worst)


def _flips(own: Sample, other: Sample) -> Measurement:
    """The share of decisions that changed, and how many of them were right before.

    Equal scores may hide many flips: as many answers may have become wrong as right."""
    if own["decisions"] is None:
        return absent("flips", "share", "lower", NO_DECISIONS)
    mine, theirs = opened(own["decisions"]), opened(other["decisions"])
    changed = mine.answers != theirs.answers
    # Decisions of one example (the words of a sentence) change together, so they tell less
    # than as many independent ones: Wilson's interval is that of the smaller, effective
    # number.
    hits, n = mine.of_examples(changed), len(changed)
    share, count = float(changed.mean()), effective_count(hits, mine.per_example)
    low, high = wilson(share, count)
    detail = {
        "changed": int(changed.sum()),
        "right_before": int((changed & theirs.right).sum()),
        "wrong_before": int((changed & mine.right).sum()),
        "both_wrong": int((changed & ~mine.right & ~theirs.right).sum()),
    }
    return Measurement(
        "flips",
        share,
        "share",
        "lower",
        low,
        high,
        n,
        _conditions(own, other),
        detail=detail,
        worst=wilson(share, count, ONE_SIDED)[1],
    )


def _tested(own: Sample, other: Sample, differences: np.ndarray | None) -> dict[str, Any]:
    """The test's name and p-value; empty where the task cannot be resampled.

    McNemar's exact test looks at the decisions that only one side has right. It holds where
    the score is the share of right decisions and these are independent, that is, one for
    each example. Any other score, and examples with several decisions, take the paired
    bootstrap."""
    if own["decisions"] is not None:
        mine, theirs = opened(own["decisions"]), opened(other["decisions"])
        if mine.per_example.max() == 1 and _is_share(own, mine) and _is_share(other, theirs):
            return {"test": "McNemar exact", "p": mcnemar(*_discordant(mine, theirs))}
    if differences is None:
        return {}
    differing = sum(a != b for a, b in zip(own["counts"], other["counts"], strict=True))
    return {"test": "paired bootstrap", "p": bootstrap.p_of_zero(differences, differing)}


def _is_share(sample: Sample, decisions: Decisions) -> bool:
    """Whether the score is the share of decisions that are right, as accuracy is and F1 is
    not."""
    return abs(_value(sample) - float(decisions.right.mean())) < _EQUAL


def _discordant(mine: Decisions, theirs: Decisions) -> tuple[int, int]:
    """How many decisions only my side has right, and how many only theirs."""
    return int((mine.right & ~theirs.right).sum()), int((theirs.right & ~mine.right).sum())


def _measurement(
    name: str,
    value: float,
    unit: str,
    own: Sample,
    other: Sample,
    values: np.ndarray | None,
    detail: Mapping[str, Any],
) -> Measurement:
    direction: Direction = own["direction"]
    examples = len(own["predictions"])
    low, high = bootstrap.interval(values, examples) if values is not None else (None, None)
    worst = bootstrap.worst(values, direction, examples) if values is not None else None
    return Measurement(
        name,
        value,
        unit,
        direction,
        low,
        high,
        examples,
        _conditions(own, other),
        detail=detail,
        worst=worst,
    )


def _value(sample: Sample) -> float:
    return float(sample["metrics"][sample["headline"]])


def _resampled(sample: Sample) -> np.ndarray | None:
    """The headline of each resample [RESAMPLES]. The i-th resample of every artifact holds
    the same examples."""
    return None if sample["resampled"] is None else read(sample["resampled"])


def _conditions(own: Sample, other: Sample) -> Stated:
    return {**own["conditions"], "other": other["conditions"]}
