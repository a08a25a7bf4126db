"""Budgets: what a user accepts, as limits on quality, latency, size and memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

QUANTITIES: Mapping[str, str] = {
    "quality": "quality",
    "latency": "latency_p50",
    "size": "size",
    "memory": "memory",
}
"""What may be limited, and the measurement it means: latency is the median at batch 1."""

POLICIES = ("keep_best", "warn", "fail", "back_off")
"""What a miss does: ``keep_best`` finishes and ends with exit code 4; ``warn`` says so; ``fail``
stops there; ``back_off`` tries the step again with less, by its stage's own rule, and then does as
``keep_best``."""

DECISIONS = ("point", "worst")
"""What a limit is held against: the value as measured, or the one-sided 95 % end of it on the bad
side."""

TRIES, MOST_TRIES = 3, 10
"""How often a step is tried again at most: by default, and the most that can be asked for."""

BASELINES = ("B0", "B1")
"""What a limit calls the reference: as it is, and in its fastest float engine."""

Relation = Literal[">=", "<="]

_LIMIT = re.compile(r"(>=|<=)\s*(\d+(?:\.\d+)?)\s*(%|x|us|ms|s|kB|MB|GB)?(?:\s+of\s+(\S+))?")
_ABSOLUTE = {
    "quality": {"": 1.0},
    "latency": {"us": 1e-3, "ms": 1.0, "s": 1e3},
    "size": {"kB": 1e3, "MB": 1e6, "GB": 1e9},
    "memory": {"kB": 1e3, "MB": 1e6, "GB": 1e9},
}
_RELATIVE = {"quality": "%", "latency": "x", "size": "x", "memory": "x"}


@dataclass(frozen=True)
class Limit:
    """One limit. ``value`` is in the measurement's unit (ms, bytes, share), or a factor where
    ``relative``: quality kept, or how many times faster or smaller than ``of`` (a step; None: the
    default that the quantity has)."""

    quantity: str
    relation: Relation
    value: float
    relative: bool
    of: str | None
    text: str


@dataclass(frozen=True)
class Budget:
    """Limits, what a miss does, and what decides whether a limit is met.

    ``tries`` counts the further tries of ``back_off``; ``of_recipe`` says that a step has its
    limits from the recipe's budget, so that the recipe's own outcome is what counts."""

    limits: tuple[Limit, ...]
    on_miss: str = "keep_best"
    decide: str = "point"
    tries: int = TRIES
    of_recipe: bool = False

    @property
    def compared_with(self) -> tuple[str, ...]:
        """What its limits of quality and latency name: who is measured must take turns with it, and
        answer beside it."""
        return tuple(
            limit.of
            for limit in self.limits
            if limit.of and limit.quantity in ("quality", "latency")
        )


def parse_limit(quantity: str, text: Any, higher_is_better: bool = True) -> Limit:
    """The limit that ``text`` states; ``higher_is_better`` says which way quality points. Raises
    ValueError saying what is wrong with it."""
    absolute, relative = _ABSOLUTE[quantity], _RELATIVE[quantity]
    good: Relation = ">=" if quantity == "quality" and higher_is_better else "<="
    examples = {
        "quality": f"'>= 99% of teacher' or '{good} 0.85'",
        "latency": "'<= 5 ms' or '>= 4x of B0'",
        "size": "'<= 20 MB' or '>= 4x'",
        "memory": "'<= 200 MB' or '>= 2x'",
    }[quantity]
    found = _LIMIT.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{quantity}: got {text!r}, which is no limit: write {examples}")
    relation: Relation = ">=" if found.group(1) == ">=" else "<="
    number, unit, of = float(found.group(2)), found.group(3) or "", found.group(4)
    if number == 0:
        raise ValueError(
            f"{quantity}: {text!r} limits nothing that could be met or missed: write {examples}"
        )
    if unit == relative:
        if relation != ">=":
            raise ValueError(f"{quantity}: {text!r} asks for at most a factor: write {examples}")
        return Limit(quantity, ">=", number / 100 if unit == "%" else number, True, of, text)
    if unit not in absolute or of or relation != good:
        lower = (
            ", and the task's score is better when it is lower"
            if quantity == "quality" and good == "<="
            else ""
        )
        raise ValueError(f"{quantity}: got {text!r}{lower}: write {examples}")
    return Limit(quantity, relation, number * absolute[unit], False, None, text)
