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


def print_self_check(check: SelfCheck, console: Console) -> None:
    """Print each ratio with the value that it must have, and one sentence on all of them."""
    same = f"1.00 within {100 * check.within:.0f} %"
    slowed = f"the same, slowed by {100 * check.slowdown:.0f} %"
    rows = [_row("the same model", name, check.same[name], same) for name in check.same]
    rows += [
        _row(slowed, name, check.slowed[name], "an interval below 1.00") for name in check.slowed
    ]
    print_rows(rows, console)
    console.print(_GOOD if check.ok else _NOISY)


def _row(side: str, name: str, reading: Reading, expected: str) -> dict[str, str]:
    return {
        "side": side,
        "ratio": name,
        "reads": f"{reading.value:.4f} [{reading.low:.4f}, {reading.high:.4f}]",
        "rounds": str(reading.rounds),
        "must read": expected,
        "ok": "yes" if reading.ok else "NO",
    }
