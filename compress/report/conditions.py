"""How the numbers of a report were measured, in words."""

from __future__ import annotations

from collections.abc import Mapping

from compress.measurement import Conditions, Measurement
from compress.report.tables.detail import comparisons
from compress.report.text import number_text, spaced, value_with_interval
from compress.results.report import Report


def condition_lines(report: Report) -> list[str]:
    """A line for each set of conditions of a step, and of a comparison of two artifacts, with the
    numbers that were measured under it."""
    lines = []
    for step in report.steps:
        lines += _lines(step.name, step.measurements)
    compared: dict[str, dict[str, Measurement]] = {}
    for one in comparisons(report):
        compared.setdefault(one.sides, {})[one.name] = one.comparison
    for sides, measurements in compared.items():
        lines += _lines(sides, measurements)
    return lines


def _lines(whose: str, measurements: Mapping[str, Measurement]) -> list[str]:
    """A line for each set of conditions, with the numbers that share it."""
    numbers: dict[str, list[str]] = {}
    for name, m in measurements.items():
        if m.value is not None:
            count = f" (n {m.n})" if m.n is not None else ""
            text = f"{name} {value_with_interval(m)}{count}"
            numbers.setdefault(conditions_text(m.conditions), []).append(text)
    return [
        f"{whose}: {'; '.join(texts)}: {conditions or 'no conditions apply'}"
        for conditions, texts in numbers.items()
    ]


def conditions_text(conditions: Conditions) -> str:
    """Conditions in words. A comparison states those of its other side in brackets, as far as they
    differ."""
    words = []
    for name, value in conditions.items():
        if isinstance(value, Mapping):
            text = _other_side(value, conditions)
        else:
            text = number_text(value) if isinstance(value, float) else str(value)
        words.append(f"{spaced(name)} {text}")
    return ", ".join(words)


def _other_side(other: Conditions, own: Conditions) -> str:
    differing = {name: value for name, value in other.items() if own.get(name) != value}
    return f"({conditions_text(differing)})" if differing else "likewise"


def cost(report: Report) -> str:
    """The effort, and what measuring took of the whole once there is something to tell."""
    whole, measuring = report.seconds.making + report.seconds.measuring, report.seconds.measuring
    if not whole:
        return f"Effort {report.effort}."
    share = 100 * measuring / whole
    return (
        f"Effort {report.effort}. Measuring took {_time(measuring)} of {_time(whole)} "
        f"({share:.0f} %)."
    )


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
