"""Numbers, each with everything needed to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Direction = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Measurement:
    """A value with its unit, which direction is better, its 95 % interval, count and conditions.

    ``value`` is None where the thing cannot be measured here, and ``absent`` then says why; it is never replaced by 0.
    ``name`` is unique within an artifact (``quality``, ``latency_p50``); ``title`` is what a table's column shows, and
    is empty for what only the JSON and the detailed views show. ``detail`` holds structured extras, such as a per-class
    table.
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

    def as_dict(self) -> dict[str, Any]:
        """The measurement as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measurement:
        """The measurement that ``as_dict`` wrote."""
        return cls(**values)


def absent(name: str, unit: str, direction: Direction, why: str, title: str = "") -> Measurement:
    """A measurement that could not be taken, with the reason."""
    return Measurement(name, None, unit, direction, absent=why, title=title)


@dataclass(frozen=True)
class Measured:
    """What came of measuring a subject: its measurements by name, ratios to others by their name, and raw samples of the
    meters that return answers (``predictions``)."""

    measurements: dict[str, Measurement]
    ratios: dict[str, dict[str, Measurement]] = field(default_factory=dict)
    predictions: Sequence[Mapping[str, Any]] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready values."""
        return {"measurements": {n: m.as_dict() for n, m in self.measurements.items()},
                "ratios": {o: {n: m.as_dict() for n, m in ms.items()} for o, ms in self.ratios.items()},
                "predictions": list(self.predictions)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measured:
        """What ``as_dict`` wrote."""
        return cls({n: Measurement.from_dict(m) for n, m in values["measurements"].items()},
                   {o: {n: Measurement.from_dict(m) for n, m in ms.items()} for o, ms in values["ratios"].items()},
                   values["predictions"])
