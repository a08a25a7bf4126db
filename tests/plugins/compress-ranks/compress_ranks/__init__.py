"""A stage that several processes do together, and that tells what each of them saw.

With it a test compares trainings in one and in two processes."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from compress import hookimpl
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage
from compress.training import LIBRARIES


class RanksOptions(Options):
    """Options of ``toy.ranks``."""

    how: Literal["trains", "killed", "wrong", "bug", "left"] = Field(
        default="trains", description="What happens: it trains, or rank 1 ends in some way."
    )


class RanksStage(Stage[RanksOptions]):
    """Trains tiny models, and writes down the losses of every process."""

    name: ClassVar[str] = "toy.ranks"
    summary: ClassVar[str] = "Train tiny models in several processes."
    Options: ClassVar[type[Options]] = RanksOptions
    accepts: ClassVar[Accepts] = Accepts(nothing=True)
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES

    @classmethod
    def shares_work(cls, options: RanksOptions) -> bool:
        """Always."""
        return True

    def apply(self, context: Context[RanksOptions]) -> Made:
        """Write the records of all processes and a model."""
        from compress_ranks.observing import end_rank_1, observe

        if context.options.how == "trains":
            return observe(context)
        return end_rank_1(context)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stage ``toy.ranks``."""
    return [RanksStage]
