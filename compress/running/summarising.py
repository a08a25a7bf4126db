"""The summary of a run's data: what was counted when they were prepared, with the lengths in tokens
of the run's own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.artifact import Artifact
from compress.planning import TaskChoice
from compress.planning.types import MODEL
from compress.report.datatext import split_lines
from compress.results.datawarnings import data_warnings
from compress.running.run import Run
from compress.store.prepared import Prepared
from compress.store.summary import DataSummary, Lengths, TokenLengths, with_tokens
from compress.task import Row, Task, TextTaskOptions

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
    uncut = task.entry.cls(options.model_copy(update={"max_length": NEVER_CUT}))
    return with_tokens(
        prepared.summary, token_lengths(prepared, task.make(), uncut, model, options.max_length)
    )


def token_lengths(
    prepared: Prepared, task: Task[Any], uncut: Task[Any], model: Artifact, max_length: int
) -> Mapping[str, TokenLengths]:
    """The lengths of each split's examples. ``uncut`` is ``task`` as it would be if it cut none.

    An example that ``task`` reads in several parts is not cut by that."""
    processor = uncut.processor(model.folder)
    found = {}
    for split in prepared.contents.sizes:
        rows = prepared.rows(split)
        rows = rows[:: max(1, -(-len(rows) // _MOST))]
        lengths = _lengths(uncut, rows, processor)
        long = [place for place, length in enumerate(lengths) if length > max_length]
        kept = _lengths(task, [rows[place] for place in long], processor)
        cut = sum(length < lengths[place] for place, length in zip(long, kept, strict=True))
        found[split] = TokenLengths(
            of=len(lengths),
            max_length=max_length,
            cut=cut / len(lengths),
            lengths=Lengths.of(lengths),
        )
    return found


def _lengths(task: Task[Any], rows: Sequence[Row], processor: Any) -> list[int]:
    """The length of each row, with all of its parts."""
    lengths = [0] * len(rows)
    for place, features in enumerate(task.features(rows, processor) if rows else ()):
        lengths[features.get("row", place)] += task.length(features)
    return lengths
