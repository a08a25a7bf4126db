"""The stage ``prune.structured``: whole layers, attention heads and feed-forward neurons are
removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from compress import hookimpl
from compress.artifact import Traits
from compress.options import KeptLayers, Options, layers_left, layers_misfit
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.training import LIBRARIES, TrainingOptions


class StructuredOptions(Options):
    """What to remove; at least one of ``layers``, ``feed_forward`` and ``heads`` is given."""

    layers: KeptLayers | None = Field(
        default=None,
        description="Layers to keep: how many (those without which the loss is highest), or which ([0, 2, 4]).",
    )
    feed_forward: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of each layer's feed-forward neurons to remove; what stays is rounded to a multiple of 8.",
    )
    heads: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of each layer's attention heads to remove, rounded to whole heads (whole groups where heads "
        "share keys and values); one stays at least.",
    )
    importance_examples: int = Field(
        default=512,
        ge=1,
        description="Training examples, drawn at random, on which importance is measured.",
    )
    recover: TrainingOptions | None = Field(
        default=None,
        description="Training after the cut, with the options of a fine-tuning; none: no training.",
    )


_LEAST = 0.01
"""A smaller share is not worth a try: of most layers it rounds to nothing."""


class StructuredPruning(Stage[StructuredOptions]):
    """Removes the units that the training loss depends on least, and stores the smaller tensors."""

    name = "prune.structured"
    summary = "Removes whole layers, attention heads and feed-forward neurons by their measured importance."
    Options = StructuredOptions
    accepts = Accepts(formats=("pytorch",), precisions=("float",), trainable=True, task=True)
    libraries = LIBRARIES
    reads_architectures = True
    paper = (
        "Michel et al. 2019, 'Are Sixteen Heads Really Better than One?', section 4.1 (heads); "
        "Molchanov et al. 2017, 'Pruning Convolutional Neural Networks for Resource Efficient "
        "Inference', "
        "section 2.2 (neurons); "
        "Kim et al. 2024, 'Shortened LLaMA' (layers)"
    )
    needs_data = ("train",)

    @classmethod
    def produces(cls, traits: Traits, options: StructuredOptions, task: str) -> Traits:
        """The input's traits, with a free shape where heads are cut: the plan does not know the
        architecture, and few stock configs can express a head count. The manifest says what came of
        it."""
        return replace(
            traits, task=task, shape="free" if options.heads is not None else traits.shape
        )

    @classmethod
    def check(cls, options: StructuredOptions) -> list[OptionMistake]:
        """Options that remove nothing."""
        if options.layers is None and options.feed_forward is None and options.heads is None:
            return [
                OptionMistake(
                    "feed_forward",
                    "nothing is removed: layers, feed_forward and heads are all left out",
                    "give at least one, such as feed_forward: 0.5",
                )
            ]
        return []

    @classmethod
    def check_layers(cls, options: StructuredOptions, layers: int) -> list[OptionMistake]:
        """Layers that the input does not have, or all that it has where nothing else is removed."""
        if options.layers is None:
            return []
        if misfit := layers_misfit(options.layers, layers):
            return [OptionMistake("layers", f"layers: {misfit}")]
        if (
            layers_left(options.layers) == layers
            and options.feed_forward is None
            and options.heads is None
        ):
            return [
                OptionMistake(
                    "layers",
                    f"layers: {options.layers} removes nothing from a model of {layers} layers",
                    "keep fewer",
                )
            ]
        return []

    @classmethod
    def layers_left(cls, options: StructuredOptions, layers: int) -> int:
        """Those that are to be kept."""
        return layers if options.layers is None else layers_left(options.layers)

    @classmethod
    def back_off(cls, options: StructuredOptions) -> StructuredOptions | None:
        """Half of the feed-forward and head shares, none of what is nearly nothing; where a number
        of layers is all that is given, one more stays. None where neither is left."""
        less = {
            name: _half(share)
            for name in ("feed_forward", "heads")
            if (share := getattr(options, name)) is not None
        }
        if not less and isinstance(options.layers, int):
            return options.model_copy(update={"layers": options.layers + 1})
        still_cuts = options.layers is not None or any(less.values())
        return options.model_copy(update=less) if less and still_cuts else None

    def apply(self, context: Context[StructuredOptions]) -> Made:
        """The pruned model, with its tokenizer, in ``context.output``."""
        from compress_prune.structured import prune

        return prune(context)


def _half(share: float) -> float | None:
    return share / 2 if share / 2 >= _LEAST else None


@hookimpl
def compress_stages() -> Sequence[type[Stage]]:
    """The stage of this plugin."""
    return [StructuredPruning]
