"""The recipe of a run as a view shows it."""

from __future__ import annotations

from compress.results.report import Report


def recipe_as_run(report: Report) -> str:
    """The recipe's text. Comments above it name the values that the command line replaced."""
    if not report.overrides:
        return report.recipe
    lines = ["# Run with values of the command line in place of those below:"]
    lines += [f"#   --set {' '.join(override.split())}" for override in report.overrides]
    return "\n".join([*lines, report.recipe])
