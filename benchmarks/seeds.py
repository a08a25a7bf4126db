"""The quality of a recipe's reference over seeds, taken from the reports of finished runs.

  python benchmarks/seeds.py RUN RUN [RUN ...]
RUN is a run's folder. The runs are of one recipe with one set of overrides. Only the seed and what
is spent on measuring may differ: quality is of the whole test split whatever that is. Writes
benchmarks/results/ner-seeds.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import read_reports, write_results

from compress.quantities import QUALITY
from compress.results.report import Report

_FREE = ("seed=", "benchmark")
"""The beginnings of overrides that may differ between the runs."""


def main() -> None:
    """Write the results of the runs that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    runs = parser.parse_args().runs
    sys.stderr.write(f"wrote {write_results('ner-seeds', seeds(runs, read_reports(runs)))}\n")


def seeds(runs: Sequence[Path], reports: Sequence[Report]) -> dict[str, Any]:
    """A row of seed and score for each run. Raises SystemExit where two runs are of different
    recipes or of one seed."""
    seen: dict[int, Path] = {}
    for run, report in zip(runs, reports, strict=True):
        if _recipe(report) != _recipe(reports[0]):
            raise SystemExit(f"{run} is of another recipe than {runs[0]}, or has other overrides")
        if report.seed in seen:
            raise SystemExit(f"{run} has the seed {report.seed}, as {seen[report.seed]} has")
        seen[report.seed] = run
    first = reports[0]
    return {
        "environment": first.environment.model_dump(mode="json"),
        "recipe": first.name,
        "step": first.reference,
        "rows": sorted(map(_row, reports), key=lambda row: row["seed"]),
    }


def _recipe(report: Report) -> tuple[list[str], list[str]]:
    """The recipe without its comments, and what is overridden of it besides what may differ."""
    lines = [line for line in report.recipe.splitlines() if not line.lstrip().startswith("#")]
    return lines, sorted(text for text in report.overrides if not text.startswith(_FREE))


def _row(report: Report) -> dict[str, Any]:
    reference = next(step for step in report.steps if step.name == report.reference)
    quality = reference.measurements[QUALITY]
    return {"seed": report.seed, quality.title: quality.value}


if __name__ == "__main__":
    main()
