"""Backing off: a step that misses its budget is made again with less compression, until a try
meets it or none is left. Then one of the tries is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from compress.errors import NothingChanged
from compress.measure.reuse import copy_unless_equal
from compress.options import Options, flat
from compress.planning import Step
from compress.planning.backoff import milder_options, with_options
from compress.planning.budget import Budget
from compress.quantities import QUALITY
from compress.results.outcomes import Verdict, shortfall, verdict_text
from compress.results.record import Record
from compress.results.step import AttemptResult
from compress.running.budgets import step_verdicts
from compress.running.measuring import measure_together
from compress.running.run import Run
from compress.running.steps import make_step


@dataclass(frozen=True)
class Attempt:
    """One try: the step with its options, its record, and the verdicts of the step's budget."""

    step: Step
    record: Record
    verdicts: tuple[Verdict, ...]

    @property
    def met(self) -> bool:
        """Whether it meets every limit."""
        return all(verdict.met for verdict in self.verdicts)

    def result(self) -> AttemptResult:
        """The try as the report shows it."""
        measured = self.record.measured
        return AttemptResult(
            options=self.step.options.model_dump(mode="json"),
            digest=self.record.artifact.digest,
            seconds=self.record.seconds,
            measuring_seconds=measured.seconds if measured else 0.0,
            verdicts=self.verdicts,
        )


def back_off(run: Run, step: Step, budget: Budget, index: int) -> None:
    """Make and measure the step, and again with milder options until it meets its budget.

    The tries are named ``step@try-1`` and so on. The step's own name leads to the chosen try."""
    attempts = [_attempt(run, step, index, 1)]
    while _is_worth_another(attempts, budget):
        another = _try_milder(run, attempts, index)
        if another is None:
            break
        attempts.append(another)
    chosen = _choose(attempts)
    place = run.folder.link(index, step.name, chosen.record.artifact.folder)
    number = attempts.index(chosen) + 1
    copy_unless_equal(run.folder.measured(_label(step, number)), run.folder.measured(step.name))
    tries = [attempt.result() for attempt in attempts]
    run.records[step.name] = replace(chosen.record, place=place, attempts=tries)


def _try_milder(run: Run, attempts: Sequence[Attempt], index: int) -> Attempt | None:
    """The next try; None where no milder options exist, or where the stage changes nothing with
    them."""
    last = attempts[-1]
    milder = milder_options(last.step)
    if milder is None:
        return None
    name, changes = last.step.name, _changed_options(last.step.options, milder)
    missed = f"{name} misses its budget: {verdict_text(last.verdicts)}"
    run.events.note(f"{missed}; trying again with {changes}")
    try:
        return _attempt(run, with_options(last.step, milder, run.plan), index, len(attempts) + 1)
    except NothingChanged:
        run.events.note(f"{name}: nothing is taken with {changes}")
        return None


def _attempt(run: Run, step: Step, index: int, number: int) -> Attempt:
    label = _label(step, number)
    make_step(run, step, index, label)
    measure_together(run, [step.name], step.task, step.data, label)
    return Attempt(step, run.records[step.name], step_verdicts(run, step))


def _label(step: Step, number: int) -> str:
    return f"{step.name}@try-{number}"


def _choose(attempts: Sequence[Attempt]) -> Attempt:
    """The first attempt that meets the budget; where none does, the nearest, and of equally near
    ones the first."""
    return min(attempts, key=lambda attempt: (not attempt.met, shortfall(attempt.verdicts)))


def _is_worth_another(attempts: Sequence[Attempt], budget: Budget) -> bool:
    """Whether milder options may still meet the budget: the measured quality misses it, and a try
    is left. Milder options make a model better, but neither smaller nor faster."""
    verdicts = attempts[-1].verdicts
    missed = any(v.met is False for v in verdicts if v.quantity == QUALITY)
    return missed and len(attempts) <= budget.tries


def _changed_options(before: Options, after: Options) -> str:
    """The options that differ, in words: ``feed_forward 0.25``, ``student.layers 3``."""
    old, new = flat(before.model_dump(mode="json")), flat(after.model_dump(mode="json"))
    words = []
    for name, value in new.items():
        if value != old.get(name):
            words.append(f"{name} {'none' if value is None else value}")
    return ", ".join(words)
