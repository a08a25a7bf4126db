"""Measurements: numbers that JSON can hold, or absent with the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compress.measurement import Measurement, finite

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("value", [NAN, INFINITE, -INFINITE])
def test_a_value_that_is_not_finite_is_absent_with_the_reason(value: float) -> None:
    found = finite(Measurement("loss", value, "", "lower", 0.1, 0.2, title="loss", worst=value))
    assert (found.value, found.absent) == (None, f"its value is {value}")
    assert (found.name, found.direction, found.title, found.low, found.worst) == ("loss", "lower", "loss", None, None)


def test_what_is_not_finite_beside_a_value_is_left_out() -> None:
    detail: dict[str, Any] = {"tables": {"by class": {"PER": {"f1": NAN, "support": 3}}},
                              "curve": {"axis": "tokens", "points": [[8, 1.0, 0.9, INFINITE]]}}
    found = finite(Measurement("quality", 0.5, "", "higher", 0.4, NAN, 9, {"metric": "f1"}, worst=-INFINITE, detail=detail))
    assert (found.value, found.low, found.high, found.worst, found.n) == (0.5, 0.4, None, None, 9)
    assert found.detail == {"tables": {"by class": {"PER": {"f1": None, "support": 3}}},
                            "curve": {"axis": "tokens", "points": [[8, 1.0, 0.9, None]]}}
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_finite_measurement_stays_as_it_is() -> None:
    m = Measurement("size", 3.0, "bytes", "lower", detail={"files": {"a": 1}}, conditions={"length": 8})
    assert finite(m) == m
