"""An example of any length: what a token is does not matter to the time, so one test example is repeated or cut."""

from __future__ import annotations

import json
from typing import Any

from compress.meter import Probe
from compress.sizes import positions
from compress.task import Features, Row, Task

_SPECIAL = 3
"""Special tokens that a tokenizer adds to a pair of texts at most."""


def stretched(probe: Probe, length: int) -> Features:
    """The features of the first test example, repeated or cut to ``length`` tokens.

    Lists by token are stretched with it. Others hold positions, of which those that are cut go."""
    features = probe.features[0]
    count = probe.task.length(features)

    def fitted(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        if len(value) == count:
            return (value * (length // count + 1))[:length]
        return [x for x in value if not isinstance(x, int) or x < length]

    return {name: fitted(value) for name, value in features.items()}


def stretched_row(probe: Probe, length: int) -> tuple[Row, Task[Any]]:
    """The first test row with its texts repeated, and the task that cuts it to ``length`` tokens."""
    row, columns = probe.rows[0], {column.name for column in probe.task.columns}
    times = length // max(1, probe.task.length(probe.features[0]) - _SPECIAL) + 1
    words = next((len(v) for v in row.values() if isinstance(v, list) and v and isinstance(v[0], str)), None)

    def fitted(name: str, value: Any) -> Any:
        if isinstance(value, str) and name in columns:
            return " ".join([value] * times)
        return value * times if isinstance(value, list) and len(value) == words else value

    task = type(probe.task)(probe.task.options.model_copy(update={"max_length": length}))
    return {name: fitted(name, value) for name, value in row.items()}, task


def most_tokens(probe: Probe) -> float:
    """How many tokens the model takes, as its config says; no limit where it does not."""
    file = probe.artifact.folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    limit = positions(config)
    return float("inf") if limit is None else limit
