"""Remarks on a report for its reader, a line each."""

from __future__ import annotations

from dataclasses import replace

from compress.measurement import Values
from compress.options import flat
from compress.quantities import QUALITY
from compress.report.text import value_cell
from compress.results.datawarnings import data_warnings
from compress.results.examples import incomparable_names
from compress.results.outcomes import BudgetOutcome, StepBudgetOutcome, verdict_text
from compress.results.report import Report, State
from compress.results.step import StepResult


def remarks(report: Report) -> list[str]:
    """The failure that ended a run, warnings about the data, findings, scores that are not
    compared, the tries of steps that backed off, and the outcomes of budgets."""
    lines = [f"failed: {report.failure}"] if report.failure else []
    lines += _about_data(report)
    lines += [f"finding: {finding.text}" for finding in report.findings]
    lines += _other_examples(report)
    lines += [_tries(step) for step in report.steps if len(step.attempts) > 1]
    lines += [_step_budget(name, outcome) for name, outcome in report.step_budgets.items()]
    return [*lines, _budget(report.budget, report.state)] if report.budget else lines


def _about_data(report: Report) -> list[str]:
    lines = []
    for name, summary in report.data_summaries.items():
        lines += [f"{name}: {text}" for text in data_warnings(summary)]
    return lines


def _other_examples(report: Report) -> list[str]:
    names = incomparable_names(report)
    if not names:
        return []
    return [
        f"other test examples than those of {report.reference} were answered by "
        f"{', '.join(names)}: scores are not compared, and the recipe's budget leaves them out"
    ]


def _step_budget(name: str, outcome: StepBudgetOutcome) -> str:
    how = "met" if outcome.met else "missed"
    return f"budget of {name} {how}: {verdict_text(outcome.verdicts)}"


def _budget(outcome: BudgetOutcome, state: State) -> str:
    """The outcome of the recipe's budget. While the run goes on, it is not missed yet."""
    name = outcome.best or outcome.nearest
    if name is None:
        how = "not decided yet" if state == "running" else "missed"
        return f"budget {how}: no step was measured that can be compared with the reference"
    measured = verdict_text(outcome.verdicts.get(name, ()))
    if state == "running":
        how = f"met so far by {name}" if outcome.met else f"not met so far; nearest is {name}"
        return f"budget {how} (the run goes on): {measured}"
    how = f"met; best is {name}" if outcome.met else f"missed; nearest is {name}"
    return f"budget {how}: {measured}"


def _tries(step: StepResult) -> str:
    """The tries of a step in order: the options that differ, and the outcome of the budget. It says
    which try counts."""
    options = [flat(attempt.options) for attempt in step.attempts]
    names = _differing(options)
    tries = []
    for attempt, values in zip(step.attempts, options, strict=True):
        counts = ", which counts" if attempt.digest == step.digest else ""
        tries.append(f"{_options_text(names, values)} ({verdict_text(attempt.verdicts)}){counts}")
    return f"tries of {step.name}: {'; '.join(tries)}"


def _differing(options: list[Values]) -> list[str]:
    """Names of the options whose value is not the same in all tries."""
    names = dict.fromkeys(name for values in options for name in values)
    return [name for name in names if not _all_agree(options, name)]


def _all_agree(options: list[Values], name: str) -> bool:
    first, *later = options
    return all(values.get(name) == first.get(name) for values in later)


def _options_text(names: list[str], values: Values) -> str:
    texts = []
    for name in names:
        value = values.get(name)
        texts.append(f"{name} {'none' if value is None else value}")
    return ", ".join(texts)


def absences(report: Report) -> list[str]:
    """A line for each kind of measurement that could not be taken, and for each engine that cannot
    run the reference, with the reason."""
    reasons = dict(report.unmeasured_engines)
    for step in report.steps:
        for name, m in step.measurements.items():
            if m.absent:
                reasons.setdefault(name, m.absent)
    return [f"{name}: {why}" for name, why in reasons.items()]


def reference_text(report: Report) -> str:
    """What the reference is, how it is run, its fastest float engine, and the score of the most
    frequent answer beside its own; empty where there is none."""
    reference = report.step(report.reference)
    if reference is None:
        return ""
    return f"{_reference_and_engine(reference, report)}{_most_frequent_answer(reference)}"


def _most_frequent_answer(reference: StepResult) -> str:
    """A sentence on the score of the most frequent answer; empty where it has none."""
    quality = reference.measured(QUALITY)
    if quality is None or quality.baseline is None:
        return ""
    fixed = value_cell(replace(quality, value=quality.baseline.value))
    return (
        f" Its {quality.title or QUALITY} is {value_cell(quality)}; the most frequent answer for "
        f"every text has {fixed}."
    )


def _reference_and_engine(reference: StepResult, report: Report) -> str:
    traits = reference.traits
    if traits.precision != "float":
        return f"The reference is {reference.name}, as {traits.format} {traits.precision}."
    eager = traits.format == "pytorch"
    how = "in eager PyTorch float32" if eager else f"as {traits.format} float"
    fastest = report.fastest_float_engine
    if fastest is None and report.effort == "quick":
        return f"The reference is {reference.name}, {how}; a quick run times it in no other engine."
    fastest = fastest or "not measured"
    return f"The reference is {reference.name}, {how}; its fastest float engine here is {fastest}."
