"""Reading one limit of a budget: ``>= 99% of teacher``, ``<= 5 ms``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from compress.planning.budget import Limit, Relation

_LIMIT = re.compile(r"(>=|<=)\s*(\d+(?:\.\d+)?)\s*(%|x|us|ms|s|kB|MB|GB)?(?:\s+of\s+(\S+))?")
_BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
_UNITS = {
    "quality": {"": 1.0},
    "latency": {"us": 1e-3, "ms": 1.0, "s": 1e3},
    "size": _BYTES,
    "memory": _BYTES,
}
"""The units of an absolute limit, each with its factor to the measurement's unit."""
_RELATIVE = {"quality": "%", "latency": "x", "size": "x", "memory": "x"}
"""The sign of a relative limit."""
_EXAMPLES = {
    "latency": "'<= 5 ms' or '>= 4x of B0'",
    "size": "'<= 20 MB' or '>= 4x'",
    "memory": "'<= 200 MB' or '>= 2x'",
}
_LOWER_IS_BETTER = ", and the task's score is better when it is lower"


@dataclass(frozen=True)
class _Words:
    """The parts of a limit's text."""

    relation: Relation
    number: float
    unit: str
    of: str | None


def parse_limit(quantity: str, text: Any, higher_is_better: bool = True) -> Limit:
    """The limit that ``text`` states; ``higher_is_better`` says how quality improves.

    Raises ValueError with what is wrong and an example."""
    good = _good_relation(quantity, higher_is_better)
    examples = _EXAMPLES.get(quantity, f"'>= 99% of teacher' or '{good} 0.85'")
    write = f"write {examples}"
    words = _words(text)
    if words is None:
        raise ValueError(f"{quantity}: got {text!r}, which is no limit: {write}")
    if words.number == 0:
        message = f"{text!r} limits nothing that could be met or missed"
        raise ValueError(f"{quantity}: {message}: {write}")
    if words.unit == _RELATIVE[quantity]:
        if words.relation != ">=":
            raise ValueError(f"{quantity}: {text!r} asks for at most a factor: {write}")
        factor = words.number / 100 if words.unit == "%" else words.number
        return Limit(quantity, ">=", factor, True, words.of, text)
    unit = _UNITS[quantity].get(words.unit)
    if unit is None or words.of or words.relation != good:
        why = _LOWER_IS_BETTER if (quantity, good) == ("quality", "<=") else ""
        raise ValueError(f"{quantity}: got {text!r}{why}: {write}")
    return Limit(quantity, words.relation, words.number * unit, False, None, text)


def _good_relation(quantity: str, higher_is_better: bool) -> Relation:
    """The relation that an absolute limit of a quantity must have."""
    return ">=" if quantity == "quality" and higher_is_better else "<="


def _words(text: Any) -> _Words | None:
    """The parts of a limit; None for what has not the form of one."""
    match = _LIMIT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    sign, number, unit, of = match.groups()
    return _Words(">=" if sign == ">=" else "<=", float(number), unit or "", of)
