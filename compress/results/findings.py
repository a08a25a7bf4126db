"""Warnings about steps that brought no gain, and about models that learnt nothing."""

from __future__ import annotations

from collections.abc import Iterator

from compress.measurement import Baseline, Measurement
from compress.quantities import (
    FLIPS,
    LATENCY,
    MEAN_ANSWER,
    MEMORY,
    NONZERO,
    QUALITY,
    SIZE,
    SPEEDUP,
)
from compress.results.against import Against
from compress.results.equal import factor, is_equal, is_smaller
from compress.results.report import Finding, Report
from compress.results.step import StepResult

LEARNT_NOTHING = "learnt_nothing"
"""The kind of a finding that a run tells as soon as it is known."""

_AS_FAST = 0.02
"""A speed that differs by less than this share is no finding, whatever its interval."""
_AS_LONG = 0.1
"""Answers whose mean length differs by less than this share are as long."""
_SPARSER = 0.05
"""Share of weights that must have become zero for a model to count as sparse. Training alone moves
far fewer."""


def findings(report: Report) -> tuple[Finding, ...]:
    """A sentence for each model that learnt nothing, and for each step that brought no gain, with
    the known remedy. Intervals decide: noise alone makes no finding of a step.

    A step is compared with the one before it. In a report without steps (``compress bench``), each
    model is compared with the reference."""
    steps = [step for step in report.steps if step.role == "step"]
    benched = [step for step in report.steps if step.role == "input"]
    candidates = [_first_that_learnt_nothing(report)]
    for step in steps or benched:
        candidates += _of_step(step, report)
    return tuple(finding for finding in candidates if finding is not None)


def _of_step(step: StepResult, report: Report) -> Iterator[Finding | None]:
    """What is found by comparing a step, with None where there is nothing to say."""
    before = step.against_parent if step.role == "step" else step.against_reference
    if before is not None:
        yield _smaller_but_slower(step, before)
        yield _sparse_not_smaller(step, before)
        yield _changed_nothing(step, before, report)
    yield _slower_than_reference_engine(step, report)
    yield _other_length(step, report)


def _first_that_learnt_nothing(report: Report) -> Finding | None:
    """One finding for all models that learnt nothing: what is made from the first can be no better,
    and says nothing new."""
    # An engine's conversion answers as the reference does.
    models = [step for step in report.steps if step.role != "reference-engine"]
    found = [finding for finding in map(_learnt_nothing, models) if finding]
    if len(found) < 2:
        return found[0] if found else None
    first, others = found[0], [finding.step for finding in found[1:]]
    verb = "is" if len(others) == 1 else "are"
    return first.model_copy(
        update={"text": f"{first.text}; neither {verb} {' nor '.join(others)} shown to be better"}
    )


def _learnt_nothing(step: StepResult) -> Finding | None:
    """A model whose score is not shown to be better than that of the most frequent answer: the
    interval of the difference reaches 0."""
    quality = step.measured(QUALITY)
    baseline = quality.baseline if quality else None
    if quality is None or baseline is None or _is_better(quality, baseline):
        return None
    name = quality.title or QUALITY
    return _finding(
        step,
        LEARNT_NOTHING,
        f"is not shown to be better than one answer for every text: its {name} is "
        f"{quality.value:.3f}, and the most frequent answer has {baseline.value:.3f}: what is made "
        "from it can be no better, so check its labels and data, or train it longer",
    )


def _is_better(quality: Measurement, baseline: Baseline) -> bool:
    """Whether the whole interval of the difference is on the good side of 0; without an interval,
    whether the difference is."""
    if quality.direction == "lower":
        ends = (baseline.high, baseline.difference)
        return next(-end for end in ends if end is not None) > 0
    ends = (baseline.low, baseline.difference)
    return next(end for end in ends if end is not None) > 0


def _smaller_but_slower(step: StepResult, before: Against) -> Finding | None:
    size, speed = before.quotient(SIZE), _slower_speed(before)
    if size is None or not is_smaller(SIZE, size) or speed is None or speed > 1 - _AS_FAST:
        return None
    memory = before.quotient(MEMORY)
    memory = 1.0 if memory is None else memory
    is_less = is_smaller(MEMORY, memory)
    is_more = not is_less and not is_equal(MEMORY, memory)
    more_memory = f", and needs {factor(memory)} the memory" if is_more else ""
    short = "memory" if is_less else "disk space"
    return _finding(
        step,
        "smaller_but_slower",
        f"is {factor(1 / size)} smaller than {before.name} and {factor(1 / speed)} slower"
        f"{more_memory}: take it where {short} is short, and another format or engine where time "
        "is",
    )


def _sparse_not_smaller(step: StepResult, before: Against) -> Finding | None:
    size, change = before.quotient(SIZE), before.changes.get(NONZERO)
    nonzero = step.value(NONZERO)
    if size is None or change is None or nonzero is None:
        return None
    if is_smaller(SIZE, size) or change.difference >= -_SPARSER:
        return None
    return _finding(
        step,
        "sparse_not_smaller",
        f"has {100 * (1 - nonzero):.0f} % of its weights at zero and is no smaller than "
        f"{before.name}: zeros are stored and multiplied like any number, so prune whole heads, "
        "neurons or layers instead (structured pruning)",
    )


def _changed_nothing(step: StepResult, before: Against, report: Report) -> Finding | None:
    """A step after which every answer is as before, and so are size, speed and, where they were
    measured, memory and the share of zeros. Another format or precision is a change by itself."""
    flips = before.compared(FLIPS)
    if step.role != "step" or flips is None or flips.value != 0 or not flips.n:
        return None
    if not _costs_the_same(before) or _form_of(step) != _form_of(report.step(before.name)):
        return None
    return _finding(
        step,
        "changed_nothing",
        f"changed nothing: it decides all {flips.n} cases as {before.name} does, is as large and "
        "no faster: give it options that do more, or leave the step out",
    )


def _slower_than_reference_engine(step: StepResult, report: Report) -> Finding | None:
    """A final model that is faster than the reference in eager PyTorch, and slower than the
    reference in its fastest engine."""
    if any(other.parent == step.name for other in report.steps):
        return None
    fastest, reference = step.against_fastest, step.against_reference
    speed = _slower_speed(fastest) if fastest else None
    if fastest is None or speed is None or (reference and fastest.name == reference.name):
        return None
    return _finding(
        step,
        "slower_than_reference_engine",
        f"is slower ({speed:.2f}x) than {fastest.name}, the uncompressed reference in a faster "
        "engine: export it, or deploy the reference there",
    )


def _other_length(step: StepResult, report: Report) -> Finding | None:
    """A model that writes answers of another length than the reference while both are timed."""
    reference = report.step(report.reference)
    own, other = _mean_answer(step), _mean_answer(reference)
    if reference is None or not own or not other or abs(own / other - 1) < _AS_LONG:
        return None
    kind = "less" if own < other else "more"
    return _finding(
        step,
        "other_length",
        f"writes {kind} than {reference.name}: {own:.1f} tokens an answer, and {other:.1f}; the "
        "ratio of their latencies is of these answers, and that of the next token is of equal "
        "lengths",
    )


def _mean_answer(step: StepResult | None) -> float | None:
    """The mean number of tokens of the answers that were timed; None if none were generated."""
    latency = step.measured(LATENCY) if step else None
    tokens = latency.conditions.get(MEAN_ANSWER) if latency else None
    return tokens if isinstance(tokens, int | float) else None


def _finding(step: StepResult, kind: str, text: str) -> Finding:
    return Finding(step=step.name, kind=kind, text=f"{step.name} {text}")


def _slower_speed(against: Against) -> float | None:
    """The ratio of speeds, if its whole interval is below 1: the step is slower. Else None."""
    ratio = against.compared(SPEEDUP)
    is_slower = ratio is not None and ratio.high is not None and ratio.high < 1
    return ratio.value if ratio and is_slower else None


def _costs_the_same(before: Against) -> bool:
    """Whether size, speed and zeros are as before and memory is no less. More memory is no gain."""
    size, memory = before.quotient(SIZE), before.quotient(MEMORY)
    nonzero = before.changes.get(NONZERO)
    return (
        size is not None
        and is_equal(SIZE, size)
        and _is_as_fast(before)
        and (memory is None or not is_smaller(MEMORY, memory))
        and (nonzero is None or abs(nonzero.difference) < _SPARSER)
    )


def _is_as_fast(before: Against) -> bool:
    """Whether the interval of the ratio of speeds holds 1, or the ratio is close to it."""
    ratio = before.compared(SPEEDUP)
    if ratio is None or ratio.value is None:
        return False
    holds_one = ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high
    return holds_one or abs(ratio.value - 1) < _AS_FAST


def _form_of(step: StepResult | None) -> tuple[str, str] | None:
    return (step.traits.format, step.traits.precision) if step else None
