"""The section on a GPU of docs/results.md, made from benchmarks/results/gpu.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.measurement import value_text

STEP_HEADERS = [
    "step",
    "quality",
    "latency",
    "size",
    "GPU memory, loading",
    "GPU memory, inference",
    "process",
    "whole GPU while made and measured",
]
FORWARD_HEADERS = ["batch", "precision", "time", "allocated", "reserved", "process", "difference"]


def step_rows(part: Mapping[str, Any]) -> list[list[str]]:
    """A row for each step of the run. Bytes of a phase are allocated / reserved."""
    return [
        [
            step["name"],
            _text(step["quality"], ""),
            _text(step["latency_p50"], "ms"),
            _text(step["size"], "bytes"),
            *(_phase(step, phase) for phase in ("load", "inference")),
            _text(step["memory_gpu_process"], "bytes"),
            _text(step["device_peak"], "bytes"),
        ]
        for step in part["values"].get("steps", [])
    ]


def forward_rows(part: Mapping[str, Any]) -> list[list[str]]:
    """A row for each batch and precision of the forward pass."""
    return [
        [
            str(row["batch"]),
            row["precision"],
            _text(row["milliseconds"], "ms"),
            *(_text(row.get(name), "bytes") for name in ("allocated", "reserved", "process")),
            f"{row['difference']:.2g}",
        ]
        for row in part["values"].get("rows", [])
    ]


def failures(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each part that failed."""
    return [f"- {part['name']}: {part['failure'].splitlines()[0]}" for part in _failed(parts)]


def tests_text(part: Mapping[str, Any]) -> str:
    """How many tests ended in which way."""
    counts = ", ".join(f"{count} {kind}" for kind, count in part["values"].items())
    return f"Tests marked `gpu`: {counts or 'none ran'}."


def _failed(parts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [part for part in parts if part["failure"]]


def _phase(step: Mapping[str, Any], phase: str) -> str:
    tables = step["memory_by_phase"]
    values = next(iter(tables.values()), {}).get(phase)
    if values is None:
        return "–"
    return f"{_text(values['allocated'], 'bytes')} / {_text(values['reserved'], 'bytes')}"


def _text(value: float | None, unit: str) -> str:
    return "–" if value is None else value_text(value, unit)
