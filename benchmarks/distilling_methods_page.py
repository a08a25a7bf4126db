"""The table of distillation methods in docs/results.md:
benchmarks/results/distilling-methods.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = ["training", "whole", "stock takes", "a step, against labels alone", "validation F1"]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each arm."""
    return [
        [
            row["arm"],
            f"{row['seconds']['value']:.1f} s",
            "–" if row["arm"] == "stock" else _ratio(row["stock_against_it"]),
            "–" if row["arm"] in ("stock", "labels") else _ratio(row["step_against_labels"]),
            _scores(row["f1"]),
        ]
        for row in values["rows"]
    ]


def settings(values: Mapping[str, Any]) -> str:
    """What was timed."""
    of_round = values["settings"]
    return (
        f"{of_round['rounds']} rounds; each training has {of_round['epochs']} epochs of "
        f"{of_round['sentences']} sentences."
    )


def _scores(scores: list[Mapping[str, Any]]) -> str:
    parts = [
        f"{one['f1']:.4f} (seed {one['seed']}, {one['epochs']} epochs, all sentences, "
        f"{one['seconds'] / 60:.0f} minutes)"
        for one in scores
    ]
    return "; ".join(parts) or "–"


def _ratio(value: Mapping[str, float]) -> str:
    return f"{value['value']:.2f}x [{value['low']:.2f}, {value['high']:.2f}]"
