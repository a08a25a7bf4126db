"""The stage ``prune.layers``: whole layers that change the state least are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from compress.architecture import KnownSizes, Layers
from compress.layers import all_stay, in_words, layer_mistakes, layers_left
from compress.options import KeptByStack, Options
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.training import LIBRARIES
from compress_prune.recovery import RecoveryOptions, recovery_mistakes

Number = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)]


class LayersOptions(Options):
    """How many layers stay."""

    keep: Number | Annotated[dict[str, Number], Field(min_length=1)] = Field(
        description=(
            "Layers that stay, as a number or as a share: those that change the state most. Of a "
            "model with two stacks, for each: {encoder: 6, decoder: 0.5}."
        )
    )
    probe: int = Field(
        default=256,
        ge=1,
        description="Training rows, drawn at random, on which the change is measured.",
    )
    recover: RecoveryOptions | None = Field(
        default=None, description="Training after the cut; none: no training."
    )


def in_numbers(options: LayersOptions, layers: Layers) -> KeptByStack:
    """How many layers stay of a model of ``layers``. Of a stack of unknown size a share is 1 layer.
    A number that does not say of which stack it speaks comes back as it is."""
    keep = options.keep
    if isinstance(keep, Mapping):
        return {name: _number(some, layers.get(name)) for name, some in keep.items()}
    if len(layers) > 1:
        return keep  # type: ignore[return-value]  # it is refused, and named as it was written
    return _number(keep, next(iter(layers.values())))


def _number(keep: int | float, layers: int | None) -> int:
    return keep if isinstance(keep, int) else max(1, round(keep * (layers or 0)))


class LayersPruning(Stage[LayersOptions]):
    """Drops the layers whose output is most like their input."""

    name: ClassVar[str] = "prune.layers"
    summary: ClassVar[str] = "Drops whole layers: those that change the state least."
    Options = LayersOptions
    accepts = Accepts(formats=("pytorch",), precisions=("float",), trainable=True, task=True)
    libraries = LIBRARIES
    reads_architectures = True
    paper = "Men et al. 2024, 'ShortGPT', section 3.2 (block influence, arXiv:2403.03853)"
    needs_data = ("train",)

    @classmethod
    def check(cls, options: LayersOptions) -> list[OptionMistake]:
        """Options of a recovery that do not go together."""
        return recovery_mistakes(options.recover)

    @classmethod
    def shares_work(cls, options: LayersOptions) -> bool:
        """Where it trains after the cut."""
        return options.recover is not None

    @classmethod
    def needs_layout(cls, options: LayersOptions) -> bool:
        """Always: layers are parts."""
        return True

    @classmethod
    def check_sizes(cls, options: LayersOptions, sizes: KnownSizes) -> list[OptionMistake]:
        """More layers than the input has, all that it has, or stacks that it does not have."""
        kept = in_numbers(options, sizes.layers)
        mistakes = layer_mistakes(kept, sizes.layers, "keep")
        if mistakes or not all_stay(kept, sizes.layers):
            return mistakes
        message = f"keep: {options.keep} removes nothing from a model of {in_words(sizes.layers)}"
        return [OptionMistake("keep", message, "keep fewer")]

    @classmethod
    def sizes_left(cls, options: LayersOptions, sizes: KnownSizes) -> KnownSizes:
        """With the layers that stay."""
        left = layers_left(in_numbers(options, sizes.layers), sizes.layers)
        known = {name: None if sizes.layers[name] is None else left[name] for name in left}
        return replace(sizes, layers=known)

    @classmethod
    def back_off(cls, options: LayersOptions) -> LayersOptions | None:
        """One layer more; None where no number of layers is given."""
        if not isinstance(options.keep, int):
            return None
        return options.model_copy(update={"keep": options.keep + 1})

    def apply(self, context: Context[LayersOptions]) -> Made:
        """The model with fewer layers, and its tokenizer, in ``context.output``."""
        from compress_prune.dropping import drop

        return drop(context)
