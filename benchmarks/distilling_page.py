"""The table of a step's cost in docs/results.md: benchmarks/results/distilling.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = ["what the student learns from", "time of a step", "against labels alone"]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each kind of step."""
    return [
        [row["step"], f"{row['milliseconds']:.0f} ms", _ratio(row["against_labels"])]
        for row in values["rows"]
    ]


def settings(values: Mapping[str, Any]) -> str:
    """What was timed."""
    arithmetic = "bf16" if values["bf16"] else "float32"
    return (
        f"A vocabulary of {values['vocabulary']} tokens, {values['bytes_a_token']:.0f} bytes kept "
        f"of each answer, {values['steps']} steps of each kind in turns, in {arithmetic}."
    )


def _ratio(value: Mapping[str, float]) -> str:
    if value["low"] == value["high"] == 1:
        return "–"
    return f"{value['value']:.2f}x [{value['low']:.2f}, {value['high']:.2f}]"
