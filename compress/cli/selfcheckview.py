"""The outcome of ``compress bench --self-check`` in a terminal."""

from __future__ import annotations

from rich.console import Console

from compress.cli.rows import print_rows
from compress.selfcheck import Reading, SelfCheck

_GOOD = "This machine measures as it must."
_NOISY = (
    "This machine is too noisy to be trusted with small differences now: close what else runs, and "
    "try again."
)


def print_self_check(found: SelfCheck, console: Console) -> None:
    """Print each ratio with what it must read, and a sentence on the whole."""
    same = f"1.00 within {100 * found.within:.0f} %"
    slowed = f"the same, slowed by {100 * found.slowdown:.0f} %"
    rows = [_row("the same model", name, found.same[name], same) for name in found.same]
    rows += [
        _row(slowed, name, found.slowed[name], "an interval below 1.00") for name in found.slowed
    ]
    print_rows(rows, console)
    console.print(_GOOD if found.ok else _NOISY)


def _row(side: str, name: str, reading: Reading, must: str) -> dict[str, str]:
    return {
        "side": side,
        "ratio": name,
        "reads": f"{reading.value:.4f} [{reading.low:.4f}, {reading.high:.4f}]",
        "rounds": str(reading.rounds),
        "must read": must,
        "ok": "yes" if reading.ok else "NO",
    }
