"""Reports made by hand that hold little more than the numbers by which a run decides."""

from __future__ import annotations

from typing import Any


def measured(value: float, unit: str, direction: str = "lower") -> dict[str, Any]:
    """A measurement without an interval."""
    return {"value": value, "unit": unit, "direction": direction, "absent": "", "title": "t"}


def against(name: str, speedup: float, size: float, spread: float = 0.02) -> dict[str, Any]:
    """A comparison with ``name``: ``speedup`` with an interval of ``spread`` to each side, and
    ``size`` as a share of the other's."""
    ratio = {"value": speedup, "low": speedup * (1 - spread), "high": speedup * (1 + spread)}
    return {
        "name": name,
        "changes": {"size": {"difference": 0.0, "quotient": size}},
        "comparisons": {"speedup": ratio, "speedup_p50": ratio},
    }


def step(name: str, quality: float, latency: float, size: float, **others: Any) -> dict[str, Any]:
    """A step with a latency in ms and a size in bytes; ``others`` are further entries of it."""
    return {
        "name": name,
        "role": "step",
        "task": "text-classification",
        "test": "examples",
        "parent": None,
        "traits": {"format": "pytorch", "precision": "float"},
        "against_reference": None,
        "against_fastest": None,
        "against_parent": None,
        "against_named": [],
        "measurements": {
            "quality": measured(quality, "", "higher"),
            "latency_p50": measured(latency, "ms"),
            "size": measured(size, "bytes"),
            "memory": measured(2 * size, "bytes"),
        },
        **others,
    }


def report(*steps: dict[str, Any]) -> dict[str, Any]:
    """A report of these steps whose reference is ``teacher``."""
    return {
        "task": {"name": "text-classification"},
        "reference": "teacher",
        "fastest_float_engine": "teacher@onnxruntime",
        "steps": list(steps),
        "step_budgets": {},
        "budget": None,
    }
