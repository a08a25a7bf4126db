"""The stages that make toy models: ``toy.make``, ``toy.set`` and ``toy.cut``."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from compress.artifact import Traits
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage
from compress_stated.model import FORMAT, read, write

WHOLE = {"quality": 0.9, "latency": 8.0, "size": 1000.0, "nonzero": 1.0, "flips": 0.0}
"""What a whole model states: latency in ms, size in bytes, shares of 1."""


class Make(Stage[Options]):
    """Makes a whole model."""

    name: ClassVar[str] = "toy.make"
    summary: ClassVar[str] = "A whole model."
    accepts: ClassVar[Accepts] = Accepts(nothing=True)
    libraries: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def produces(cls, traits: Traits, options: Options, task: str) -> Traits:
        """A model of the toy format."""
        return Traits(format=FORMAT, trainable=False, task=task)

    def apply(self, context: Context[Options]) -> Made:
        """Write the model."""
        write(context.output, WHOLE)
        return Made(parameters=1)


class SetOptions(Options):
    """Options of ``toy.set``; what is not given stays as it is."""

    quality: float | None = Field(default=None, description="Quality.")
    latency: float | None = Field(default=None, description="Latency in ms.")
    size: float | None = Field(default=None, description="Size in bytes.")
    nonzero: float | None = Field(default=None, description="Share of weights that are not zero.")
    flips: float | None = Field(default=None, description="Answers that differ from all others'.")
    fixed: float | None = Field(default=None, description="Quality of the most frequent answer.")
    mark: str = Field(default="", description="A text in the model's file that changes no number.")


class Set(Stage[SetOptions]):
    """Makes a model with other numbers."""

    name: ClassVar[str] = "toy.set"
    summary: ClassVar[str] = "A model with other numbers."
    Options: ClassVar[type[Options]] = SetOptions
    accepts: ClassVar[Accepts] = Accepts(formats=(FORMAT,))
    libraries: ClassVar[tuple[str, ...]] = ()

    def apply(self, context: Context[SetOptions]) -> Made:
        """Write the input's numbers with those that are given."""
        given = context.options.model_dump(exclude_none=True)
        write(context.output, {**read(context.input), **given})
        return Made()


class After(Stage[Options]):
    """Makes a model as small as the smallest that was measured before it."""

    name: ClassVar[str] = "toy.after"
    summary: ClassVar[str] = "A model of the least size that was measured before."
    accepts: ClassVar[Accepts] = Accepts(formats=(FORMAT,))
    libraries: ClassVar[tuple[str, ...]] = ()
    reads_earlier: ClassVar[bool] = True

    def apply(self, context: Context[Options]) -> Made:
        """Write the input's numbers with the least size."""
        sizes = {name: one.measurements["size"].value for name, one in context.earlier.items()}
        least = min(size for size in sizes.values() if size is not None)
        write(context.output, {**read(context.input), "size": least - 1})
        return Made(notes={"sizes": sizes})


class CutOptions(Options):
    """Options of ``toy.cut``."""

    share: float = Field(description="Share of the model that is cut off.")
    coarse: bool = Field(default=False, description="Whether less than a quarter becomes nothing.")


class Cut(Stage[CutOptions]):
    """Makes a smaller and faster model. Its quality falls by the square of the share."""

    name: ClassVar[str] = "toy.cut"
    summary: ClassVar[str] = "A smaller model."
    Options: ClassVar[type[Options]] = CutOptions
    accepts: ClassVar[Accepts] = Accepts(formats=(FORMAT,))
    libraries: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def back_off(cls, options: CutOptions) -> CutOptions | None:
        """Half the share, as long as the share is over a tenth."""
        if options.share <= 0.1:
            return None
        return options.model_copy(update={"share": options.share / 2})

    def apply(self, context: Context[CutOptions]) -> Made:
        """Write the model without the share."""
        share, before = context.options.share, read(context.input)
        if context.options.coarse and share < 0.25:
            share = 0.0
        after = {
            "quality": before["quality"] * (1 - share**2),
            "size": before["size"] * (1 - share),
            "latency": before["latency"] * (1 - share),
        }
        write(context.output, {**before, **after})
        return Made()
