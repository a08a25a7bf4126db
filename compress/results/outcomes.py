"""How budgets came out: a verdict on each limit, the outcome of a step, and that of the run."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from compress.measurementforms import Number
from compress.results.part import ReportPart


class Verdict(ReportPart):
    """Whether a step meets a limit. ``measured`` shows the value that was compared with the
    limit."""

    quantity: str
    limit: str = Field(description="As the recipe states it.")
    met: bool | None = Field(description="null where it could not be measured.")
    measured: str
    shortfall: Number = Field(ge=0, description="Share of what was asked that is lacking.")


class _Outcome(ReportPart):
    """What a budget asks for."""

    limits: tuple[str, ...]
    on_miss: str
    decide: str = Field(pattern="^(point|worst)$")


class StepBudgetOutcome(_Outcome):
    """The outcome of a step's budget. With ``of_recipe`` its limits are those of the recipe's
    budget."""

    of_recipe: bool
    met: bool
    verdicts: tuple[Verdict, ...]


class BudgetOutcome(_Outcome):
    """The outcome of the recipe's budget: ``best`` names the best step that meets it. Where none
    does, ``nearest`` names the one with the least shortfall."""

    met: bool
    best: str | None
    nearest: str | None
    verdicts: dict[str, tuple[Verdict, ...]]


def shortfall(verdicts: Sequence[Verdict]) -> tuple[int, float]:
    """Sort key; lower is better: how many limits could not be measured, then the sum of the shares
    that are lacking."""
    return sum(v.met is None for v in verdicts), sum(v.shortfall for v in verdicts)


def verdict_text(verdicts: Sequence[Verdict]) -> str:
    """Verdicts in words: each limit with what was measured."""
    return "; ".join(
        f"{v.quantity} {v.limit}: {v.measured}{'' if v.met else ', missed'}" for v in verdicts
    )
