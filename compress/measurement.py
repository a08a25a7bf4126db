"""Measurements: numbers with their unit, interval, conditions, and reason where they are absent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from compress.measurementforms import LARGEST, Detail, Number

Direction = Literal["higher", "lower", "neither"]
Rows = Mapping[str, Mapping[str, float | None]]
"""A table: row label to column to number."""
Values = dict[str, Any]
"""JSON-ready values by key."""
Conditions = Mapping[str, Any]
"""The conditions of a measurement, JSON-ready. Each meter has keys of its own."""


class Point(NamedTuple):
    """A point of a curve: its place on the axis, its value with the ends of the 95 % interval."""

    x: float
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Baseline:
    """The score of the most frequent answer (``value``), and how far the model's score is above it:
    the ``difference``, with the ends of its 95 % interval where there is one."""

    value: float
    difference: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """A measurement at several places of an axis."""

    axis: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Measurement:
    """A value with its unit, which direction is better, its 95 % interval, count and conditions.

    ``value`` is None where nothing can be measured here, never 0; ``absent`` then says why.
    ``name`` is unique within an artifact (``quality``, ``latency_p50``). ``title`` heads a column
    of the results table; a measurement without one is shown only in the JSON and in the detailed
    views. ``worst`` is the one-sided 95 % end on the bad side, by which a careful budget decides.

    ``detail`` holds structured extras. Three of them are shown in every view: ``tables``, title to
    row label to column to number; ``curve``, ``{"axis": text, "points": [[x, value, low, high],
    ...]}``; and ``baseline``, the fields of a ``Baseline``.
    """

    name: str
    value: Number | None
    unit: str
    direction: Direction
    low: Number | None = None
    high: Number | None = None
    n: int | None = None
    conditions: Conditions = field(default_factory=dict)
    absent: str = ""
    title: str = ""
    detail: Detail = field(default_factory=dict)
    worst: Number | None = None

    @property
    def tables(self) -> Mapping[str, Rows]:
        """The tables in its detail, by title."""
        tables: Mapping[str, Rows] = self.detail.get("tables") or {}
        return tables

    @property
    def curve(self) -> Curve | None:
        """The curve in its detail; None if it has none, or one without points."""
        curve = self.detail.get("curve") or {}
        points = [Point(*point) for point in curve.get("points", ())]
        return Curve(curve["axis"], points) if points else None

    @property
    def baseline(self) -> Baseline | None:
        """The score of the most frequent answer; None where the detail has none."""
        values = self.detail.get("baseline")
        return Baseline(**values) if values else None

    def as_dict(self) -> Values:
        """The measurement as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Values) -> Measurement:
        """The measurement that ``as_dict`` wrote."""
        return cls(**values)


def finite(m: Measurement) -> Measurement:
    """``m`` with numbers that a report can hold. If its value is not finite, or too large, it
    becomes absent; any other such number becomes None."""
    if m.value is not None and not _is_finite(m.value):
        return absent(m.name, m.unit, m.direction, f"its value is {m.value}", m.title)
    return replace(
        m,
        low=_finite(m.low),
        high=_finite(m.high),
        worst=_finite(m.worst),
        detail=_finite(m.detail),
    )


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not _is_finite(value) else value


def _is_finite(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= LARGEST


def absent(name: str, unit: str, direction: Direction, why: str, title: str = "") -> Measurement:
    """A measurement that could not be taken, with the reason."""
    return Measurement(name, None, unit, direction, absent=why, title=title)


@dataclass(frozen=True)
class Measured:
    """The outcome of measuring a subject: its ``measurements`` by name, its ``comparisons``
    (ratios, differences, flips) by the other subject's name, the samples that each meter ``kept``
    for later comparisons, the ``seconds`` that measuring took, and what else the machine did then
    that disturbs timings, in words (empty if nothing)."""

    measurements: dict[str, Measurement]
    comparisons: dict[str, dict[str, Measurement]] = field(default_factory=dict)
    kept: Mapping[str, Sequence[Values]] = field(default_factory=dict)
    seconds: float = 0.0
    disturbed: str = ""

    def as_dict(self) -> Values:
        """Everything as JSON-ready values."""
        return {
            "measurements": _dicts(self.measurements),
            "comparisons": {other: _dicts(ms) for other, ms in self.comparisons.items()},
            "kept": {meter: list(samples) for meter, samples in self.kept.items()},
            "seconds": self.seconds,
            "disturbed": self.disturbed,
        }

    @classmethod
    def from_dict(cls, values: Values) -> Measured:
        """What ``as_dict`` wrote."""
        return cls(
            _measurements(values["measurements"]),
            {other: _measurements(ms) for other, ms in values["comparisons"].items()},
            values["kept"],
            values["seconds"],
            values["disturbed"],
        )


def _dicts(measurements: Mapping[str, Measurement]) -> Values:
    return {name: m.as_dict() for name, m in measurements.items()}


def _measurements(dicts: Values) -> dict[str, Measurement]:
    return {name: Measurement.from_dict(values) for name, values in dicts.items()}


_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def value_text(value: float, unit: str) -> str:
    """A value for people: bytes and counts in thousands, shares with one decimal of a percent."""
    if unit == "bytes":
        return _bytes(value)
    if unit == "parameters":
        return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value:.0f}"
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{value:.{_digits(value)}f}{'' if unit == 'x' else ' '}{unit}".strip()


def _bytes(value: float) -> str:
    for name, size in _BYTES:
        if value >= size:
            return f"{value / size:.1f} {name}"
    return f"{value:.0f} B"


def _digits(value: float) -> int:
    """Digits after the point that give a number three significant digits."""
    if abs(value) >= 100:
        return 0
    if abs(value) >= 10:
        return 1
    return 2 if abs(value) >= 1 else 3
