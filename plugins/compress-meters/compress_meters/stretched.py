"""Examples of any length. Which tokens they hold does not matter to the time, so one test
example is repeated or cut."""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import Any

import numpy as np

from compress.meter import Probe
from compress.sizes import positions
from compress.task import Batch, Features, Row, Task

_SPECIAL = 4
"""Special tokens that a tokenizer adds to a pair of texts at most (RoBERTa's)."""


def stretched(probe: Probe, length: int) -> Features:
    """The features of the first test example, repeated or cut to ``length`` tokens.

    Lists with one value per token are repeated or cut too, before their last value: some heads
    read the end token. Other lists hold positions of tokens; positions beyond the new length are
    left out."""
    features = probe.features[0]
    count = probe.task.length(features)
    return {name: _fitted(value, count, length) for name, value in features.items()}


def _fitted(value: Any, count: int, length: int) -> Any:
    """A feature of an example of ``count`` tokens, for one of ``length`` tokens."""
    if not isinstance(value, list):
        return value
    if len(value) == count:
        first = value[:-1] or value
        return (first * (length // len(first) + 1))[: length - 1] + value[-1:]
    return [x for x in value if not isinstance(x, int) or x < length]


def stretched_row(probe: Probe, length: int) -> tuple[Row, Task[Any]]:
    """The first test row with its texts repeated or cut to ``length`` tokens, and a task
    whose ``max_length`` is that length."""
    row = probe.rows[0]
    task = type(probe.task)(probe.task.options.model_copy(update={"max_length": length}))
    texts = _texts(row, probe.task)
    times = length // max(1, probe.task.length(probe.features[0]) - _SPECIAL) + 1

    def cut_to(units: int) -> Row:
        """The row with ``units`` characters of each text, or as many words."""
        return {**row, **{name: _repeated(text, times)[:units] for name, text in texts.items()}}

    def tokens(units: int) -> int:
        return task.length(task.features([cut_to(units)], probe.processor)[0])

    longest = max((len(_repeated(text, times)) for text in texts.values()), default=1)
    # More units never make fewer tokens, so bisection gives the fewest that make enough.
    return cut_to(bisect_left(range(longest), length, lo=1, key=tokens)), task


def _texts(row: Row, task: Task[Any]) -> dict[str, Any]:
    """The columns of the row that hold a text, words, or one value for each word."""
    columns = {column.name for column in task.columns}
    values = {name: value for name, value in row.items() if name in columns}
    words = _word_count(row)
    texts = {}
    for name, value in values.items():
        if isinstance(value, str) or (isinstance(value, list) and len(value) == words):
            texts[name] = value
    return texts


def _word_count(row: Row) -> int | None:
    """The length of the row's first list of words; None where it has none."""
    for value in row.values():
        if isinstance(value, list) and value and isinstance(value[0], str):
            return len(value)
    return None


def _repeated(text: Any, times: int) -> Any:
    return " ".join([text] * times) if isinstance(text, str) else text * times


def stretched_prompts(prompts: Batch, length: int, batch: int) -> Batch:
    """The prompt of one example, repeated or cut to ``length`` tokens, as often as a ``batch`` has
    examples. Its last token stays the last. What has no value for each token is as it was, such as
    the beginning of the answer."""
    made = {}
    for name, array in prompts.items():
        if array.shape == prompts.get("attention_mask", np.empty(0)).shape:
            own = array.shape[1]
            columns = np.append(np.arange(length - 1) % max(1, own - 1), own - 1)
            array = array[:, columns]
        made[name] = np.repeat(array, batch, axis=0)
    return made


def most_tokens(probe: Probe) -> float:
    """The most tokens that the model has positions for; infinite where its config has no
    limit."""
    file = probe.artifact.folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    limit = positions(config)
    return float("inf") if limit is None else limit
