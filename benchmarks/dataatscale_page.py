"""The section on large data of docs/results.md, made from benchmarks/results/dataatscale.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.measurement import value_text

_DONE = {
    "datasets": "`datasets.load_dataset`",
    "prepare": "prepared",
    "train": "200 steps of training",
    "measure": "quality measured",
}
HEADERS = ["rows", "file", *_DONE.values()]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each number of rows: seconds, those of the processor, and peak memory."""
    return [
        [f"{row['rows']:,}", value_text(row["csv_bytes"], "bytes"), *(_cell(row[w]) for w in _DONE)]
        for row in values["rows"]
    ]


def settings(values: Mapping[str, Any]) -> str:
    """What else shaped the figures."""
    given = values["settings"]
    return (
        f"Seconds that passed (of a processor), and peak memory of the process; medians of "
        f"{given['rounds']} rounds. The load of the machine was {given['load']:.1f} at the end."
    )


def _cell(done: Mapping[str, float]) -> str:
    memory = value_text(done["peak_bytes"], "bytes")
    return f"{done['seconds']:.1f} s ({done['processor_seconds']:.1f} s), {memory}"
