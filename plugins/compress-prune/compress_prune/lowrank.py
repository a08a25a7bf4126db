"""The stage ``prune.embeddings``: embeddings of a lower rank."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from compress.artifact import Traits
from compress.options import Options
from compress.processor import TextProcessor
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.task import Task
from compress.training import LIBRARIES
from compress_prune.recovery import RecoveryOptions, recovery_mistakes

_LEAST = 0.01
"""A smaller share is not worth a try."""


class EmbeddingsOptions(Options):
    """How small the embeddings become."""

    rank: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.25,
        description="Rank of the embeddings, as a number or as a share of their width.",
    )
    recover: RecoveryOptions | None = Field(
        default=None, description="Training after the cut; none: no training."
    )


class EmbeddingsPruning(Stage[EmbeddingsOptions]):
    """Replaces the matrix of the embeddings by a product of two small ones, which is nearest to it
    for the tokens of the training rows."""

    name: ClassVar[str] = "prune.embeddings"
    summary: ClassVar[str] = (
        "Makes two small matrices of the embeddings, which are nearest for the frequent tokens."
    )
    Options = EmbeddingsOptions
    accepts = Accepts(formats=("pytorch",), precisions=("float",), trainable=True, task=True)
    libraries = LIBRARIES
    reads_architectures = True
    paper = (
        "Lan et al. 2020, 'ALBERT', section 3.1 (arXiv:1909.11942); Chen et al. 2018, "
        "'GroupReduce' (frequencies as weights, arXiv:1806.06950)"
    )
    needs_data = ("train",)

    @classmethod
    def produces(cls, traits: Traits, options: EmbeddingsOptions, task: str) -> Traits:
        """The input's traits with a free shape."""
        return replace(traits, task=task, shape="free")

    @classmethod
    def check(cls, options: EmbeddingsOptions) -> list[OptionMistake]:
        """Options of a recovery that do not go together."""
        return recovery_mistakes(options.recover)

    @classmethod
    def task_misfit(cls, task: type[Task[Any]]) -> str | None:
        """A task whose models read no text by a tokenizer."""
        if issubclass(task.processor_class, TextProcessor):
            return None
        return "makes the embeddings of tokens smaller, and models of this task read none"

    @classmethod
    def shares_work(cls, options: EmbeddingsOptions) -> bool:
        """Where it trains after the cut."""
        return options.recover is not None

    @classmethod
    def needs_layout(cls, options: EmbeddingsOptions) -> bool:
        """Always: what its shape becomes is stated by the family's parts."""
        return True

    @classmethod
    def back_off(cls, options: EmbeddingsOptions) -> EmbeddingsOptions | None:
        """Half of what a share takes away. None for a number, and where the rest is too small."""
        if isinstance(options.rank, int) or 1 - options.rank < 2 * _LEAST:
            return None
        return options.model_copy(update={"rank": (1 + options.rank) / 2})

    def apply(self, context: Context[EmbeddingsOptions]) -> Made:
        """The model with small embeddings, and its tokenizer, in ``context.output``."""
        from compress_prune.factoring import factor

        return factor(context)
