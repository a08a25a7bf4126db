"""The stage ``quantize.auto``: the fastest product of other stages that keeps a model's quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from compress import hookimpl
from compress.artifact import Traits
from compress.machine import gpus, processor, threads
from compress.options import Options, StageChoices
from compress.stage import Accepts, Context, Made, Stage


class AutoOptions(Options):
    """Options of ``quantize.auto``."""

    candidates: StageChoices | None = Field(
        default=None,
        description=(
            "Stages that are tried, each by its name or with options; null: all that the installed "
            "plugins offer."
        ),
    )
    quality: str = Field(
        default="99%",
        pattern=r"^(100|\d{1,2})(\.\d+)?%$",
        description="Share of the given model's quality on validation rows that is kept.",
    )
    rows: int = Field(
        default=300,
        ge=1,
        description=(
            "Validation rows that every candidate answers; those that may still win answer all."
        ),
    )

    @property
    def share(self) -> float:
        """``quality`` as a number, 1 for all."""
        return float(self.quality.removesuffix("%")) / 100

    def left_to_machine(self) -> Mapping[str, Any]:
        """What the fastest candidate depends on."""
        return {"processor": processor().name, "threads": threads(), "gpus": gpus()}


class QuantizeAuto(Stage[AutoOptions]):
    """The fastest on this machine of what other stages make of a model, among those that keep its
    quality on validation rows."""

    name: ClassVar[str] = "quantize.auto"
    summary: ClassVar[str] = (
        "Try engines and ways to quantize, and keep the fastest that is as good"
    )
    Options: ClassVar[type[Options]] = AutoOptions
    accepts: ClassVar[Accepts] = Accepts(task=True)
    libraries: ClassVar[tuple[str, ...]] = ()
    needs_data: ClassVar[tuple[str, ...]] = ("validation",)

    @classmethod
    def produces(cls, traits: Traits, options: AutoOptions, task: str) -> Traits:
        """A format that only the measurements decide, no longer trainable. No stage takes it."""
        return Traits("chosen by measuring", "chosen", "stock", False, task)

    def apply(self, context: Context[AutoOptions]) -> Made:
        """Write the best candidate. The notes hold what was tried, and what came of it.

        Where none keeps the quality, that is the fastest float one. Raises CompressError where
        there is none either."""
        from compress_auto.trying import try_all

        return try_all(context)


@hookimpl
def compress_stages() -> Sequence[type[Stage[Any]]]:
    """The stage of this plugin."""
    return [QuantizeAuto]
