"""Stages that prune. ``prune.structured`` is here: whole layers, attention heads and feed-forward
neurons are removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from compress import hookimpl
from compress.architecture import KnownSizes
from compress.artifact import Traits
from compress.layers import all_stay, in_words, layer_mistakes, layers_left
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.task import Task
from compress.training import LIBRARIES
from compress.view import View
from compress_prune.caution import ZerosView
from compress_prune.layers import LayersPruning
from compress_prune.lowrank import EmbeddingsPruning
from compress_prune.options import StructuredOptions, structured_mistakes
from compress_prune.shares import half, share_mistakes
from compress_prune.targetsview import TargetsView
from compress_prune.unstructured import UnstructuredPruning
from compress_prune.vocabulary import VocabularyPruning


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
    needs_choice = False

    @classmethod
    def produces(cls, traits: Traits, options: StructuredOptions, task: str) -> Traits:
        """The input's traits, with a free shape where heads are cut, or layers get widths of their
        own.

        The plan does not know the architecture, and few stock configs can express a head
        count. The manifest states the shape that resulted."""
        is_free = (
            isinstance(options.feed_forward, Mapping)
            or options.cuts_heads
            or options.shape == "free"
        )
        return replace(traits, task=task, shape="free" if is_free else traits.shape)

    @classmethod
    def check(cls, options: StructuredOptions) -> list[OptionMistake]:
        """Options that remove nothing, and those that do not go together."""
        return list(structured_mistakes(options))

    @classmethod
    def check_task(cls, options: StructuredOptions, task: type[Task[Any]]) -> list[OptionMistake]:
        """A latency of answers that are generated: a cut model writes other ones, of another
        length."""
        if not (options.asks_latency and task.generates()):
            return []
        message = f"answers of {task.name} are generated, and those of a cut model differ in length"
        return [OptionMistake("target.latency", message, "give target: {parameters: 0.5}")]

    @classmethod
    def chooses(cls, options: StructuredOptions) -> bool:
        """Where a target asks for a latency: it chooses what is served."""
        return options.asks_latency

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
        """Half of the gain of a target; else half of the shares ``feed_forward`` and ``heads``; a
        share that gets too small is left out. Where only a number of layers is given, one layer
        more stays. None where no cut is left."""
        if options.target is not None:
            less_asked = options.target.half()
            return options.model_copy(update={"target": less_asked}) if less_asked else None
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
    return [ZerosView, TargetsView]
