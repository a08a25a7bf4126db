"""The scripts that read finished runs: what the quickstart promises, quality over seeds, what
training to be int8 regains, what measuring costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from reports import as_report, whole

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def write_run(folder: Path, report: Mapping[str, Any]) -> Path:
    """A run's folder with a report that says this."""
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(whole(report)), encoding="utf-8")
    return folder


def script(name: str, *words: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# quickstart


def quickstart(
    *,
    accuracy: float = 0.54,
    met: bool = True,
    minutes: float = 5.0,
    state: str = "finished",
    high: float = 3.9,
) -> dict[str, Any]:
    """A report of a run whose most frequent class is a fifth of the test split."""
    by_class = {
        "asyncio": {"support": 20.0},
        "xml": {"support": 15.0},
        **{f"c{i}": {"support": 13.0} for i in range(5)},
    }
    quality = {"value": accuracy, "detail": {"tables": {"by class": by_class}}}
    verdicts = [
        {
            "quantity": "latency",
            "limit": ">= 4x of B0",
            "measured": "4.93x of teacher [4.17x, 5.54x]",
            "met": met,
            "shortfall": 0.0 if met else 0.1,
        }
    ]
    last = {
        "name": "quantize.onnx",
        "against_reference": {
            "name": "teacher",
            "changes": {},
            "comparisons": {"speedup_p50": {"value": 3.5, "high": high}},
        },
    }
    return {
        "state": state,
        "reference": "teacher",
        "seconds": {"making": 60 * minutes - 60, "measuring": 60.0},
        "steps": [{"name": "teacher", "measurements": {"quality": quality}}, last],
        "budget": {"verdicts": {"quantize.onnx": verdicts, "teacher": []}},
    }


def test_a_quickstart_that_keeps_every_promise_is_told_with_its_numbers(tmp_path: Path) -> None:
    answer = script("quickstart", write_run(tmp_path / "run", quickstart(minutes=11.9)))
    assert (answer.returncode, answer.stdout.splitlines()) == (
        0,
        [
            "kept: the run is finished",
            "kept: accuracy of teacher 0.540, of the most frequent class 0.200",
            "kept: latency of quantize.onnx 4.93x of teacher [4.17x, 5.54x] (>= 4x of B0)",
            "kept: 11.9 minutes (6 on two free cores, 12 at most)",
        ],
    )


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"accuracy": 0.49}, "accuracy of teacher 0.490"),
        ({"met": False}, "latency of quantize.onnx"),
        ({"minutes": 12.1}, "12.1 minutes"),
        ({"state": "failed"}, "the run is failed"),
    ],
)
def test_a_promise_that_is_broken_ends_with_1(
    broken: dict[str, Any], words: str, tmp_path: Path
) -> None:
    answer = script("quickstart", write_run(tmp_path / "run", quickstart(**broken)))
    assert answer.returncode == 1
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("BROKEN: ")]
    assert words in line


def test_a_speed_whose_interval_reaches_the_limit_is_no_broken_promise(tmp_path: Path) -> None:
    answer = script("quickstart", write_run(tmp_path / "run", quickstart(met=False, high=4.1)))
    assert answer.returncode == 0 and "kept: latency of quantize.onnx" in answer.stdout


def test_of_several_quickstarts_the_newest_counts(tmp_path: Path) -> None:
    new, old = (
        write_run(tmp_path / name, quickstart(met=met)) for name, met in (("a", True), ("b", False))
    )
    os.utime(old / "report.json", (0, 0))
    assert script("quickstart", new, old).returncode == 0


# results of several runs


def finished(
    seed: int = 0,
    f1: float = 0.875,
    *,
    overrides: Sequence[str] = (),
    recipe: str = "task: ner\n",
    minutes: tuple[float, float] = (30.0, 10.0),
    threads: int = 2,
    state: str = "finished",
) -> dict[str, Any]:
    """A run's report, as far as the scripts read it."""
    environment = {
        "processor": "Some CPU",
        "threads": threads,
        "memory_bytes": 8e9,
        "versions": {"torch": "2.13.0"},
    }
    steps = [
        {"name": name, "measurements": {"quality": {"value": value, "title": "f1"}}}
        for name, value in (("teacher", f1), ("distill", 0.5))
    ]
    return {
        "name": "ner",
        "state": state,
        "recipe": f"# said of it\n{recipe}",
        "overrides": list(overrides),
        "seed": seed,
        "reference": "teacher",
        "effort": "thorough",
        "environment": environment,
        "steps": steps,
        "seconds": {"making": 60 * minutes[0], "measuring": 60 * minutes[1]},
    }


def results(
    name: str, folder: Path, *reports: Mapping[str, Any]
) -> subprocess.CompletedProcess[str]:
    """The script's answer on runs with these reports; what it writes, and pages.py makes of that,
    is printed."""
    runs = [str(write_run(folder / f"run-{i}", report)) for i, report in enumerate(reports)]
    code = (
        f"import json, sys\nsys.path[:0] = [{str(BENCHMARKS)!r}, "
        f"{str(BENCHMARKS.parent / 'docs')!r}]\n"
        f"from pathlib import Path\nimport common, pages, {name}\ncommon.RESULTS = "
        f"Path({str(folder)!r})\n"
        f"sys.argv[1:] = {runs!r}\n{name}.main()\n(file,) = common.RESULTS.glob('*.json')\n"
        "print(pages.part(file.stem, file.parent))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_quality_over_seeds_is_that_of_each_runs_reference(tmp_path: Path) -> None:
    answer = results(
        "seeds",
        tmp_path,
        finished(2, 0.878, overrides=["seed=2", "model=x"]),
        finished(
            0,
            0.8748,
            overrides=["model=x", "benchmark.effort=thorough"],
            recipe="# another comment\ntask: ner\n",
        ),
    )
    assert answer.stdout == (
        "The teacher's test F1 over seeds 0 and 2 is 0.8748 and 0.8780 (mean 0.8764). "
        "Measured on Some CPU, 2 threads, 8.0 GB of memory; torch 2.13.0.\n"
    ), answer.stderr


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"seed": 0}, "run-1 has the seed 0, as "),
        ({"recipe": "task: other\n"}, "run-1 is of another recipe than "),
        ({"overrides": ["model=y"]}, "or has other overrides"),
        ({"state": "failed"}, "run-1 is failed"),
        ({"threads": 4}, "run-1 was made on another machine, threads or libraries than "),
    ],
)
def test_runs_that_differ_in_more_than_the_seed_are_no_row_of_a_table(
    other: dict[str, Any], words: str, tmp_path: Path
) -> None:
    answer = results("seeds", tmp_path, finished(0), finished(**{"seed": 1, **other}))
    assert answer.returncode == 1 and words in answer.stderr and "Traceback" not in answer.stderr
    assert not list(tmp_path.glob("*.json"))


def int8_steps(*, static: float = 0.80, stage: str = "quantize.qat") -> list[dict[str, Any]]:
    """A float model, and its int8 forms."""
    made = (
        ("pruned", "prune.structured", "teacher", 0.85),
        ("static", "quantize.onnx", "pruned", static),
        ("exact", "quantize.onnx", "pruned", 0.85),
        ("another", "quantize.onnx", "teacher", 0.1),
        ("trained", stage, "pruned", 0.84),
    )
    return [
        {
            "name": name,
            "stage": kind,
            "parent": parent,
            "measurements": {"quality": {"value": value, "title": "f1"}},
        }
        for name, kind, parent, value in made
    ]


def test_what_training_to_be_int8_regains_is_a_share_of_what_its_model_lost(tmp_path: Path) -> None:
    answer = results("qat", tmp_path, {**finished(), "steps": int8_steps()})
    assert (
        "| step | f1 | of its loss, trained regains |\n| --- | --- | --- |\n"
        "| pruned | 0.8500 | – |\n| static | 0.8000 | 80 % |\n| exact | 0.8500 | – |\n"
        "| trained | 0.8400 | – |\n" in answer.stdout
    ), answer.stderr


def test_nothing_is_regained_of_what_was_not_lost(tmp_path: Path) -> None:
    answer = results("qat", tmp_path, {**finished(), "steps": int8_steps(static=0.855)})
    assert "| static | 0.8550 | – |" in answer.stdout, answer.stderr


def test_a_run_without_a_model_that_was_trained_to_be_int8_is_refused(tmp_path: Path) -> None:
    steps = int8_steps(stage="quantize.onnx")
    answer = results("qat", tmp_path, {**finished(), "steps": steps})
    assert answer.returncode == 1 and "has 0 steps of quantize.qat" in answer.stderr


def test_what_measuring_costs_is_its_share_of_each_run(tmp_path: Path) -> None:
    shown = results(
        "cost", tmp_path, finished(), finished(recipe="task: other\n", minutes=(3.0, 1.5))
    ).stdout
    assert (
        "| ner | thorough | 30.0 min | 10.0 min | 25 % |\n| ner | thorough | 3.0 min | 1.5 min | "
        "33 % |" in shown
    )
    assert "Some CPU, 2 threads" in shown


# latency_targets


def test_first_tries_of_a_run_are_read() -> None:
    step = {
        "name": "cut",
        "notes": {
            "target": {
                "asked": "latency: 2x",
                "form": "export.onnx",
                "engine": "onnxruntime",
                "measured": 2.01,
                "tries": [
                    {"predicted": 2.0, "measured": 1.6, "low": 1.5, "high": 1.7},
                    {"predicted": 2.02, "measured": 2.01, "low": None, "high": None},
                ],
            }
        },
    }
    sys.path.insert(0, str(BENCHMARKS))
    try:
        module, page = import_module("latency_targets"), import_module("latency_targets_page")
        values = module.results(as_report(whole({"steps": [{"name": "model"}, step]})))
        with pytest.raises(SystemExit, match="no step"):
            module.results(as_report(whole({"steps": [{"name": "model"}]})))
    finally:
        sys.path.remove(str(BENCHMARKS))
    assert page.rows(values) == [
        [
            "latency: 2x",
            "export.onnx (onnxruntime)",
            "2.00x",
            "1.60x [1.50, 1.70]",
            "+25.0 %",
            "2",
            "2.01x",
        ]
    ]
