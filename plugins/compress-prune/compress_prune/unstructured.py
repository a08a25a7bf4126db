"""The stage ``prune.unstructured``: single weights become zero."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field

from compress.options import Options
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.training import LIBRARIES
from compress_prune.recovery import RecoveryOptions, recovery_mistakes

_LEAST = 0.01
"""A smaller share is not worth a try."""
_PATTERN = re.compile(r"([1-9]\d?):([1-9]\d?)")


class UnstructuredOptions(Options):
    """Which weights become zero: a ``share``, or those of a ``pattern``."""

    criterion: Literal["magnitude", "wanda", "sparsegpt"] = Field(
        default="wanda",
        description=(
            "magnitude: the smallest weights. wanda: the smallest products of a weight and the "
            "norm of its inputs. sparsegpt: those whose loss the other weights can make up for "
            "best, and they do."
        ),
    )
    share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the weights of the layers' linear parts that become zero.",
    )
    pattern: str | None = Field(
        default=None,
        description=(
            "In place of a share: how many of so many adjacent inputs keep their weights, such as "
            "'2:4' (in quotation marks)."
        ),
    )
    across: Literal["matrix", "model"] = Field(
        default="matrix",
        description=(
            "Whether each matrix loses the share, or the model as a whole; the latter by magnitude "
            "alone."
        ),
    )
    calibration_examples: int = Field(
        default=128,
        ge=1,
        description="Training examples, drawn at random, on which inputs are measured.",
    )
    recover: RecoveryOptions | None = Field(
        default=None,
        description="Training after the cut, in which zeros stay zeros; none: no training.",
    )

    @property
    def kept_of(self) -> tuple[int, int] | None:
        """(n, m): n of m adjacent weights stay; None without a pattern."""
        found = _PATTERN.fullmatch(self.pattern or "")
        return (int(found[1]), int(found[2])) if found else None


class UnstructuredPruning(Stage[UnstructuredOptions]):
    """Sets the weights to zero that the outputs of their layer depend on least."""

    name: ClassVar[str] = "prune.unstructured"
    summary: ClassVar[str] = (
        "Sets single weights to zero. That alone makes no engine here faster and no file smaller."
    )
    Options = UnstructuredOptions
    accepts = Accepts(formats=("pytorch",), precisions=("float",), trainable=True, task=True)
    libraries = LIBRARIES
    reads_architectures = True
    paper = (
        "Sun et al. 2023, 'A Simple and Effective Pruning Approach for Large Language Models', "
        "section 3 (wanda, arXiv:2306.11695); Frantar and Alistarh 2023, 'SparseGPT', section 3 "
        "(arXiv:2301.00774)"
    )
    needs_data = ("train",)

    @classmethod
    def check(cls, options: UnstructuredOptions) -> list[OptionMistake]:
        """A share and a pattern together, or neither; a pattern that is none; and a share of the
        whole model by a criterion that compares the weights of a matrix alone; and a recovery
        whose options do not go together."""
        if (options.share is None) == (options.pattern is None):
            return [OptionMistake("share", "give either share or pattern", "such as share: 0.5")]
        counts = options.kept_of
        if options.pattern is not None and (counts is None or counts[0] >= counts[1]):
            hint = "such as '2:4': two of four adjacent weights stay"
            return [OptionMistake("pattern", f"pattern: {options.pattern} is none", hint)]
        if options.across == "model" and (options.criterion != "magnitude" or counts):
            return [
                OptionMistake(
                    "across",
                    "across: model compares the sizes of weights",
                    "give criterion: magnitude and a share, or across: matrix",
                )
            ]
        return recovery_mistakes(options.recover)

    @classmethod
    def shares_work(cls, options: UnstructuredOptions) -> bool:
        """Where it trains after the cut."""
        return options.recover is not None

    @classmethod
    def needs_layout(cls, options: UnstructuredOptions) -> bool:
        """Always: the weights are those of a model's layers."""
        return True

    @classmethod
    def back_off(cls, options: UnstructuredOptions) -> UnstructuredOptions | None:
        """Half of the share; None where that is too small to be worth a try, and for a pattern."""
        if options.share is None or options.share < 2 * _LEAST:
            return None
        return options.model_copy(update={"share": options.share / 2})

    def apply(self, context: Context[UnstructuredOptions]) -> Made:
        """The model with zeros in ``context.output``."""
        from compress_prune.zeroing import zero

        return zero(context)
