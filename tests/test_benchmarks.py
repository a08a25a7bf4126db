"""The scripts that read finished runs: what the quickstart promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def write_run(folder: Path, report: Mapping[str, Any]) -> Path:
    """A run's folder with this report."""
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


def script(name: str, *words: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, words)], capture_output=True, text=True,
                          timeout=60, check=False)


# quickstart


def quickstart(*, accuracy: float = 0.54, met: bool = True, minutes: float = 5.0, state: str = "finished") -> dict[str, Any]:
    """A report of a run whose most frequent class is a fifth of the test split."""
    by_class = {"asyncio": {"support": 20.0}, "xml": {"support": 15.0}, **{f"c{i}": {"support": 13.0} for i in range(5)}}
    quality = {"value": accuracy, "detail": {"tables": {"by class": by_class}}}
    verdicts = [{"quantity": "latency", "limit": ">= 4x of B0", "measured": "4.93x of teacher [4.17x, 5.54x]", "met": met}]
    return {"state": state, "reference": "teacher", "seconds": {"making": 60 * minutes - 60, "measuring": 60.0},
            "steps": [{"name": "teacher", "measurements": {"quality": quality}}, {"name": "quantize.onnx"}],
            "budget": {"verdicts": {"quantize.onnx": verdicts, "teacher": []}}}


def test_a_quickstart_that_keeps_every_promise_is_told_with_its_numbers(tmp_path: Path) -> None:
    answer = script("quickstart", write_run(tmp_path / "run", quickstart(minutes=11.9)))
    assert (answer.returncode, answer.stdout.splitlines()) == (0, [
        "kept: the run is finished",
        "kept: accuracy of teacher 0.540, of the most frequent class 0.200",
        "kept: latency of quantize.onnx 4.93x of teacher [4.17x, 5.54x] (>= 4x of B0)",
        "kept: 11.9 minutes (6 on two free cores, 12 at most)"])


@pytest.mark.parametrize(("broken", "words"), [
    ({"accuracy": 0.49}, "accuracy of teacher 0.490"), ({"met": False}, "latency of quantize.onnx"),
    ({"minutes": 12.1}, "12.1 minutes"), ({"state": "failed"}, "the run is failed")])
def test_a_promise_that_is_broken_ends_with_1(broken: dict[str, Any], words: str, tmp_path: Path) -> None:
    answer = script("quickstart", write_run(tmp_path / "run", quickstart(**broken)))
    assert answer.returncode == 1
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("BROKEN: ")]
    assert words in line


def test_of_several_quickstarts_the_newest_counts(tmp_path: Path) -> None:
    new, old = (write_run(tmp_path / name, quickstart(met=met)) for name, met in (("a", True), ("b", False)))
    os.utime(old / "report.json", (0, 0))
    assert script("quickstart", new, old).returncode == 0
