"""The stage ``prune.vocabulary``: tokens that a corpus does not need are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from compress.artifact import sha256_file
from compress.options import Options, RecipePath
from compress.processor import TextProcessor
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.task import Task
from compress.training import LIBRARIES, TrainingOptions

_COLUMNS = (".csv", ".jsonl", ".tsv")
_LEAST = 0.01
"""A smaller share is not worth a try."""


def _rows_that_can_stay(keep: int | float) -> int | float:
    valid = keep >= 1 if isinstance(keep, int) else 0 < keep < 1
    if not valid:
        raise ValueError("expected a number of rows, from 1, or a share between 0 and 1")
    return keep


class VocabularyOptions(Options):
    """Which tokens stay."""

    minimum: int = Field(
        default=1, ge=1, description="How often a token must be in the corpus to stay."
    )
    keep: Annotated[int | float, AfterValidator(_rows_that_can_stay)] | None = Field(
        default=None,
        description=(
            "Rows that stay at most, as a number or a share: the most frequent; none: all that "
            "occur."
        ),
    )
    texts: RecipePath | None = Field(
        default=None,
        description=(
            "File of texts that are the corpus, one on each line; none: the training split, as the "
            "model reads it."
        ),
    )
    column: str | None = Field(
        default=None, description="Column of the texts, where the file is .csv, .tsv or .jsonl."
    )
    recover: TrainingOptions | None = Field(
        default=None,
        description="Training after the cut, with the options of a fine-tuning; none: no training.",
    )

    def left_to_machine(self) -> Mapping[str, Any]:
        """What nested options leave, and the content of the file of texts."""
        left = dict(super().left_to_machine())
        if self.texts is not None:
            left["texts"] = sha256_file(Path(self.texts))
        return left


class VocabularyPruning(Stage[VocabularyOptions]):
    """Drops tokens from the tokenizer, and their rows from the embeddings and the heads."""

    name: ClassVar[str] = "prune.vocabulary"
    summary: ClassVar[str] = (
        "Drops tokens that a corpus does not need, from the tokenizer and the embeddings together; "
        "any text still has tokens."
    )
    Options = VocabularyOptions
    accepts = Accepts(formats=("pytorch",), precisions=("float",), trainable=True, task=True)
    libraries = LIBRARIES
    paper = (
        "Abdaoui et al. 2020, 'Load What You Need: Smaller Versions of Multilingual BERT', "
        "section 3 (arXiv:2010.05609)"
    )
    needs_data = ("train",)

    @classmethod
    def check(cls, options: VocabularyOptions) -> list[OptionMistake]:
        """A column without a file that has columns, and a file of columns without one."""
        has_columns = options.texts is not None and Path(options.texts).suffix in _COLUMNS
        if options.column is not None and not has_columns:
            return [
                OptionMistake(
                    "column",
                    f"column: {options.column} is that of no file",
                    f"give texts: a file whose name ends in {', '.join(_COLUMNS)}",
                )
            ]
        if has_columns and options.column is None:
            return [
                OptionMistake(
                    "texts",
                    f"texts: {Path(str(options.texts)).name} has columns",
                    "say which holds the texts with column: NAME",
                )
            ]
        return []

    @classmethod
    def task_misfit(cls, task: type[Task[Any]]) -> str | None:
        """A task whose models read no text by a tokenizer."""
        if issubclass(task.processor_class, TextProcessor):
            return None
        return "drops the tokens of a tokenizer, and models of this task read none"

    @classmethod
    def shares_work(cls, options: VocabularyOptions) -> bool:
        """Where it trains after the cut."""
        return options.recover is not None

    @classmethod
    def back_off(cls, options: VocabularyOptions) -> VocabularyOptions | None:
        """Half of the share that is dropped, where ``keep`` is a share; else half of ``minimum``.
        None where that is 1."""
        if isinstance(options.keep, float) and 1 - options.keep >= 2 * _LEAST:
            return options.model_copy(update={"keep": (1 + options.keep) / 2})
        if options.minimum > 1:
            return options.model_copy(update={"minimum": options.minimum // 2})
        return None

    def apply(self, context: Context[VocabularyOptions]) -> Made:
        """The model with fewer tokens, and its tokenizer, in ``context.output``."""
        from compress_prune.trimming import trim

        return trim(context)
