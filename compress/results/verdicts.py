"""Budgets against a report: which limits each step meets, and which step is the best that meets
them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compress.measurement import quantity as shown
from compress.planning.budget import BASELINES, QUANTITIES, Budget, Limit
from compress.planning.types import MODEL
from compress.results.examples import comparable, same_examples

_AGAINST = ("against_reference", "against_fastest", "against_parent")
_COMPARED = {"latency": "speedup_p50", "quality": "quality_kept"}
"""Comparisons of two artifacts on the same rounds or the same examples: narrower than a quotient of
two values."""
_EXACT = ("size", "memory")
"""Quantities whose worst case, where no meter states one, is the value itself."""


@dataclass(frozen=True)
class _Quantity:
    """What a limit is held against: ``text`` shows the value with its interval; ``worst`` is None
    where the end on the bad side is not known."""

    value: float | None
    worst: float | None
    text: str

    def deciding(self, decide: str) -> float | None:
        return self.worst if decide == "worst" else self.value


_UNMEASURED = _Quantity(None, None, "not measured")
_NO_ENGINE = replace(
    _UNMEASURED,
    text="not measured: the reference was timed in no float engine; write 'of B0' for the "
    "reference as it is",
)
"""Of a limit that names nothing: the fastest float engine is what it means."""


def judge(
    step: Mapping[str, Any],
    limits: Sequence[Limit],
    report: Mapping[str, Any],
    decide: str = "point",
) -> list[dict[str, Any]]:
    """A verdict for each limit: ``met`` (None where it could not be measured), what was measured,
    and the shortfall as a share of what was asked (0 where it is met).

    ``decide`` says what is held against a limit: the ``point``, or the ``worst``, the one-sided 95
    % end on the bad side."""
    return [_judge(step, limit, report, decide) for limit in limits]


def shortfall(verdicts: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    """How far a step is from its limits: how many could not be measured, then the sum of the shares
    that are lacking."""
    return sum(v["met"] is None for v in verdicts), sum(v["shortfall"] for v in verdicts)


def verdict_text(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Verdicts in words: each limit with what was measured."""
    return "; ".join(
        f"{v['quantity']} {v['limit']}: {v['measured']}{'' if v['met'] else ', missed'}"
        for v in verdicts
    )


def verdict_on_run(budget: Budget, report: Mapping[str, Any]) -> dict[str, Any]:
    """The budget's outcome over the recipe's model and all steps of its task that answered the
    reference's examples: ``best`` names the best that meets it, else ``nearest`` names the one with
    the least shortfall. A teacher from outside is nothing that the recipe makes smaller.

    Best is the fastest where quality is limited, and otherwise the one of highest quality."""
    steps = [
        s for s in comparable(report) if s["role"] in ("step", "reference") or s["name"] == MODEL
    ]
    verdicts = {s["name"]: judge(s, budget.limits, report, budget.decide) for s in steps}
    meeting = [s for s in steps if all(v["met"] for v in verdicts[s["name"]])]
    best = min(meeting, key=lambda s: _rank(s, budget, report), default=None)
    nearest = min(steps, key=lambda s: shortfall(verdicts[s["name"]]), default=None)
    return {
        "limits": [limit.text for limit in budget.limits],
        "on_miss": budget.on_miss,
        "decide": budget.decide,
        "met": best is not None,
        "best": best["name"] if best else None,
        "nearest": nearest["name"] if nearest and not best else None,
        "verdicts": verdicts,
    }


def _judge(
    step: Mapping[str, Any], limit: Limit, report: Mapping[str, Any], decide: str
) -> dict[str, Any]:
    found = (
        _relative(step, limit, report, decide) if limit.relative else _absolute(step, limit, decide)
    )
    value = found.deciding(decide)
    met = (
        None
        if value is None
        else value >= limit.value
        if limit.relation == ">="
        else value <= limit.value
    )
    lacking = (
        1.0
        if value is None
        else (limit.value - value) / (limit.value or 1.0) * (1 if limit.relation == ">=" else -1)
    )
    return {
        "quantity": limit.quantity,
        "limit": limit.text,
        "met": met,
        "measured": found.text,
        "shortfall": max(0.0, lacking),
    }


def _absolute(step: Mapping[str, Any], limit: Limit, decide: str) -> _Quantity:
    m = step["measurements"].get(QUANTITIES[limit.quantity])
    return (
        _quantity(m, limit.quantity, lambda v: shown(v, m["unit"]), "", decide)
        if m
        else _UNMEASURED
    )


def _relative(
    step: Mapping[str, Any], limit: Limit, report: Mapping[str, Any], decide: str
) -> _Quantity:
    """The share of quality kept, or how many times faster or smaller than the other artifact."""
    default = report["fastest_float_engine"] if limit.quantity == "latency" else report["reference"]
    baselines = dict(
        zip(BASELINES, (report["reference"], report["fastest_float_engine"]), strict=True)
    )
    name = baselines.get(limit.of or "", limit.of or default)
    if name is None:
        return (
            _NO_ENGINE
            if limit.quantity == "latency" and limit.of is None and report["reference"]
            else _UNMEASURED
        )
    compared = _compared(step, limit.quantity, name, report)
    return _quantity(
        compared,
        limit.quantity,
        _share if limit.quantity == "quality" else _times,
        f" of {name}",
        decide,
    )


def _quantity(
    m: Mapping[str, Any], quantity: str, show: Callable[[float], str], of: str, decide: str
) -> _Quantity:
    """A measurement, or a comparison, as a limit sees it."""
    value, worst = m["value"], m.get("worst")
    if value is None:
        return _UNMEASURED
    if worst is None and quantity in _EXACT:
        worst = value
    text = show(value) + of
    if m.get("low") is not None and m.get("high") is not None:
        text += f" [{show(m['low'])}, {show(m['high'])}]"
    if decide == "worst" and worst != value:
        text += ", worst not measured" if worst is None else f", worst {show(worst)}"
    return _Quantity(value, worst, text)


def _compared(
    step: Mapping[str, Any], quantity: str, name: str, report: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The comparison with the artifact ``name``: as it was measured, else the quotient of two
    values, whose worst case nobody knows."""
    if name == step["name"]:
        return {"value": 1.0, "worst": 1.0}
    for against in (*(step[side] for side in _AGAINST), *step["against_named"]):
        found = (
            against["comparisons"].get(_COMPARED.get(quantity))
            if against and against["name"] == name
            else None
        )
        if found:
            return dict(found)
    other = _step(report, name)
    mine, theirs = (
        s["measurements"].get(QUANTITIES[quantity]) if s else None for s in (step, other)
    )
    if not other or not mine or not theirs or mine["value"] is None or theirs["value"] is None:
        return {"value": None}
    if quantity != "size" and not same_examples(step, other):
        return {
            "value": None
        }  # scores, times and memory of other examples are no shares of each other
    if quantity == "quality" and min(mine["value"], theirs["value"]) < 0:
        return {"value": None}  # nor are scores of which one is below zero
    over, under = (mine, theirs) if mine["direction"] == "higher" else (theirs, mine)
    return {"value": over["value"] / under["value"] if under["value"] else None}


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _times(value: float) -> str:
    return f"{value:.2f}x"


def _rank(step: Mapping[str, Any], budget: Budget, report: Mapping[str, Any]) -> float:
    """What is least is best: time where quality is limited, else what quality lacks."""
    if any(limit.quantity == "quality" for limit in budget.limits):
        return _time(step, report)
    m = step["measurements"].get("quality")
    if not m or m["value"] is None:
        return float("inf")
    return float(m["value"] if m["direction"] == "lower" else -m["value"])


def _time(step: Mapping[str, Any], report: Mapping[str, Any]) -> float:
    """Milliseconds at the reference's pace: its own latency over how many times faster the step was
    beside it, for steps are timed at other moments. As measured where the two were not timed in
    turns."""
    own, reference = (_value(s, "latency_p50") for s in (step, _step(report, report["reference"])))
    ratio = (
        (step["against_reference"] or {}).get("comparisons", {}).get(_COMPARED["latency"]) or {}
    ).get("value")
    return (
        reference / ratio
        if reference is not None and ratio
        else float("inf")
        if own is None
        else own
    )


def _step(report: Mapping[str, Any], name: str | None) -> Mapping[str, Any] | None:
    return next((s for s in report["steps"] if s["name"] == name), None)


def _value(step: Mapping[str, Any] | None, name: str) -> float | None:
    m = step["measurements"].get(name) if step else None
    return m["value"] if m else None
