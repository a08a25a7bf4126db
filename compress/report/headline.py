"""The first sentence of a report: what the best step gained and lost, in words for everybody.

Intervals decide: what timings or answers cannot tell from no change is called so."""

from __future__ import annotations

from compress.measurement import Measurement
from compress.quantities import QUALITY, QUALITY_DIFFERENCE, SIZE, SPEEDUP
from compress.report.best import best_step
from compress.report.text import value_cell
from compress.results.against import Against
from compress.results.equal import is_equal, is_smaller
from compress.results.report import Report
from compress.results.step import StepResult

_FRACTIONS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 8: "an eighth", 10: "a tenth"}
_NEAR = 0.05
"""A share that differs from a fraction by less than this part of it is called by its name. A ratio
of speeds without an interval that is as near to 1 shows no difference."""
_WIDE = 1.5
"""An interval whose ends differ by more than this factor is said by both ends."""
_STATES = {
    "running": "The run goes on; this is what is known so far.",
    "failed": "The run failed before its end; this is what was known then.",
    "interrupted": "The run was interrupted; this is what was known then.",
}


def headline(report: Report) -> str:
    """One sentence on the best step against the reference. Sentences before it say that the run is
    not finished, or that the budget was missed."""
    sentences = [_STATES[report.state]] if report.state in _STATES else []
    best = best_step(report)
    if not any(step.measurements for step in report.steps):
        return " ".join([*sentences, _nothing_measured(report)])
    if report.budget and not report.budget.met and report.state != "running":
        nearest = f'; "{best.name}" comes nearest' if best else ""
        sentences.append(f"No model meets the budget{nearest}.")
    if best is not None:
        sentences.append(step_sentence(best, report))
    elif report.state == "running":
        sentences.append("Nothing is compared yet.")
    else:
        sentences.append("No step was compared with the reference.")
    return " ".join(sentences)


def _nothing_measured(report: Report) -> str:
    if report.state == "running":
        return "Nothing is measured yet."
    why = ": no meter was installed" if report.state == "finished" else ""
    return f"Nothing was measured{why}."


def step_sentence(step: StepResult, report: Report) -> str:
    """One sentence on a step against the reference: speed, disk and quality, and that it brings no
    gain where it is neither faster nor smaller."""
    against = step.against_reference
    if step.name == report.reference:
        return f'"{step.name}" is the reference itself: nothing was gained.'
    if against is None:
        return f"{_subject(step)} was not compared with the reference."
    parts = [_speed_text(against), _disk_text(against), _quality_text(step, against)]
    said = f"{', '.join(parts[:-1])}, and {parts[-1]}"
    if not _is_faster(against) and not _is_smaller(against):
        return f"{_subject(step)} brings no gain in speed or size: it {said}."
    return f"{_subject(step)} {said}."


def _subject(step: StepResult) -> str:
    precision = step.traits.precision
    kind = "" if precision == "float" else f"{precision} "
    return f'The {kind}model "{step.name}"'


def _is_faster(against: Against) -> bool:
    ratio = against.compared(SPEEDUP)
    return ratio is not None and _speed_side(ratio) > 0


def _is_smaller(against: Against) -> bool:
    quotient = against.quotient(SIZE)
    return quotient is not None and is_smaller(SIZE, quotient)


def _speed_text(against: Against) -> str:
    ratio = against.compared(SPEEDUP)
    if ratio is None or not ratio.value or ratio.value < 0:
        return "was not timed beside the reference"
    side = _speed_side(ratio)
    if side == 0:
        return "is not clearly faster or slower"
    if side < 0:
        return f"is slower: an answer takes {_slower_times(ratio, ratio.value)} the time"
    return f"answers {_span(ratio.value, ratio.low, ratio.high)} as fast"


def _slower_times(ratio: Measurement, value: float) -> str:
    if not ratio.low or not ratio.high:
        return _times(1 / value)
    return _span(1 / value, 1 / ratio.high, 1 / ratio.low)


def _span(factor: float, low: float | None, high: float | None) -> str:
    """The factor; both ends of its interval where they lie so far apart that one number would
    promise too much."""
    if low is None or high is None or high <= _WIDE * low:
        return _times(factor)
    return f"between {_factor(low)} and {_times(high)}"


def _speed_side(ratio: Measurement) -> int:
    """1 where it is clearly faster, -1 where it is clearly slower, else 0. Without an interval, a
    ratio close to 1 is not clear."""
    if ratio.low is None and ratio.value is not None and abs(ratio.value - 1) < _NEAR:
        return 0
    return _clear_side(ratio, 1.0)


def _clear_side(m: Measurement, unchanged: float) -> int:
    """1 where the value is clearly above what means no change, -1 where it is clearly below, else
    0. Without an interval the value itself decides."""
    value = unchanged if m.value is None else m.value
    low = value if m.low is None else m.low
    high = value if m.high is None else m.high
    if low > unchanged:
        return 1
    return -1 if high < unchanged else 0


def _times(factor: float) -> str:
    return f"{_factor(factor)} times"


def _factor(factor: float) -> str:
    return f"{factor:.1f}" if factor >= 1.95 else f"{factor:.2f}"


def _disk_text(against: Against) -> str:
    quotient = against.quotient(SIZE)
    if not quotient or quotient < 0:
        return "takes disk space that was not compared"
    if is_equal(SIZE, quotient):
        return "takes as much disk"
    if quotient > 1:
        return f"takes {_times(quotient)} the disk"
    return f"takes {_share_text(quotient)} of the disk"


def _share_text(share: float) -> str:
    """A share in words if a common fraction is near, else in percent."""
    for parts, name in _FRACTIONS.items():
        if abs(share * parts - 1) < _NEAR:
            return name if is_equal(SIZE, share * parts) else f"about {name}"
    return f"{100 * share:.2g} %"


def _quality_text(step: StepResult, against: Against) -> str:
    quality = step.measured(QUALITY)
    if quality is None:
        return "its quality was not measured"
    title = quality.title or "quality"
    difference, kept = against.compared(QUALITY_DIFFERENCE), against.quality_kept()
    if difference is None and kept is None:
        return f"its {title} cannot be compared with the reference's"
    if quality.direction == "lower" or kept is None:
        return _score_text(quality, title, difference)
    share = f"{100 * kept:.1f} %"
    side = 0 if difference is None else _clear_side(difference, 0.0)
    if difference is not None and side == 0:
        return f"its {title} shows no clear change ({share} of the reference's)"
    if side > 0:
        return f"has a better {title} ({share} of the reference's)"
    return f"keeps {share} of the {title}"


def _score_text(quality: Measurement, title: str, difference: Measurement | None) -> str:
    """For scores of which no share can be kept: those that are better when lower, or that can be
    below zero."""
    text = f"its {title} is {value_cell(quality)}"
    if difference is None or difference.value is None:
        return text
    side = _clear_side(difference, 0.0)
    if side == 0:
        return f"{text} (no clear change)"
    is_better = (side > 0) == (quality.direction != "lower")
    return f"{text} ({'better' if is_better else 'worse'} than the reference's)"
