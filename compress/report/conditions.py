"""How the numbers of a report were measured, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.measurement import Conditions, Measurement
from compress.report.tables.detail import comparisons
from compress.report.text import number, shown_with_spread, spaced
from compress.results.report import Report


@dataclass
class _Shared:
    """The numbers of a step (or of a step against another) by the conditions that they share."""

    numbers: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, m: Measurement) -> None:
        if m.value is not None:
            count = f" (n {m.n})" if m.n is not None else ""
            text = f"{name} {shown_with_spread(m)}{count}"
            self.numbers.setdefault(conditions_text(m.conditions), []).append(text)

    def lines(self, whose: str) -> list[str]:
        return [
            f"{whose}: {'; '.join(numbers)}: {under or 'no conditions apply'}"
            for under, numbers in self.numbers.items()
        ]


def condition_lines(report: Report) -> list[str]:
    """A line for each set of conditions of a step, and of a step against another, with the numbers
    that were taken under it."""
    lines = []
    for step in report.steps:
        own = _Shared()
        for name, m in step.measurements.items():
            own.add(name, m)
        lines += own.lines(step.name)
    between: dict[str, _Shared] = {}
    for one in comparisons(report):
        between.setdefault(one.sides, _Shared()).add(one.name, one.comparison)
    for sides, shared in between.items():
        lines += shared.lines(sides)
    return lines


def conditions_text(conditions: Conditions) -> str:
    """Conditions in words. Those of the other side of a comparison stand in brackets, as far as
    they differ."""
    words = []
    for name, value in conditions.items():
        if isinstance(value, Mapping):
            text = _other_side(value, conditions)
        else:
            text = number(value) if isinstance(value, float) else str(value)
        words.append(f"{spaced(name)} {text}")
    return ", ".join(words)


def _other_side(other: Conditions, own: Conditions) -> str:
    differing = {name: value for name, value in other.items() if own.get(name) != value}
    return f"({conditions_text(differing)})" if differing else "likewise"


def cost(report: Report) -> str:
    """One sentence: the effort, and what measuring took of the whole."""
    whole, measuring = report.seconds.making + report.seconds.measuring, report.seconds.measuring
    share = 100 * measuring / whole if whole else 0.0
    return (
        f"Effort {report.effort}. Measuring took {_time(measuring)} of {_time(whole)} "
        f"({share:.0f} %)."
    )


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
