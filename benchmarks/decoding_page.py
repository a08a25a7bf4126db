"""The table of decoding in docs/results.md: benchmarks/results/decoding.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = [
    "engine",
    "weights on disk",
    "first token",
    "each further token",
    "tokens a second",
    "faster than torch",
    "faster than onnxruntime",
    "tokens before the first that differs",
]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each engine."""
    new = values["settings"]["new"]
    whole = next(row["bytes"] for row in values["rows"] if row["name"] == "onnxruntime")
    return [
        [
            row["name"],
            f"{row['bytes'] / 1e6:.1f} MB ({100 * row['bytes'] / whole:.1f} %)",
            f"{row['first_token_ms']['value']:.1f} ms",
            f"{row['token_ms']['value']:.1f} ms",
            f"{row['tokens_per_second']['value']:.1f}",
            _ratio(row["faster"].get("torch")),
            _ratio(row["faster"].get("onnxruntime")),
            f"{round(row['same_tokens'] * new)} of {new}",
        ]
        for row in values["rows"]
    ]


def settings(values: Mapping[str, Any]) -> str:
    """What was timed."""
    given = values["settings"]
    return (
        f"A GPT-2 of {given['layers']} layers with random weights: a prompt of {given['prompt']} "
        f"tokens, {given['new']} new ones, one text at a time, {given['rounds']} rounds in turns. "
        f"Load before: {given['load']:.1f}."
    )


def _ratio(value: Mapping[str, float] | None) -> str:
    if value is None:
        return "–"
    return f"{value['value']:.2f}x [{value['low']:.2f}, {value['high']:.2f}]"
