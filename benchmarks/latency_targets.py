"""How near the predicted latency of cut models is to the measured one, at several targets.

  python benchmarks/latency_targets.py RUN
RUN is the folder of a finished run whose steps prune one model to latencies:

  stages:
    - prune.structured: {target: {latency: 1.25x}, shape: free, tune: true}
      name: 1.25x
    - prune.structured: {target: {latency: 1.5x}, shape: free, tune: true}
      name: 1.5x
      from: model
Of each step the first try counts, whose widths come from the table alone. Writes
benchmarks/results/latency_targets.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from common import read_reports, write_results

from compress.measurement import Values
from compress.results.report import Report
from compress.results.step import StepResult


def main() -> None:
    """Read the run, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="Folder of the run.")
    (report,) = read_reports([parser.parse_args().run])
    sys.stderr.write(f"wrote {write_results('latency_targets', results(report))}\n")


def results(report: Report) -> dict[str, Any]:
    """A row for each step that was cut to a latency. Raises SystemExit if there is none."""
    rows = [row(step) for step in report.steps if "tries" in step.notes.get("target", {})]
    if not rows:
        raise SystemExit("no step of the run has a target: {latency: ...}")
    return {"environment": report.environment.model_dump(mode="json"), "rows": rows}


def row(step: StepResult) -> Values:
    """What was asked, how fast the first try was predicted to be and was, and how fast the cut
    model is; ``deviation`` is the first try's time over the predicted one, less 1."""
    target = step.notes["target"]
    first = target["tries"][0]
    return {
        "asked": target["asked"],
        "form": target["form"],
        "engine": target["engine"],
        "predicted": first["predicted"],
        "measured": first["measured"],
        "low": first["low"],
        "high": first["high"],
        "deviation": first["predicted"] / first["measured"] - 1,
        "tries": len(target["tries"]),
        "reached": target["measured"],
        "seconds": step.seconds,
    }


if __name__ == "__main__":
    main()
