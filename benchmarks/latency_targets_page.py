"""The table of latency targets in docs/results.md: benchmarks/results/latency_targets.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = ["target", "served as", "predicted", "measured", "time off by", "after tries", "reached"]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each target."""
    return [
        [
            row["asked"],
            f"{row['form']} ({row['engine']})",
            f"{row['predicted']:.2f}x",
            _measured(row),
            f"{100 * row['deviation']:+.1f} %",
            str(row["tries"]),
            f"{row['reached']:.2f}x",
        ]
        for row in values["rows"]
    ]


def _measured(row: Mapping[str, Any]) -> str:
    interval = f" [{row['low']:.2f}, {row['high']:.2f}]" if row["low"] and row["high"] else ""
    return f"{row['measured']:.2f}x{interval}"
