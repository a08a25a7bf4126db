"""Budgets: what a user accepts, as limits on quality, latency, size and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from compress.quantities import LATENCY, MEMORY, QUALITY, SIZE

QUANTITIES: Mapping[str, str] = {
    "quality": QUALITY,
    "latency": LATENCY,
    "size": SIZE,
    "memory": MEMORY,
}
"""The quantities that may be limited, each with its measurement; latency is the median at batch
1."""

POLICIES = ("keep_best", "warn", "fail", "back_off")
"""What happens on a miss. ``keep_best`` finishes the run, which ends with exit code 4. ``warn``
reports a miss without failing. ``fail`` stops the run. ``back_off`` tries the step again with less,
by its stage's own rule; if that does not help it does as ``keep_best``."""

DECISIONS = ("point", "worst")
"""What is compared with a limit: the measured value (``point``), or the bad end of its one-sided
95 % interval (``worst``)."""

TRIES, MOST_TRIES = 3, 10
"""How often a step is tried again at most: the default, and the highest number that is allowed."""

BASELINES = ("B0", "B1")
"""Names of the reference in limits: as it is (B0), and in its fastest float engine (B1)."""

Relation = Literal[">=", "<="]


@dataclass(frozen=True)
class Limit:
    """One limit on a quantity, as ``text`` in the recipe.

    ``value`` is in the measurement's unit (ms, bytes, share). Where the limit is ``relative``, it
    is a factor: the share of quality kept, or how many times faster or smaller than the step
    ``of`` (None: the quantity's own default)."""

    quantity: str
    relation: Relation
    value: float
    relative: bool
    of: str | None
    text: str

    @property
    def asks_for_engines(self) -> bool:
        """Whether it compares with the reference in its fastest float engine: by its name, or, for
        a latency, because it names nothing else."""
        is_default = self.quantity == "latency" and self.of is None
        return self.relative and (is_default or self.of == BASELINES[1])


@dataclass(frozen=True)
class Budget:
    """Limits, what happens on a miss (``on_miss``), and which value is compared (``decide``).

    ``tries`` is the number of further tries of ``back_off``. ``of_recipe`` marks a step's budget
    that was copied from the recipe's: then only the outcome of the recipe's budget counts."""

    limits: tuple[Limit, ...]
    on_miss: str = "keep_best"
    decide: str = "point"
    tries: int = TRIES
    of_recipe: bool = False

    @property
    def compared_with(self) -> tuple[str, ...]:
        """The artifacts that limits of quality and latency name. A step must be measured in turns
        with them."""
        return tuple(
            limit.of
            for limit in self.limits
            if limit.of and limit.quantity in ("quality", "latency")
        )
