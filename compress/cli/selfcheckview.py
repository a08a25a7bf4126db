"""The outcome of ``compress bench --self-check`` in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from compress.cli.catalogue import print_rows

_STEADY = "This machine measures as it must."
_NOISY = (
    "This machine is too noisy to be trusted with small differences now: close what else runs, and "
    "try again."
)

Ratios = Mapping[str, Mapping[str, Any]]
"""The reading of each ratio by its name: value, low, high, rounds and whether it is ok."""


def print_self_check(outcome: Mapping[str, Any], console: Console) -> None:
    """Print each ratio with what it must read, and a sentence on the whole."""
    within, slowdown = 100 * outcome["within"], 100 * outcome["slowdown"]
    same = _rows("the same model", outcome["same"], f"1.00 within {within:.0f} %")
    slowed = _rows(
        f"the same, slowed by {slowdown:.0f} %", outcome["slowed"], "an interval below 1.00"
    )
    print_rows([*same, *slowed], console)
    console.print(_STEADY if outcome["ok"] else _NOISY)


def _rows(side: str, ratios: Ratios, must: str) -> Iterator[dict[str, str]]:
    for name, ratio in ratios.items():
        yield {
            "side": side,
            "ratio": name,
            "reads": f"{ratio['value']:.4f} [{ratio['low']:.4f}, {ratio['high']:.4f}]",
            "rounds": str(ratio["rounds"]),
            "must read": must,
            "ok": "yes" if ratio["ok"] else "NO",
        }
