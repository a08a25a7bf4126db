"""What the numbers say that a reader should not miss: gains that are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SMALLER = 0.98
"""A size below this share of the other's counts as smaller."""


def findings(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """One sentence for each gain that is none: ``step``, ``kind`` and ``text``. Intervals decide, so that noise says
    nothing."""
    steps = [step for step in report["steps"] if step["role"] == "step"]
    found = [finding for step in steps for finding in (_smaller_but_slower(step), _engine_alone(step, report))]
    return [finding for finding in found if finding]


def _smaller_but_slower(step: Mapping[str, Any]) -> dict[str, str] | None:
    before = step["against_parent"] or {}
    size, speed = _size(before), _speed(before)
    if size is None or speed is None or size > _SMALLER or speed["high"] >= 1:
        return None
    return {"step": step["name"], "kind": "smaller_but_slower",
            "text": f"{step['name']} is {1 / size:.1f}x smaller than {before['name']} and {1 / speed['value']:.1f}x "
                    "slower: take it where memory is short, and another format or engine where time is"}


def _engine_alone(step: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, str] | None:
    """A final model that is faster than the reference in eager PyTorch, and slower than it in its fastest engine."""
    if any(s["parent"] == step["name"] for s in report["steps"]):
        return None
    fastest, reference = step["against_fastest"], step["against_reference"]
    speed = _speed(fastest)
    if speed is None or speed["high"] >= 1 or fastest["name"] == (reference or {}).get("name"):
        return None
    return {"step": step["name"], "kind": "slower_than_reference_engine",
            "text": f"{step['name']} is slower ({speed['value']:.2f}x) than {fastest['name']}, the uncompressed reference "
                    "in a faster engine: export it, or deploy the reference there"}


def _size(against: Mapping[str, Any] | None) -> float | None:
    change = against["changes"].get("size") if against else None
    return change["quotient"] if change else None


def _speed(against: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    ratio = against["comparisons"].get("speedup") if against else None
    return ratio if ratio and ratio["value"] is not None and ratio["high"] is not None else None
