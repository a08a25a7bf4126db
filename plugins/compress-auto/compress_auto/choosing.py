"""Which candidates may still win, and which one does, by their figures alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from compress.measurement import Measured, Measurement
from compress.quantities import QUALITY, QUALITY_KEPT, SPEEDUP


@dataclass(frozen=True)
class Figures:
    """What was measured of a candidate against the given model.

    ``kept`` is the share of quality, ``speedup`` how many times faster; both with the ends of their
    95 % intervals, from 0 to infinity where there is none: then nothing is sure. ``quality`` is the
    score."""

    quality: float
    kept: float
    kept_low: float
    kept_high: float
    speedup: float
    speedup_low: float
    speedup_high: float


@dataclass(frozen=True)
class Trial:
    """A candidate, and how far it came: ``figures`` on ``rows`` validation rows, None if nothing
    could be measured. ``dropped`` says why it is not the result; empty while it may be."""

    name: str
    precision: str = ""
    figures: Figures | None = None
    rows: int = 0
    dropped: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it may still be the result."""
        return not self.dropped


def figures_of(measured: Measured, given: str) -> Figures | str:
    """The figures of a candidate; why there are none, in words, where one is absent."""
    compared = measured.comparisons.get(given, {})
    wanted = (measured.measurements.get(QUALITY), compared.get(QUALITY_KEPT), compared.get(SPEEDUP))
    values: list[Measurement] = []
    for name, one in zip((QUALITY, QUALITY_KEPT, SPEEDUP), wanted, strict=True):
        if one is None or one.value is None:
            return f"no {name}: {one.absent if one else 'it was not measured'}"
        values.append(one)
    quality, kept, speedup = values
    return Figures(_ends(quality)[0], *_ends(kept), *_ends(speedup))


def _ends(one: Measurement) -> tuple[float, float, float]:
    assert one.value is not None  # figures_of looked
    low = 0.0 if one.low is None else one.low
    high = inf if one.high is None else one.high
    return float(one.value), float(low), float(high)


def why_hopeless(trial: Trial, others: Iterable[Trial], share: float) -> str:
    """Why a candidate cannot win any more: it surely loses too much quality, or another one, which
    surely does not, is surely faster. Empty if it may win."""
    mine = trial.figures
    if mine is None:
        return trial.dropped
    if mine.kept_high < share:
        return f"keeps at most {_percent(mine.kept_high)} of the quality on {trial.rows} rows"
    for other in others:
        its = other.figures
        if other.name == trial.name or its is None or not other.is_open:
            continue
        if its.kept_low >= share and its.speedup_low > mine.speedup_high:
            return f"slower than {other.name} on {trial.rows} rows"
    return ""


def was_beaten(trial: Trial, share: float, rows: int) -> bool:
    """Whether a candidate was dropped for its speed alone, before it answered all ``rows``. If what
    beat it loses in turn, it may be the result after all."""
    own = trial.figures
    return own is not None and not trial.is_open and own.kept_high >= share and trial.rows < rows


def winner(trials: Sequence[Trial], share: float) -> Trial | None:
    """The fastest of those that are still open and keep the share of quality; None if none does."""
    keeping = [t for t in trials if t.is_open and t.figures and t.figures.kept >= share]
    return max(keeping, key=_speed, default=None)


def fastest_float(trials: Sequence[Trial]) -> Trial | None:
    """The fastest float candidate, whatever it keeps: its export was compared with the model."""
    floats = [trial for trial in trials if trial.figures and trial.precision == "float"]
    return max(floats, key=_speed, default=None)


def why_lost(trial: Trial, best: Trial | None, share: float) -> str:
    """Why a candidate that was open to the end is not the result."""
    assert trial.figures is not None
    if trial.figures.kept < share:
        return f"keeps {_percent(trial.figures.kept)} of the quality"
    return f"slower than {best.name}" if best else ""


def _speed(trial: Trial) -> float:
    assert trial.figures is not None
    return trial.figures.speedup


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
