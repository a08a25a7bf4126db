"""What the numbers say that a reader should not miss: gains that are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SMALLER = 0.98
"""A size below this share of the other's counts as smaller."""
_SAME = 0.02
"""A size, memory or speed that differs by less than this share counts as equal."""
_SPARSER = 0.05
"""Share of weights that must have become zero for a model to count as sparse: what a training moves
is far below."""


def findings(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """One sentence for each gain that is none, with the known remedy: ``step``, ``kind`` and
    ``text``. Intervals decide, so that noise says nothing.

    A step is held against the one before it; where there are only models from outside, each against
    the reference."""
    steps = [step for step in report["steps"] if step["role"] == "step"]
    benched = [] if steps else [step for step in report["steps"] if step["role"] == "input"]
    found = [
        finding
        for step in [*steps, *benched]
        for finding in (
            _smaller_but_slower(step),
            _sparse_not_smaller(step),
            _changed_nothing(step, report),
            _engine_alone(step, report),
        )
    ]
    return [finding for finding in found if finding]


def _before(step: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a step is held against; empty where it was compared with nothing."""
    return step["against_parent" if step["role"] == "step" else "against_reference"] or {}


def _smaller_but_slower(step: Mapping[str, Any]) -> dict[str, str] | None:
    before = _before(step)
    size, speed = _quotient(before, "size"), _compared(before, "speedup")
    if (
        size is None
        or speed is None
        or speed["high"] is None
        or size > _SMALLER
        or speed["high"] >= 1
    ):
        return None
    if speed["value"] > 1 - _SAME:
        return None
    memory = _quotient(before, "memory")
    short = "memory" if memory is not None and memory < 1 - _SAME else "disk space"
    slower = f"{1 / speed['value']:.1f}" if speed["value"] < 0.9 else f"{1 / speed['value']:.2f}"
    needs = (
        f", and needs {memory:.1f}x the memory" if memory is not None and memory > 1 + _SAME else ""
    )
    return _finding(
        step,
        "smaller_but_slower",
        f"is {1 / size:.1f}x smaller than {before['name']} and {slower}x slower{needs}: take it "
        f"where {short} is short, and another format or engine where time is",
    )


def _sparse_not_smaller(step: Mapping[str, Any]) -> dict[str, str] | None:
    before = _before(step)
    size, change = _quotient(before, "size"), before.get("changes", {}).get("nonzero")
    if size is None or change is None or size < _SMALLER or change["difference"] >= -_SPARSER:
        return None
    zeros = 1 - step["measurements"]["nonzero"]["value"]
    return _finding(
        step,
        "sparse_not_smaller",
        f"has {100 * zeros:.0f} % of its weights at zero and is no smaller than {before['name']}: "
        "zeros are "
        "stored and multiplied like any number, so prune whole heads, neurons or layers instead "
        "(structured pruning)",
    )


def _changed_nothing(step: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, str] | None:
    """A step after which every answer is as before, and so are size, speed and, where they were
    measured, memory and the share of zeros. Another format or precision is a change by itself."""
    before = _before(step)
    flips, speed, size = (
        _compared(before, "flips"),
        _compared(before, "speedup"),
        _quotient(before, "size"),
    )
    if (
        step["role"] != "step"
        or flips is None
        or flips["value"] != 0
        or not flips["n"]
        or speed is None
        or size is None
    ):
        return None
    memory = _quotient(before, "memory")
    zeros = before["changes"].get("nonzero")
    same = (
        _is_one(speed)
        and abs(size - 1) <= _SAME
        and (memory is None or memory > 1 - _SAME)
        and (zeros is None or abs(zeros["difference"]) < _SPARSER)
    )
    if not same or _form_of(_named(report, before["name"])) != _form_of(step):
        return None
    return _finding(
        step,
        "changed_nothing",
        f"changed nothing: it decides all {flips['n']} cases as {before['name']} does, is as large "
        "and no "
        "faster: give it options that do more, or leave the step out",
    )


def _engine_alone(step: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, str] | None:
    """A final model that is faster than the reference in eager PyTorch, and slower than it in its
    fastest engine."""
    if any(s["parent"] == step["name"] for s in report["steps"]):
        return None
    fastest, reference = step["against_fastest"] or {}, step["against_reference"] or {}
    speed = _compared(fastest, "speedup")
    if (
        speed is None
        or speed["high"] is None
        or speed["high"] >= 1
        or fastest["name"] == reference.get("name")
    ):
        return None
    return _finding(
        step,
        "slower_than_reference_engine",
        f"is slower ({speed['value']:.2f}x) than {fastest['name']}, the uncompressed reference in "
        "a faster "
        "engine: export it, or deploy the reference there",
    )


def _finding(step: Mapping[str, Any], kind: str, said: str) -> dict[str, str]:
    return {"step": step["name"], "kind": kind, "text": f"{step['name']} {said}"}


def _quotient(against: Mapping[str, Any], name: str) -> float | None:
    change = against.get("changes", {}).get(name)
    return change["quotient"] if change else None


def _compared(against: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    found = against.get("comparisons", {}).get(name)
    return found if found and found["value"] is not None else None


def _is_one(speed: Mapping[str, Any]) -> bool:
    within = speed["low"] is not None and speed["low"] <= 1 <= speed["high"]
    return within or bool(abs(speed["value"] - 1) < _SAME)


def _named(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(s for s in report["steps"] if s["name"] == name)


def _form_of(step: Mapping[str, Any]) -> tuple[str, str]:
    return step["traits"]["format"], step["traits"]["precision"]
