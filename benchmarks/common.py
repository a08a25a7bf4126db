"""Shared by the benchmarks: intervals, reading reports, and writing results with the environment
that they were measured in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compress.machine import environment
from compress.report.reading import read_report
from compress.results.report import Report

RESULTS = Path(__file__).parent / "results"
_RESAMPLES = 5000


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, float]:
    """Median of the rounds' ratios, and the 95 % bootstrap interval of that median over rounds."""
    ratios = np.asarray(numerators) / np.asarray(denominators)
    return spread(ratios.tolist())


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median of values, and the 95 % bootstrap interval of the median."""
    array, generator = np.asarray(values), np.random.default_rng(0)
    medians = np.median(generator.choice(array, (_RESAMPLES, len(array))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return {"value": float(np.median(array)), "low": float(low), "high": float(high)}


def read_reports(runs: Sequence[Path]) -> list[Report]:
    """The reports of runs' folders. Raises SystemExit for one that is not finished, or was made on
    another machine or with other libraries than the first: one table is of one environment."""
    reports = [read_report(run) for run in runs]
    for run, report in zip(runs, reports, strict=True):
        if report.state != "finished":
            raise SystemExit(f"{run} is {report.state}; results are of finished runs")
        if _made_in(report) != _made_in(reports[0]):
            raise SystemExit(
                f"{run} was made on another machine, threads or libraries than {runs[0]}"
            )
    return reports


def _made_in(report: Report) -> tuple[str, int, dict[str, str]]:
    environment = report.environment
    return environment.processor, environment.threads, environment.versions


def write_results(name: str, values: dict[str, Any]) -> Path:
    """The path of ``benchmarks/results/<name>.json``, written with ``values`` and their
    environment: this machine's, unless ``values`` have one."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(
        json.dumps({"environment": environment(), **values}, indent=2) + "\n", encoding="utf-8"
    )
    return path
