"""The tables of two processes in docs/results.md: benchmarks/results/twoprocesses.json."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

HEADERS = [
    "batches for a step",
    "steps",
    "largest difference of losses",
    "seconds per step, 1 process",
    "2 processes",
    "each row seen once",
]
LOSS_HEADERS = ["step", "loss in 1 process", "in 2 processes", "difference"]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each number of batches that a step has."""
    return [
        [
            str(row["accumulation"]),
            f"{row['trainings']} x {row['steps']}",
            f"{row['largest_difference']:.1e}",
            *(_seconds(row["seconds"][processes]) for processes in ("1", "2")),
            "yes" if row["rows_seen_once"] else "NO",
        ]
        for row in values["rows"]
    ]


def loss_rows(values: Mapping[str, Any]) -> list[list[str]]:
    """The losses of the first training side by side, every fourth step."""
    pairs = list(zip(values["losses"]["1"], values["losses"]["2"], strict=True))
    return [
        [str(i + 1), f"{one:.6f}", f"{two:.6f}", f"{abs(one - two):.1e}"]
        for i, (one, two) in enumerate(pairs)
        if i % 4 == 0 or i == len(pairs) - 1
    ]


def load_text(values: Mapping[str, Any]) -> str:
    """Whether the seconds can be trusted."""
    load = values["settings"]["load"]
    if load < 3:  # the two processes themselves
        return "The machine did nothing else."
    return (
        f"The machine had other work meanwhile (a load of {load:.1f} on its cores): the losses do "
        "not depend on that, and the seconds are rough."
    )


def _seconds(runs: list[float]) -> str:
    return f"{median(runs):.3f} ({min(runs):.3f} to {max(runs):.3f})"
