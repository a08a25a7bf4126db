"""Budgets against a report: which limits each step meets, and which step is the best that meets them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.budget import QUANTITIES, Budget, Limit
from compress.report.table import quantity as shown

_AGAINST = ("against_reference", "against_fastest", "against_parent")


def judge(step: Mapping[str, Any], limits: Sequence[Limit], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A verdict for each limit: ``met`` (None where it could not be measured), what was measured, and the shortfall as a
    share of what was asked (0 where it is met)."""
    return [_judge(step, limit, report) for limit in limits]


def verdict_on_run(budget: Budget, report: Mapping[str, Any]) -> dict[str, Any]:
    """The budget's outcome over all steps of the recipe's task: ``best`` names the best step that meets it, else ``nearest``
    names the one with the least shortfall.

    Best is the fastest where quality is limited, and otherwise the one of highest quality."""
    task, roles = report["task"]["name"], ("step", "reference", "input")
    steps = [s for s in report["steps"] if s["role"] in roles and s["task"] == task]
    verdicts = {s["name"]: judge(s, budget.limits, report) for s in steps}
    meeting = [s for s in steps if all(v["met"] for v in verdicts[s["name"]])]
    best = min(meeting, key=lambda s: _rank(s, budget), default=None)
    nearest = min(steps, key=lambda s: sum(v["shortfall"] for v in verdicts[s["name"]]), default=None)
    return {"limits": [limit.text for limit in budget.limits], "on_miss": budget.on_miss, "met": best is not None,
            "best": best["name"] if best else None, "nearest": nearest["name"] if nearest and not best else None,
            "verdicts": verdicts}


def _judge(step: Mapping[str, Any], limit: Limit, report: Mapping[str, Any]) -> dict[str, Any]:
    value, text = _relative(step, limit, report) if limit.relative else _absolute(step, limit)
    met = None if value is None else value >= limit.value if limit.relation == ">=" else value <= limit.value
    lacking = 1.0 if value is None else (limit.value - value) / limit.value * (1 if limit.relation == ">=" else -1)
    return {"quantity": limit.quantity, "limit": limit.text, "met": met, "measured": text, "shortfall": max(0.0, lacking)}


def _absolute(step: Mapping[str, Any], limit: Limit) -> tuple[float | None, str]:
    m = step["measurements"].get(QUANTITIES[limit.quantity])
    return (m["value"], shown(m["value"], m["unit"])) if m and m["value"] is not None else (None, "not measured")


def _relative(step: Mapping[str, Any], limit: Limit, report: Mapping[str, Any]) -> tuple[float | None, str]:
    """The share of quality kept, or how many times faster or smaller than the other artifact."""
    default = report["fastest_float_engine"] if limit.quantity == "latency" else report["reference"]
    name = {"B0": report["reference"], "B1": report["fastest_float_engine"]}.get(limit.of or "", limit.of or default)
    factor, spread = _factor(step, limit.quantity, name, report)
    if factor is None:
        return None, "not measured"
    text = f"{100 * factor:.1f} %" if limit.quantity == "quality" else f"{factor:.2f}x"
    return factor, f"{text} of {name}{spread}"


def _factor(step: Mapping[str, Any], quantity: str, name: str | None, report: Mapping[str, Any]) -> tuple[float | None, str]:
    if name == step["name"]:
        return 1.0, ""
    for side in _AGAINST:
        ratio = step[side] and step[side]["name"] == name and step[side]["comparisons"].get("speedup")
        if quantity == "latency" and ratio and ratio["value"] is not None:
            return ratio["value"], f" [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio["low"] is not None else ""
    other = next((s for s in report["steps"] if s["name"] == name), None)
    mine, theirs = (s["measurements"].get(QUANTITIES[quantity]) if s else None for s in (step, other))
    if not mine or not theirs or not mine["value"] or not theirs["value"]:
        return None, ""
    return (mine["value"] / theirs["value"] if quantity == "quality" else theirs["value"] / mine["value"]), ""


def _rank(step: Mapping[str, Any], budget: Budget) -> float:
    limited = any(limit.quantity == "quality" for limit in budget.limits)
    m = step["measurements"].get("latency_p50" if limited else "quality")
    value = m["value"] if m and m["value"] is not None else None
    if value is None:
        return float("inf")
    return float(value) if limited or m["direction"] == "lower" else -float(value)
