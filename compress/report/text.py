"""Numbers and names as text, the same in every view."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from compress.measurement import quantity

_JOINERS = "\u200c\u200d"
"""Persian, the scripts of India and emoji are not written without them."""
_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Format characters that are seen: marks that stand before numbers (Prepended_Concatenation_Mark of
Unicode 15)."""


def visible(text: str) -> str:
    """``text`` with what is not seen (control characters; of format characters those that turn the
    direction of writing, have no width or are tags) replaced by U+FFFD, so that a name reads as
    what it is. Joiners are left as they are."""
    kept = f"\n\t{_JOINERS}{_SIGNS}"
    return "".join(
        c if c in kept or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\ufffd"
        for c in text
    )


def show(measurement: Mapping[str, Any] | None) -> str:
    """A value with its unit; an en dash where it does not apply, ``absent`` where it could not be
    measured."""
    if measurement is None:
        return "–"
    if measurement["value"] is None:
        return "absent"
    return quantity(measurement["value"], measurement["unit"])


_SCALED = ("bytes", "parameters", "share")
"""Units whose numbers are shown in others, each end of an interval in its own."""


def spread(m: Mapping[str, Any], with_sign: bool = False) -> str:
    """The 95 % interval in brackets after a space; empty where there is none. The unit is said
    once, by the value."""
    if m["low"] is None or m["high"] is None:
        return ""
    unit = m["unit"] if m["unit"] in _SCALED else ""
    ends = (signed(m[end]) if with_sign else quantity(m[end], unit) for end in ("low", "high"))
    return f" [{', '.join(ends)}]"


def signed(value: float) -> str:
    """A difference of scores with its sign; what rounds to nothing has none of its own:
    ``+0.000``."""
    return f"{round(value, 3) + 0.0:+.3f}"


def facts(m: Mapping[str, Any]) -> str:
    """The single numbers and words of a measurement's detail: ``p 0.03, right before 12``; empty
    where there are none."""
    plain = {n: v for n, v in (m.get("detail") or {}).items() if isinstance(v, (str, int, float))}
    return ", ".join(f"{n.replace('_', ' ')} {number(v)}" for n, v in plain.items())


def number(value: Any) -> str:
    """A number without a unit, for people: whole ones as they are, others with three digits that
    matter; an en dash for None; words as they are."""
    if value is None:
        return "–"
    if isinstance(value, (bool, str)):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.3f}" if 0.01 <= abs(value) < 100 else f"{value:.3g}"
