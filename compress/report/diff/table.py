"""The differences of two runs as text cells, which the terminal and the page show."""

from __future__ import annotations

from compress.measurement import value_text
from compress.report.diff.types import Difference, MeasurementDifference, StepDifference
from compress.report.tables.table import Table
from compress.report.text import NOTHING, detail_text, ends_text, interval_text

Labels = tuple[str, str]
"""The headers of the columns of the two runs."""


def labels(difference: Difference) -> Labels:
    """The last parts of the two folders where these differ, else ``first`` and ``second``."""
    first, second = (run.folder.rstrip("/").rpartition("/")[2] for run in difference.runs)
    return (first, second) if first != second else ("first", "second")


def heading(step: StepDifference) -> str:
    """A step's name, with a note where both runs have the same model."""
    return f"{step.name} (same model)" if step.same_model else step.name


def step_table(step: StepDifference, columns: Labels) -> Table:
    """Every measurement that has a title, and any other whose change is significant."""
    rows = []
    for m in step.measurements:
        if (m.title or m.significant) and m.values != (None, None):
            values = [_value(m, side) for side in (0, 1)]
            rows.append([m.title or m.name, *values, change(m), judgement(m, columns)])
    return Table(["measurement", *columns, "change", "significant"], rows)


def paired_table(step: StepDifference) -> Table:
    """The comparisons of the second with the first, example by example. It has no rows where both
    are the same model."""
    rows = []
    for m in step.paired if not step.same_model else ():
        if m.value is not None:
            value = value_text(m.value, m.unit)
            ends, more = interval_text(m).strip() or NOTHING, detail_text(m) or NOTHING
            rows.append([m.title or m.name, value, ends, more])
    return Table(["on the same examples", "value", "95 % interval", "more"], rows)


def change(m: MeasurementDifference) -> str:
    """Shares and scores as differences, everything else in percent of the first."""
    if m.difference is None:
        return NOTHING
    if m.unit == "share":
        return f"{100 * m.difference:+.1f} points"
    if m.unit == "" or m.quotient is None:
        return f"{m.difference:+.3f}"
    return f"{100 * (m.quotient - 1):+.1f} %"


def judgement(m: MeasurementDifference, columns: Labels) -> str:
    """Whether the change is significant, which run is better, and the basis of the judgement."""
    if m.basis in ("other task", "other examples"):
        return f"not compared ({m.basis})"
    if m.significant is None:
        return NOTHING
    if not m.significant:
        return f"no ({m.basis})"
    if m.better is None:
        return f"yes ({m.basis})"
    better = columns[0] if m.better == "first" else columns[1]
    return f"yes, {better} is better ({m.basis})"


def option_lines(step: StepDifference) -> list[str]:
    """A line for each option of a step that differs."""
    first, second = step.stage
    lines = [f"stage: {first} / {second}"] if first != second else []
    for key, (one, other) in step.options.items():
        lines.append(f"{key}: {one} / {other}")
    return lines


def _value(m: MeasurementDifference, side: int) -> str:
    value, (low, high) = m.values[side], m.intervals[side]
    if value is None:
        return "absent"
    return value_text(value, m.unit) + ends_text(low, high, m.unit)
