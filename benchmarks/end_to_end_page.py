"""The table of texts in, entities out in docs/results.md: benchmarks/results/end_to_end.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = ["tool", "model", "texts in a batch", "sentences a second", "faster", "f1", "f1 kept"]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each side."""
    first = values["rows"][0]
    return [
        [
            "transformers' pipeline" if row["tool"] == "pipeline" else row["tool"],
            row["name"],
            str(row["batch"]),
            f"{row['sentences_per_second']['value']:.0f}",
            "–" if row is first else _ratio(row["faster"]),
            f"{row['f1']:.4f}",
            "–" if row is first else f"{100 * row['f1'] / first['f1']:.1f} %",
        ]
        for row in values["rows"]
    ]


def settings(values: Mapping[str, Any]) -> str:
    """What was timed, and whether the seconds can be trusted."""
    given = values["settings"]
    return (
        f"{given['rounds']} rounds of {given['sentences']} sentences in turns. The load of the "
        f"machine was {given['load']:.1f} before."
    )


def _ratio(value: Mapping[str, float]) -> str:
    return f"{value['value']:.1f}x [{value['low']:.1f}, {value['high']:.1f}]"
