"""A fine-tuning of 20 steps in one process and in two of one thread each: the losses of each step
side by side, and the seconds of a step.

  python benchmarks/twoprocesses.py
In fp32 and without dropout. Nothing else may run on the machine: two cores at least. Writes
benchmarks/results/twoprocesses.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from common import write_results
from stepwise import FILE

HEAD = """\
task: {text-classification: {max_length: 64}}
model: {type: bert, hidden_size: 128, num_hidden_layers: 4, num_attention_heads: 4,
        intermediate_size: 512, hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}
data: {source: python-stdlib, rows: {train: 610, test: 20}}
benchmark: {effort: quick}
stages:
  - pretrain: {epochs: 0.1, vocabulary: 2000, precision: fp32}
    task: {fill-mask: {max_length: 64}}
"""
"""610 rows are 19 batches of 31 and one of 21: two processes never have equal parts."""
STEP = """\
  - bench.steps: {{epochs: {epochs}, batch_size: 31, gradient_accumulation: {accumulation}, \
learning_rate: 5e-4, precision: fp32}}
    name: {name}
    from: pretrain
    seed: {seed}
    resources: {{processes: {processes}}}
"""
SEEDS = (0, 1, 2)
ACCUMULATIONS = (1, 2)
LEFT_OUT = 3
"""Batches at the beginning that are not timed."""


def main() -> None:
    """Train in turns and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        seen = {name: json.loads(file.read_text()) for name, file in _run(place).items()}
    rows = [_row(seen, accumulation) for accumulation in ACCUMULATIONS]
    first = {str(processes): _losses(seen[_name(processes, 1, 0)], 1) for processes in (1, 2)}
    values = {"settings": {"load": os.getloadavg()[0]}, "rows": rows, "losses": first}
    sys.stderr.write(f"wrote {write_results('twoprocesses', values)}\n")


def _name(processes: int, accumulation: int, seed: int) -> str:
    return f"p{processes}-a{accumulation}-s{seed}"


def _run(place: Path) -> dict[str, Path]:
    """The file of each training, by its name."""
    names, steps = [], []
    for accumulation in ACCUMULATIONS:
        for seed in SEEDS:
            for processes in (1, 2):
                names.append(_name(processes, accumulation, seed))
                step = {"accumulation": accumulation, "seed": seed, "processes": processes}
                steps.append(STEP.format(name=names[-1], epochs=accumulation, **step))
    (place / "two.yaml").write_text(HEAD + "".join(steps), encoding="utf-8")
    _describe(place / "site")
    words = ["run", "two.yaml", "--store", "store", "--runs", "runs"]
    subprocess.run(
        [sys.executable, "-m", "compress", *words],
        cwd=place,
        env=_environment(place / "site"),
        stdin=subprocess.DEVNULL,
        check=True,
    )
    (report,) = (place / "runs").glob("*/report.json")
    listed = json.loads(report.read_text(encoding="utf-8"))["steps"]
    folders = {step["name"]: report.parent / step["folder"] for step in listed}
    return {name: folders[name] / FILE for name in names}


def _describe(site: Path) -> None:
    """Make the plugin found: what pip would write of it."""
    info = site / "compress_stepwise-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: compress-stepwise\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text("[compress]\nstepwise = stepwise\n", encoding="utf-8")


def _environment(site: Path) -> dict[str, str]:
    """One thread in each process, nothing measured, and the plugin on Python's path."""
    paths = [str(site), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
        "COMPRESS_DISABLE_PLUGINS": "meters,onnx",
    }


def _row(seen: Mapping[str, Any], accumulation: int) -> dict[str, Any]:
    """What was found with so many batches for a step."""
    differences, seconds = [], {}
    for seed in SEEDS:
        one, two = (_losses(seen[_name(p, accumulation, seed)], accumulation) for p in (1, 2))
        differences += [abs(a - b) for a, b in zip(one, two, strict=True)]
    for processes in (1, 2):
        runs = [_seconds(seen[_name(processes, accumulation, seed)][0]) for seed in SEEDS]
        seconds[str(processes)] = [accumulation * value for value in runs]
    return {
        "accumulation": accumulation,
        "steps": len(differences) // len(SEEDS),
        "trainings": len(SEEDS),
        "largest_difference": max(differences),
        "rows_seen_once": all(_sees_each_row_once(ranks) for ranks in seen.values()),
        "seconds": seconds,
    }


def _losses(ranks: Sequence[Sequence[Mapping[str, Any]]], accumulation: int) -> list[float]:
    """The loss of each step: of a batch the mean over the labels of all processes, of a step the
    mean over its batches."""
    batches = []
    for parts in zip(*ranks, strict=True):
        counts = sum(part["count"] for part in parts)
        batches.append(sum(part["loss"] * part["count"] for part in parts) / counts)
    steps = [batches[i : i + accumulation] for i in range(0, len(batches), accumulation)]
    return [sum(step) / len(step) for step in steps]


def _sees_each_row_once(ranks: Sequence[Sequence[Mapping[str, Any]]]) -> bool:
    """Whether every row is in as many batches as there are epochs, counted over all processes."""
    rows = [row for batches in ranks for batch in batches for row in batch["rows"]]
    counts = {row: rows.count(row) for row in set(rows)}
    return len(counts) == max(counts) + 1 and len(set(counts.values())) == 1


def _seconds(batches: Sequence[Mapping[str, Any]]) -> float:
    """Median seconds from one batch to the next."""
    times = [batch["at"] for batch in batches[LEFT_OUT:]]
    return median(after - before for before, after in zip(times, times[1:], strict=False))


if __name__ == "__main__":
    main()
