"""Compare the answers of two artifacts to the same examples: how much quality differs, and
which answers changed.

Both artifacts answer one test split. An interval is wide mostly because other examples
could have been in the split, and some examples are hard for every model. This chance is
common to both artifacts. It cancels if each example is compared with itself. The interval
of a difference is therefore drawn from pairs. It is much narrower than two separate
intervals suggest: two models with 90 % ± 2 % may well differ by 0.5 % ± 0.3 %.

This holds only for equal resamples on both sides. If examples, their order, the metric or
the seed differed, place i of the two would not be a pair, and the interval would be wrong
without a sign of it. ``_why_incomparable`` guards this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from compress.measurement import Conditions, Direction, Measurement, absent
from compress.meter import Sample
from compress.quantities import FLIPS
from compress_meters import agreement, bootstrap
from compress_meters.decisions import NO_DECISIONS, Decisions, Named, opened, read
from compress_meters.proportion import ONE_SIDED, effective_count, mcnemar, wilson
from compress_meters.slices import change

_EQUAL = 1e-9
"""Scores that differ by less are equal: the rest is rounding of float64 sums."""


def compare(own: Sample, other: Sample) -> list[Measurement]:
    """``quality_difference``, ``quality_kept`` and ``flips`` of ``own`` against ``other``,
    two samples of ``Quality``. Absent, with the reason, if the two did not answer the same
    questions."""
    why = _why_incomparable(own, other)
    if why:
        direction = own.get("direction", "neither")
        return [
            absent("quality_difference", "", direction, why),
            absent("quality_kept", "share", "higher", why),
            absent(FLIPS, "share", "lower", why),
        ]
    return [_difference(own, other), _kept(own, other), *_changed(own, other)]


def _why_incomparable(own: Sample, other: Sample) -> str:
    """Why the two cannot be compared; empty where they can."""
    for sample in (own, other):
        if "absent" in sample:
            return str(sample["absent"])
    if (own["headline"], own["seed"]) != (other["headline"], other["seed"]):
        return "the two were scored by other metrics or resampled with other seeds"
    if [p["id"] for p in own["predictions"]] != [p["id"] for p in other["predictions"]]:
        return "the two answered other test examples"
    if _questions(own) != _questions(other):
        return "the two were asked for other decisions about the same examples"
    return ""


def _questions(sample: Sample) -> tuple[str, Named] | None:
    """How many decisions each example has, and the class of each, as ``decisions.keep``
    wrote them: equal classes are written alike. None if the task has no decisions."""
    kept = sample["decisions"]
    return None if kept is None else (kept["per_example"], kept["classes"])


def _difference(own: Sample, other: Sample) -> Measurement:
    """Own minus other, with the paired bootstrap's interval and a p-value for no
    difference."""
    # [RESAMPLES] each. The i-th of both are of the same examples, so the i-th difference is
    # that of one drawn split.
    mine, theirs = _resampled(own), _resampled(other)
    differences = mine - theirs if mine is not None and theirs is not None else None
    detail = _tested(own, other, differences)
    table = change(own["per_class"], other["per_class"])
    if table:
        detail["tables"] = {"change by class": table}
    return _measurement(
        "quality_difference", _value(own) - _value(other), "", own, other, differences, detail
    )


def _kept(own: Sample, other: Sample) -> Measurement:
    """Own over other; other over own if a lower score is better. So a value above 1 is
    always a gain.

    Absent if the divisor is not above 0: a share of a negative correlation means nothing.
    Without an interval if the divisor of a resample is not above 0."""
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
    shares = above / below  # [RESAMPLES]; place i of both has the same examples: a paired ratio
    # The share that a score of 1 would have. The interval needs it if no resample differs.
    examples, right = len(own["predictions"]), 1 / _value(under)
    low, high = bootstrap.interval(shares, examples, right)
    worst = bootstrap.worst(shares, "higher", examples, right)
    return replace(kept, direction="higher", low=low, high=high, worst=worst)


def _changed(own: Sample, other: Sample) -> list[Measurement]:
    """``flips``: of the task's decisions, else of answers that are generated; and what else their
    tokens say."""
    decided = [_flips(own, other)] if own["decisions"] is not None else []
    mine, theirs, stated = own["written"], other["written"], _conditions(own, other)
    if mine is None or theirs is None:
        return decided or [absent(FLIPS, "share", "lower", NO_DECISIONS)]
    why = agreement.incomparable(mine, theirs)
    if why:
        return decided or [absent(FLIPS, "share", "lower", why)]
    return [
        *(decided or [agreement.flips(mine, theirs, stated)]),
        *agreement.agreement(mine, theirs, own["seed"], stated),
    ]


def _flips(own: Sample, other: Sample) -> Measurement:
    """The share of decisions that changed, and how many of them were right before.

    Equal scores may hide many flips: as many answers may have become wrong as right."""
    mine, theirs = opened(own["decisions"]), opened(other["decisions"])
    changed = mine.answers != theirs.answers  # bool [decisions]
    # Decisions of one example (the words of a sentence) change together, so they tell less
    # than as many independent ones. With their plain number the interval would be too
    # narrow: Wilson's is computed with the smaller, effective number.
    share = float(changed.mean())
    count = effective_count(mine.of_examples(changed), mine.per_example)
    low, high = wilson(share, count)
    return Measurement(
        FLIPS,
        share,
        "share",
        "lower",
        low,
        high,
        len(changed),
        _conditions(own, other),
        detail=_flip_counts(changed, mine.right, theirs.right),
        worst=wilson(share, count, ONE_SIDED)[1],
    )


def _flip_counts(changed: np.ndarray, own: np.ndarray, other: np.ndarray) -> dict[str, int]:
    """How many decisions changed, and of these, how many each side had right. ``own`` and
    ``other``, bool [decisions], say where each side is right."""
    return {
        "changed": int(changed.sum()),
        "right_before": int((changed & other).sum()),
        "wrong_before": int((changed & own).sum()),
        "both_wrong": int((changed & ~own & ~other).sum()),
    }


def _tested(own: Sample, other: Sample, differences: np.ndarray | None) -> dict[str, Any]:
    """The test's name and p-value; empty if the task cannot be resampled.

    McNemar's exact test counts the decisions that only one side has right. It needs a score
    that is the share of right decisions, and independent decisions, that is, one for each
    example. With several decisions for an example it would give p-values that are too
    small. Any other score, and examples with several decisions, are tested by the paired
    bootstrap."""
    if own["decisions"] is not None:
        mine, theirs = opened(own["decisions"]), opened(other["decisions"])
        if mine.per_example.max() == 1 and _is_share(own, mine) and _is_share(other, theirs):
            return {"test": "McNemar exact", "p": mcnemar(*_discordant(mine, theirs))}
    if differences is None:
        return {}
    # Examples whose counts differ: no others can move the difference.
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
    """The headline of each resample, float64 [RESAMPLES]; None if the task cannot be
    resampled. The i-th resample of every artifact holds the same examples."""
    return None if sample["resampled"] is None else read(sample["resampled"])


def _conditions(own: Sample, other: Sample) -> Conditions:
    return {**own["conditions"], "other": other["conditions"]}
