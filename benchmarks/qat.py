"""How much of what static int8 loses comes back when the model is trained to be int8, taken from
the report of a finished run.

  python benchmarks/qat.py RUN
RUN is a run's folder. It has a step of quantize.qat, and beside it, from the same model, steps of
quantize.onnx, as the recipe ner-int8 has. Writes benchmarks/results/qat.json.
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
from compress.results.step import StepResult

_TRAINED, _CONVERTED = "quantize.qat", "quantize.onnx"


def main() -> None:
    """Write the results of the run that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    run = parser.parse_args().run
    (report,) = read_reports([run])
    sys.stderr.write(f"wrote {write_results('qat', closed(run, report))}\n")


def closed(run: Path, report: Report) -> dict[str, Any]:
    """The quality of a float model and of its int8 forms, and of each the share of its loss that
    the trained one lacks. Raises SystemExit where the run has no such steps."""
    trained = [step for step in report.steps if step.stage == _TRAINED]
    if len(trained) != 1:
        raise SystemExit(f"{run} has {len(trained)} steps of {_TRAINED}, and 1 is compared")
    parent = next((step for step in report.steps if step.name == trained[0].parent), None)
    others = [
        step
        for step in report.steps
        if step.stage == _CONVERTED and step.parent == trained[0].parent
    ]
    if parent is None or not others:
        raise SystemExit(
            f"{run} has no step of {_CONVERTED} from the model that {trained[0].name} starts from"
        )
    return {
        "environment": report.environment.model_dump(mode="json"),
        "recipe": report.name,
        "float": parent.name,
        "trained": trained[0].name,
        "title": parent.measurements[QUALITY].title,
        "rows": _rows(parent, others, trained[0]),
    }


def _rows(
    parent: StepResult, others: Sequence[StepResult], trained: StepResult
) -> list[dict[str, Any]]:
    whole, best = _quality(parent), _quality(trained)
    sign = -1 if parent.measurements[QUALITY].direction == "lower" else 1
    rows: list[dict[str, Any]] = [{"step": parent.name, "quality": whole, "regained": None}]
    for step in others:
        value = _quality(step)
        lost = sign * (whole - value)
        regained = sign * (best - value) / lost if lost > 0 else None
        rows.append({"step": step.name, "quality": value, "regained": regained})
    return [*rows, {"step": trained.name, "quality": best, "regained": None}]


def _quality(step: StepResult) -> float:
    value = step.measurements[QUALITY].value
    if value is None:
        raise SystemExit(f"the quality of {step.name} was not measured")
    return float(value)


if __name__ == "__main__":
    main()
