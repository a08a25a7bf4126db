"""Numbers and names as text, the same in every view."""

from __future__ import annotations

import unicodedata

from compress.measurement import Measurement, value_text

_JOINERS = "\u200c\u200d"
"""Zero-width joiners: Persian, the scripts of India and emoji need them."""
_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Format characters that can be seen: marks before numbers (Prepended_Concatenation_Mark of Unicode
15)."""
_KEPT = f"\n\t{_JOINERS}{_SIGNS}"

NOTHING = "–"
"""What a cell shows where there is nothing to show."""


def visible(text: str) -> str:
    """``text`` with every character that cannot be seen replaced by U+FFFD, so that no text looks
    like another.

    These are control characters, lone surrogates, and the format characters that change the
    direction of writing, have no width or are tags. Joiners stay."""
    return "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
        return character
    return "\ufffd"


def value_cell(measurement: Measurement | None) -> str:
    """A value with its unit; an en dash where it does not apply, ``absent`` where it could not be
    measured."""
    if measurement is None:
        return NOTHING
    if measurement.value is None:
        return "absent"
    return value_text(measurement.value, measurement.unit)


_SCALED = ("bytes", "parameters", "share")
"""Units that are shown scaled (bytes as MB). Each end of an interval then has its own unit."""


def ends_text(low: float | None, high: float | None, unit: str) -> str:
    """A space and a 95 % interval in brackets; empty where an end is missing. The unit is left out,
    for it stands at the value."""
    if low is None or high is None:
        return ""
    shown = unit if unit in _SCALED else ""
    return f" [{value_text(low, shown)}, {value_text(high, shown)}]"


def interval_text(m: Measurement | None) -> str:
    """The 95 % interval of a measurement, for the place after its value."""
    return ends_text(m.low, m.high, m.unit) if m else ""


def signed_interval_text(m: Measurement) -> str:
    """The 95 % interval of a difference of scores, with signs."""
    if m.low is None or m.high is None:
        return ""
    return f" [{signed_score(m.low)}, {signed_score(m.high)}]"


def value_with_interval(m: Measurement | None) -> str:
    """A value with its unit and its 95 % interval, and beside it the score of the most frequent
    answer where the value is a score that has one."""
    baseline = m.baseline if m else None
    beside = f" (most frequent answer {number_text(baseline.value)})" if baseline else ""
    return value_cell(m) + interval_text(m) + beside


def signed_score(value: float) -> str:
    """A difference of scores with its sign; one that rounds to nothing is ``+0.000``, never
    ``-0.000``."""
    return f"{round(value, 3) + 0.0:+.3f}"


def detail_text(m: Measurement) -> str:
    """The single numbers and words of a measurement's detail: ``p 0.03, right before 12``; empty
    where there are none."""
    single = {name: v for name, v in m.detail.items() if isinstance(v, str | int | float)}
    return ", ".join(f"{spaced(name)} {number_text(v)}" for name, v in single.items())


def spaced(name: str) -> str:
    """A name for people: spaces where it has underscores."""
    return name.replace("_", " ")


def number_text(value: float | str | None) -> str:
    """A number without a unit, for people: whole ones as they are, others with three digits that
    matter; an en dash for None; words as they are."""
    if value is None:
        return NOTHING
    if isinstance(value, bool | str | int):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.3f}" if 0.01 <= abs(value) < 100 else f"{value:.3g}"
