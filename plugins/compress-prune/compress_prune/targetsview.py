"""What a report says of targets: what was asked for, what was predicted, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from compress.tracker import Report
from compress.view import Section, SectionTable, View

_HEADERS = ["step", "target", "served as", "predicted", "measured"]


class TargetsView(View):
    """A table of the steps that were cut to a target."""

    name: ClassVar[str] = "prune.targets"
    summary: ClassVar[str] = "What targets of prune.structured asked for, and what was reached."

    def section(self, report: Report) -> Section | None:
        """A row for each step with a target; None without one."""
        rows = [
            [step["name"], *_cells(step["notes"]["target"])]
            for step in report["steps"]
            if step["stage"] == "prune.structured" and "target" in step["notes"]
        ]
        if not rows:
            return None
        line = (
            "Predicted is what was expected of the widths. Measured is a copy of the cut model, "
            "while the step was made: what the saved model takes stands with the step's results."
        )
        return Section("Targets", [line], [SectionTable(_HEADERS, rows)])


def _cells(target: Mapping[str, Any]) -> list[str]:
    """What was asked for, the form that serves, and the numbers."""
    if "form" not in target:
        return [target["asked"], "", f"{target['left']:,} of {target['before']:,}", "counted"]
    form, engine = target["form"], target["engine"]
    measured = f"{target['measured']:.2f}x"
    if target["low"] and target["high"]:
        measured += f" [{target['low']:.2f}, {target['high']:.2f}]"
    return [target["asked"], f"{form} ({engine})", f"{target['predicted']:.2f}x", measured]
