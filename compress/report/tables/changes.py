"""The table of changes: each step compared with the reference, and with the step before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compress.measurement import Direction, Measurement
from compress.quantities import FLIPS, QUALITY, QUALITY_DIFFERENCE, SIZE, SPEEDUP
from compress.report.tables.table import Table, from_columns
from compress.report.text import (
    NOTHING,
    signed_interval_text,
    signed_score,
    value_cell,
    value_with_interval,
)
from compress.results.against import Against
from compress.results.equal import factor, is_equal
from compress.results.report import Report
from compress.results.step import StepResult

Column = tuple[str, list[str]]


def changes_table(report: Report) -> Table:
    """Quality, speed and size of each step compared with the reference and with the step before it.
    Then the answers that changed, if they were counted, and the comparisons that have a title.

    Without a step that was compared with the reference it has no rows."""
    steps = [step for step in report.steps if step.against_reference is not None]
    beside_reference = [step.against_reference for step in steps]
    before = [step.against_parent for step in steps]
    reference, fastest = report.reference, report.fastest_float_engine
    columns = [
        ("step", [step.name for step in steps]),
        _quality_column(f"quality vs {reference}", steps, beside_reference),
        _column(f"speed vs {reference}", speed_change, beside_reference),
    ]
    if fastest not in (None, reference):
        in_fastest = [step.against_fastest for step in steps]
        columns.append(_column(f"speed vs {fastest}", speed_change, in_fastest))
    columns += [
        _column(f"size vs {reference}", size_change, beside_reference),
        _quality_column("quality vs before", steps, before),
        _column("speed vs before", speed_change, before),
        _column("size vs before", size_change, before),
    ]
    return from_columns([*columns, *_more_columns(reference, beside_reference)])


def _column(
    header: str, cell: Callable[[Against | None], str], comparisons: Sequence[Against | None]
) -> Column:
    return header, [cell(against) for against in comparisons]


def _quality_column(
    header: str, steps: Sequence[StepResult], comparisons: Sequence[Against | None]
) -> Column:
    pairs = zip(steps, comparisons, strict=True)
    return header, [quality_change(against, quality_direction(step)) for step, against in pairs]


def quality_direction(step: StepResult) -> Direction:
    """Which direction of the step's score is better."""
    quality = step.measured(QUALITY)
    return quality.direction if quality else "neither"


def _more_columns(reference: str | None, comparisons: Sequence[Against | None]) -> list[Column]:
    """Columns that are left out where no step has a value for them."""
    columns = []
    flips = _column(f"answers changed vs {reference}", _flips, comparisons)
    if any(cell != NOTHING for cell in flips[1]):
        columns.append(flips)
    for name, title in _titled_comparisons(comparisons).items():
        cells = [value_with_interval(_comparison(against, name)) for against in comparisons]
        columns.append((f"{title} vs {reference}", cells))
    return columns


def _titled_comparisons(comparisons: Sequence[Against | None]) -> dict[str, str]:
    """The title of each comparison that has one, by its name."""
    titles = {}
    for against in comparisons:
        for name, m in against.comparisons.items() if against else ():
            if m.title:
                titles[name] = m.title
    return titles


def _comparison(against: Against | None, name: str) -> Measurement | None:
    return against.comparisons.get(name) if against else None


def quality_change(against: Against | None, direction: Direction) -> str:
    """The paired difference of quality with its interval, the share kept and the p-value. Without a
    paired comparison, the difference of the two scores. Where a lower score is better there is no
    share to keep: the factor between the two scores is shown."""
    difference = _comparison(against, QUALITY_DIFFERENCE)
    if against is None or difference is None:
        return _change_of_scores(against, direction)
    if difference.value is None:  # the two cannot be compared
        return NOTHING
    change = f"{signed_score(difference.value)}{signed_interval_text(difference)}"
    return f"{change}{_share_kept(against, direction)}{_p_value(difference)}"


def _change_of_scores(against: Against | None, direction: Direction) -> str:
    change = against.changes.get(QUALITY) if against else None
    if against is None or change is None:
        return NOTHING
    return f"{signed_score(change.difference)}{_share_kept(against, direction)}"


def _share_kept(against: Against, direction: Direction) -> str:
    if direction == "lower":
        times = against.quotient(QUALITY)
        return "" if times is None else f" ({factor(times)})"
    kept = against.quality_kept()
    return "" if kept is None else f" ({100 * kept:.1f} %)"


def _p_value(difference: Measurement) -> str:
    p = difference.detail.get("p")
    if p is None:
        return ""
    return ", p < 0.001" if p < 0.001 else f", p {p:.3f}"


def speed_change(against: Against | None) -> str:
    """The ratio of latencies that were measured in turns, with its interval; above 1 is faster."""
    ratio = against.compared(SPEEDUP) if against else None
    if ratio is None or ratio.value is None:
        return NOTHING
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.2f}x"
    return f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def size_change(against: Against | None) -> str:
    """How many times smaller or larger; ``equal`` where no difference would be seen."""
    quotient = against.quotient(SIZE) if against else None
    if not quotient:
        return NOTHING
    if is_equal(SIZE, quotient):
        return "equal"
    return f"{factor(quotient)} larger" if quotient > 1 else f"{factor(1 / quotient)} smaller"


def _flips(against: Against | None) -> str:
    """The share of answers that changed, and how many of them were right before."""
    flips = against.compared(FLIPS) if against else None
    if flips is None:
        return NOTHING
    right = flips.detail.get("right_before")
    return (
        value_cell(flips) if right is None else f"{value_cell(flips)} ({right} were right before)"
    )
