"""Which steps answered the test examples that the reference answered: with scores of others theirs
are not compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Step = Mapping[str, Any]


def same_examples(one: Step, other: Step) -> bool:
    """Whether the scores of two steps are of one task and of the same examples."""
    return bool(one["task"] == other["task"] and one["test"] == other["test"])


def comparable(report: Mapping[str, Any]) -> list[Step]:
    """The steps of the recipe's task that answered the examples that the reference answered, in the
    report's order."""
    examples = _examples(report)
    return [s for s in _of_task(report) if s["test"] == examples]


def elsewhere(report: Mapping[str, Any]) -> list[str]:
    """Names of the steps of the recipe's task that answered other examples than the reference."""
    examples = _examples(report)
    return [s["name"] for s in _of_task(report) if s["test"] not in (examples, None)]


def _examples(report: Mapping[str, Any]) -> str | None:
    """The digest of the reference's examples; until it has answered, of those of the first step
    that has."""
    steps = sorted(_of_task(report), key=lambda s: s["name"] != report["reference"])
    return next((s["test"] for s in steps if s["test"]), None)


def _of_task(report: Mapping[str, Any]) -> list[Step]:
    return [s for s in report["steps"] if s["task"] == report["task"]["name"]]
