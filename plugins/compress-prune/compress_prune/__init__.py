"""Stages that prune. ``prune.structured`` is here: whole layers, attention heads and feed-forward
neurons are removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from compress import hookimpl
from compress.architecture import KnownSizes
from compress.artifact import Traits
from compress.layers import all_stay, in_words, layer_mistakes, layers_left
from compress.options import KeptByStack, Options
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.training import LIBRARIES
from compress.view import View
from compress_prune.caution import ZerosView
from compress_prune.layers import LayersPruning
from compress_prune.lowrank import EmbeddingsPruning
from compress_prune.recovery import RecoveryOptions, recovery_mistakes
from compress_prune.shares import Shares, half, share_mistakes
from compress_prune.unstructured import UnstructuredPruning
from compress_prune.vocabulary import VocabularyPruning


class StructuredOptions(Options):
    """What to remove; at least one of ``layers``, ``feed_forward`` and ``heads`` is
    given."""

    layer_criterion: ClassVar[str] = "losses_without"
    """The name in ``compress_prune.importance.LAYER_CRITERIA``, which has one entry, so that it is
    no option yet."""

    layers: KeptByStack | None = Field(
        default=None,
        description=(
            "Layers to keep: how many (those without which the loss is highest), or which "
            "([0, 2, 4]). Of a model with two stacks, for each: {encoder: 6, decoder: 2}."
        ),
    )
    feed_forward: Shares | None = Field(
        default=None,
        description=(
            "Share of each layer's feed-forward neurons to remove; what stays is rounded to a "
            "multiple of 8. Or shares of single layers, by number after `layers` are cut: "
            "{0: 0.5, 5: 0.75}."
        ),
    )
    heads: Shares | None = Field(
        default=None,
        description=(
            "Share of each layer's attention heads to remove, rounded to whole heads; one stays at "
            "least. Where heads share keys and values, whole groups go, or as many of each group "
            "if that would be none. Or shares of single layers, as for feed_forward."
        ),
    )
    shape: Literal["stock", "free"] = Field(
        default="stock",
        description=(
            "stock: each layer loses the same share. free: a share is one of all layers together, "
            "and each loses what it can spare; opens in PyTorch with compress alone."
        ),
    )
    criterion: Literal["taylor", "fisher"] = Field(
        default="taylor",
        description=(
            "How the importance of heads and neurons is measured. taylor: by how much the loss "
            "changes at first when one fades, the mean of absolute values. fisher: half the mean "
            "of their squares."
        ),
    )
    tune: bool = Field(
        default=False,
        description=(
            "Whether what the cut layers make is fitted, by least squares, to what they made "
            "before; without training."
        ),
    )
    importance_examples: int = Field(
        default=512,
        ge=1,
        description=(
            "Training examples, drawn at random, on which importance is measured and layers are "
            "tuned."
        ),
    )
    recover: RecoveryOptions | None = Field(
        default=None,
        description="Training after the cut; none: no training.",
    )

    @property
    def cuts_units(self) -> bool:
        """Whether feed-forward neurons or heads are removed."""
        return self.feed_forward is not None or self.heads is not None


def _unread(options: StructuredOptions) -> list[OptionMistake]:
    """Options that nothing reads beside the others."""
    mistakes = []
    shares = [each for each in (options.feed_forward, options.heads) if each is not None]
    if options.shape == "free" and not (shares and all(isinstance(s, float) for s in shares)):
        message = "shape: free shares out one number over all layers, and shares by layer are none"
        mistakes.append(OptionMistake("shape", message, "give numbers, such as feed_forward: 0.5"))
    if not options.cuts_units:
        unread = {"tune": options.tune, "criterion": options.criterion != "taylor"}
        message = "it is for heads and neurons, and none are cut"
        hint = "give feed_forward or heads, or leave it out"
        mistakes += [OptionMistake(n, message, hint) for n, is_set in unread.items() if is_set]
    return mistakes


class StructuredPruning(Stage[StructuredOptions]):
    """Removes the units that the training loss depends on least, and stores the smaller
    tensors."""

    name = "prune.structured"
    summary = (
        "Removes whole layers, attention heads and feed-forward neurons by their measured "
        "importance."
    )
    Options = StructuredOptions
    accepts = Accepts(formats=("pytorch",), precisions=("float",), trainable=True, task=True)
    libraries = LIBRARIES
    reads_architectures = True
    paper = (
        "Michel et al. 2019, 'Are Sixteen Heads Really Better than One?', section 4.1 (heads); "
        "Molchanov et al. 2017, 'Pruning Convolutional Neural Networks for Resource Efficient "
        "Inference', section 2.2 (neurons); "
        "Kwon et al. 2022, 'A Fast Post-Training Pruning Framework for Transformers', section 4.1 "
        "(fisher); Park et al. 2024, 'Accurate Retraining-free Pruning for Pretrained "
        "Encoder-based Language Models', section 3.4 (tune); "
        "Kim et al. 2024, 'Shortened LLaMA' (layers)"
    )
    needs_data = ("train",)

    @classmethod
    def produces(cls, traits: Traits, options: StructuredOptions, task: str) -> Traits:
        """The input's traits, with a free shape where heads are cut, or layers get widths of their
        own.

        The plan does not know the architecture, and few stock configs can express a head
        count. The manifest states the shape that resulted."""
        shares = isinstance(options.feed_forward, Mapping) or options.heads is not None
        is_free = shares or options.shape == "free"
        return replace(traits, task=task, shape="free" if is_free else traits.shape)

    @classmethod
    def check(cls, options: StructuredOptions) -> list[OptionMistake]:
        """Options that remove nothing, and those of a recovery that do not go together."""
        if options.layers is None and not options.cuts_units:
            return [
                OptionMistake(
                    "feed_forward",
                    "nothing is removed: layers, feed_forward and heads are all left out",
                    "give at least one, such as feed_forward: 0.5",
                )
            ]
        return [*_unread(options), *recovery_mistakes(options.recover)]

    @classmethod
    def shares_work(cls, options: StructuredOptions) -> bool:
        """Where it trains after the cut."""
        return options.recover is not None

    @classmethod
    def needs_layout(cls, options: StructuredOptions) -> bool:
        """Always: layers, heads and feed-forward blocks are parts."""
        return True

    @classmethod
    def check_sizes(cls, options: StructuredOptions, sizes: KnownSizes) -> list[OptionMistake]:
        """Layers that the input does not have, or all that it has where nothing else is
        removed."""
        layers = sizes.layers
        mistakes = layer_mistakes(options.layers, layers)
        if not mistakes:
            mistakes = share_mistakes(options, layers_left(options.layers, layers))
        if mistakes or options.cuts_units or not all_stay(options.layers, layers):
            return mistakes
        message = f"layers: {options.layers} removes nothing from a model of {in_words(layers)}"
        return [OptionMistake("layers", message, "keep fewer")]

    @classmethod
    def sizes_left(cls, options: StructuredOptions, sizes: KnownSizes) -> KnownSizes:
        """With the layers that stay."""
        return replace(sizes, layers=layers_left(options.layers, sizes.layers))

    @classmethod
    def back_off(cls, options: StructuredOptions) -> StructuredOptions | None:
        """Half of the shares ``feed_forward`` and ``heads``; a share that gets too small is
        left out. Where only a number of layers is given, one layer more stays. None where
        no cut is left."""
        if not options.cuts_units:
            if isinstance(options.layers, int):
                return options.model_copy(update={"layers": options.layers + 1})
            return None
        shares = {"feed_forward": options.feed_forward, "heads": options.heads}
        less = options.model_copy(
            update={name: half(share) for name, share in shares.items() if share is not None}
        )
        return less if less.layers is not None or less.cuts_units else None

    def apply(self, context: Context[StructuredOptions]) -> Made:
        """The pruned model, with its tokenizer, in ``context.output``."""
        from compress_prune.structured import prune

        return prune(context)


@hookimpl
def compress_stages() -> Sequence[type[Stage[Any]]]:
    """The stages of this plugin."""
    return [
        StructuredPruning,
        LayersPruning,
        EmbeddingsPruning,
        UnstructuredPruning,
        VocabularyPruning,
    ]


@hookimpl
def compress_views() -> Sequence[type[View]]:
    """The section that this plugin adds to reports."""
    return [ZerosView]
