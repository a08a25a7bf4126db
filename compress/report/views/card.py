"""Model cards: what an artifact is, its numbers, its limits, and how to load it.

A card is a README for the artifact's folder, with the front matter that the Hugging Face hub reads
(https://huggingface.co/docs/hub/model-cards)."""

from __future__ import annotations

from collections.abc import Iterator

from compress.options import flat
from compress.quantities import BATCHED_CHANGES, BATCHED_DIFFERENCE, QUALITY
from compress.report.conditions import conditions_text
from compress.report.headline import step_sentence
from compress.report.tables.table import Table
from compress.report.text import detail_text, number_text, spaced, value_cell, value_with_interval
from compress.report.views.escaped import bullets, escape, fenced, md_table
from compress.report.views.frontmatter import data_name, front_matter_text, without_folder
from compress.results.against import Against
from compress.results.examples import incomparable_names
from compress.results.report import Report
from compress.results.step import StepResult, Usage

_SHOWN_LABELS = 20
"""A card names at most as many labels."""
_NOTES_ON_TRAITS = {
    "int8": "Its weights are int8: answers may differ between processors, and speed depends on "
    "their int8 instructions.",
    "fake-quantized": "Its weights are float and rounded to what int8 can hold: it is to be "
    "exported, and is itself not smaller.",
    "free": "Its layers have sizes that a stock config cannot state: plain from_pretrained cannot "
    "open it.",
}
"""What a precision or a shape means for the user of a model."""


def deployable(report: Report) -> list[StepResult]:
    """The artifacts that somebody may deploy: the reference and the steps for the recipe's task
    that no other step was made from, and the best step."""
    made = [step for step in report.steps if step.role in ("step", "reference")]
    parents = {step.parent for step in made}
    best = report.budget.best if report.budget else None
    serving = [step for step in made if step.task == report.task.name]
    return [step for step in serving if step.name not in parents or step.name == best]


def card(step: StepResult, report: Report, usage: Usage | None = None) -> str:
    """The model card of a step as Markdown with front matter. ``usage`` is how the artifact is used
    where it is now; by default it is loaded from the run's folder."""
    place = "" if usage else " The folder is relative to that of the run."
    shown = usage or step.usage
    needs, code = escape(", ".join(shown.packages)), fenced(shown.code, "python")
    parts = [
        f"---\n{front_matter_text(step, report)}---",
        f"# {escape(step.name)} of {escape(report.name)}",
        escape(_what(step, report)),
        "## How it was made\n\n" + "\n".join(_chain(step, report)),
        "## Numbers\n\n" + "\n\n".join(_numbers(step)),
        "## Limits\n\n" + bullets(_limits(step, report)),
        f"## Loading it\n\nIt needs {needs}.{place}\n\n{code}",
    ]
    return "\n\n".join(parts) + "\n"


def _what(step: StepResult, report: Report) -> str:
    traits = step.traits
    labels = f" Its labels are {_labels_text(step)}." if step.labels else ""
    compared = f"{step_sentence(step, report)} " if step.against_reference else ""
    return (
        f"{compared}A model for {step.task}, made smaller or faster by compress "
        f"{report.compress_version}; {traits.format}, {traits.precision}."
        f"{_start(step, report)}{labels}"
    )


def _labels_text(step: StepResult) -> str:
    """The labels, or the first of many with their number."""
    shown, more = step.labels[:_SHOWN_LABELS], len(step.labels) - _SHOWN_LABELS
    return ", ".join(shown) + (f" and {more} more, which its config names" if more > 0 else "")


def _start(step: StepResult, report: Report) -> str:
    """A sentence on the model that it starts from; empty where nothing is known of it."""
    if step.base:
        return f" It starts from {step.base}."
    first = _ancestry(step, report)[0]
    return "" if first.stage == "import" else " It was trained from random weights."


def _chain(step: StepResult, report: Report) -> Iterator[str]:
    """A line for each step that led to this one, oldest first, with its options and seed."""
    for place, one in enumerate(_ancestry(step, report), start=1):
        options = ", ".join(_settings(one))
        with_options = f": {escape(options)}" if options else ""
        yield f"{place}. {escape(one.name)} ({escape(one.stage)}){with_options}"


def _settings(step: StepResult) -> Iterator[str]:
    """The options that a step was made with, and its seed."""
    for name, value in flat(step.options).items():
        if value is not None and value != []:
            yield f"{name} {without_folder(str(value))}"
    if step.seed is not None:
        yield f"seed {step.seed}"


def _ancestry(step: StepResult, report: Report) -> list[StepResult]:
    """The steps that led to this one, oldest first, and this one."""
    chain: list[StepResult] = []
    ancestor: StepResult | None = step
    while ancestor is not None and ancestor not in chain:
        chain.insert(0, ancestor)
        ancestor = report.step(ancestor.parent)
    return chain


def _numbers(step: StepResult) -> list[str]:
    """The measurements as a table, and how they compare with the reference."""
    rows = []
    for name, m in step.measurements.items():
        if m.value is not None:
            under = conditions_text(m.conditions)
            rows.append([m.title or name, value_with_interval(m), number_text(m.n), under])
    if not rows:
        return ["Nothing was measured."]
    measured = md_table(Table(["measurement", "value", "n", "measured with"], rows))
    compared = [
        _comparison_table(step.against_reference, "the reference"),
        _comparison_table(step.against_engine, "the reference in its fastest float engine"),
    ]
    return ["Brackets hold 95 % intervals.", measured, *filter(None, compared)]


def _comparison_table(against: Against | None, called: str) -> str:
    """The comparisons with another artifact as a table; empty where nothing was compared."""
    rows = []
    for name, m in against.comparisons.items() if against else ():
        if m.value is not None:
            rows.append([spaced(name), value_with_interval(m), detail_text(m)])
    if against is None or not rows:
        return ""
    table = md_table(Table(["comparison", "value", "more"], rows))
    return f"Against {escape(against.name)}, {called}:\n\n{table}"


def _limits(step: StepResult, report: Report) -> Iterator[str]:
    for finding in report.findings:
        if finding.step == step.name:
            yield finding.text
    yield from _limits_of_quality(step, report)
    yield from _limits_of_batches(step)
    environment = report.environment
    machine = [environment.processor, *environment.gpus, f"{environment.threads} threads"]
    yield f"Times and memory are those of one machine: {', '.join([*machine, environment.system])}."
    for trait in (step.traits.precision, step.traits.shape):
        if trait in _NOTES_ON_TRAITS:
            yield _NOTES_ON_TRAITS[trait]
    for name, m in step.measurements.items():
        if m.absent:
            yield f"Not measured: {spaced(name)}, {m.absent}."


def _limits_of_quality(step: StepResult, report: Report) -> Iterator[str]:
    if step.name in incomparable_names(report):
        yield (
            "Quality was measured on other test examples than the reference's: the two scores are "
            "not to be compared."
        )
    elif report.data and step.value(QUALITY) is not None:
        yield (
            f"Quality was measured on one data set ({data_name(report.data)}), its test split; on "
            "other texts it may be another."
        )


def _limits_of_batches(step: StepResult) -> Iterator[str]:
    """What a batch changes; nothing where no answer differs by more than rounding."""
    share, largest = step.measured(BATCHED_CHANGES), step.measured(BATCHED_DIFFERENCE)
    if largest is None or largest.detail.get("equal") is not False:
        return
    decided = f"{value_cell(share)} of the decisions, and " if share else ""
    yield (
        f"Its answers change with the other texts of a call: {decided}scores by up to "
        f"{number_text(largest.value)}, in batches of {largest.conditions.get('batch')}. Quality "
        "was measured one text at a time: use the model so."
    )
