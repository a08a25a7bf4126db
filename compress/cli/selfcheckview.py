"""The outcome of ``compress bench --self-check`` in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from compress.cli.catalogue import print_rows


def print_self_check(found: Mapping[str, Any], console: Console) -> None:
    """Print each ratio with what it must read, and a sentence on the whole."""
    slowed = f"the same, slowed by {100 * found['slowdown']:.0f} %"
    rows = [
        _row(side, name, row, must)
        for side, table, must in (
            ("the same model", found["same"], f"1.00 within {100 * found['within']:.0f} %"),
            (slowed, found["slowed"], "an interval below 1.00"),
        )
        for name, row in table.items()
    ]
    print_rows(rows, console)
    console.print(
        "This machine measures as it must."
        if found["ok"]
        else "This machine is too noisy to be trusted with small differences now: close what else runs, and try again."
    )


def _row(side: str, name: str, row: Mapping[str, Any], must: str) -> dict[str, str]:
    return {
        "side": side,
        "ratio": name,
        "reads": f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]",
        "rounds": str(row["rounds"]),
        "must read": must,
        "ok": "yes" if row["ok"] else "NO",
    }
