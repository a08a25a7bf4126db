"""The summary of a run's data: what was counted when they were prepared, with the lengths in tokens
of the run's own model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.artifact import Artifact
from compress.planning import TaskChoice
from compress.planning.types import MODEL
from compress.report.datatext import split_lines
from compress.results.datawarnings import data_warnings
from compress.running.run import Run
from compress.store.prepared import Prepared
from compress.store.summary import DataSummary, Lengths, TokenLengths, with_tokens
from compress.task import Task, TextTaskOptions

_MOST = 2000
"""Examples of a split that are counted in tokens: enough for the shares that are shown, and done in
about a second."""
NEVER_CUT = 1 << 24
"""Tokens that no example has."""


def summarise_data(run: Run) -> None:
    """Keep the summary of each of the run's data for the report, and emit it with a line for each
    split and one for each warning."""
    for name, data, task in run.plan.different_data():
        summary = _summary(run.products.prepared(data, task), task, run.artifacts.get(MODEL))
        run.summaries[name] = summary
        warnings = [f"warning: {text}" for text in data_warnings(summary)]
        run.events.emit("data_summary", name=name, lines=[*split_lines(summary), *warnings])


def _summary(prepared: Prepared, task: TaskChoice, model: Artifact | None) -> DataSummary:
    """The summary, with lengths in tokens where the task reads texts and the recipe's model has a
    tokenizer. A fresh model gets it in its first step."""
    options = task.options
    if (
        model is None
        or model.traits.format != "pytorch"
        or not isinstance(options, TextTaskOptions)
    ):
        return prepared.summary
    longest = options.model_copy(update={"max_length": NEVER_CUT})
    return with_tokens(
        prepared.summary,
        token_lengths(prepared, task.entry.cls(longest), model, options.max_length),
    )


def token_lengths(
    prepared: Prepared, uncut: Task[Any], model: Artifact, max_length: int
) -> Mapping[str, TokenLengths]:
    """The lengths of each split's examples. ``uncut`` is the task that cuts none. A task that
    reads a row in several parts, such as windows, loses nothing of it."""
    processor = uncut.processor(model.folder)
    found = {}
    for split in prepared.contents.sizes:
        rows = prepared.rows(split)
        rows = rows[:: max(1, -(-len(rows) // _MOST))]
        features = uncut.features(rows, processor)
        lengths = [uncut.length(one) for one in features]
        is_read_in_parts = "row" in features[0]
        longer = 0 if is_read_in_parts else sum(length > max_length for length in lengths)
        cut = longer / len(lengths)
        found[split] = TokenLengths(
            of=len(lengths), max_length=max_length, cut=cut, lengths=Lengths.of(lengths)
        )
    return found
