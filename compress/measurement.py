"""Numbers, each with everything needed to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Direction = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Measurement:
    """A value with its unit, which direction is better, its 95 % interval, count and conditions.

    ``value`` is None where the thing cannot be measured here, and ``absent`` then says why; it is
    never replaced by 0. ``name`` is unique within an artifact (``quality``, ``latency_p50``);
    ``title`` is what a table's column shows, and is empty for what only the JSON and the detailed
    views show. ``worst`` is the one-sided 95 % end on the bad side, by which a careful budget
    decides. ``detail`` holds structured extras; every view shows two of them whatever the meter:
    ``tables``, title to row label to column to number, and ``curve``, ``{"axis": text, "points":
    [[x, value, low, high], ...]}``.
    """

    name: str
    value: float | None
    unit: str
    direction: Direction
    low: float | None = None
    high: float | None = None
    n: int | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    absent: str = ""
    title: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    worst: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The measurement as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measurement:
        """The measurement that ``as_dict`` wrote."""
        return cls(**values)


def finite(m: Measurement) -> Measurement:
    """``m``, absent where its value is no finite number; other numbers that are none are None. JSON
    knows no others."""
    if m.value is not None and not math.isfinite(m.value):
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
    return None if isinstance(value, float) and not math.isfinite(value) else value


def absent(name: str, unit: str, direction: Direction, why: str, title: str = "") -> Measurement:
    """A measurement that could not be taken, with the reason."""
    return Measurement(name, None, unit, direction, absent=why, title=title)


@dataclass(frozen=True)
class Measured:
    """What came of measuring a subject: its measurements by name, ``comparisons`` with others by
    the other's name (ratios, differences, flips), the samples that meters ``kept`` for later
    comparisons, by meter, and the ``seconds`` it took."""

    measurements: dict[str, Measurement]
    comparisons: dict[str, dict[str, Measurement]] = field(default_factory=dict)
    kept: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready values."""
        return {
            "measurements": {n: m.as_dict() for n, m in self.measurements.items()},
            "comparisons": {
                o: {n: m.as_dict() for n, m in ms.items()} for o, ms in self.comparisons.items()
            },
            "kept": {meter: list(samples) for meter, samples in self.kept.items()},
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measured:
        """What ``as_dict`` wrote."""
        return cls(
            {n: Measurement.from_dict(m) for n, m in values["measurements"].items()},
            {
                o: {n: Measurement.from_dict(m) for n, m in ms.items()}
                for o, ms in values["comparisons"].items()
            },
            values["kept"],
            values["seconds"],
        )


_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def quantity(value: float, unit: str) -> str:
    """A value for people: bytes and counts in thousands, shares with one decimal of a percent."""
    if unit == "bytes":
        return next(
            (f"{value / size:.1f} {name}" for name, size in _BYTES if value >= size),
            f"{value:.0f} B",
        )
    if unit == "parameters":
        return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value:.0f}"
    if unit == "share":
        return f"{100 * value:.1f} %"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}{'' if unit == 'x' else ' '}{unit}".strip()
