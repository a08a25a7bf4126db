"""The options of a training, and the loss that a stage may replace. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import Field

from compress.machine import gpus, processor
from compress.options import Options, SplitMark

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers")
"""Distributions that shape what a training makes: ``Stage.libraries`` of a stage that
trains."""


class TrainingOptions(Options):
    """Options of one training; a stage that trains extends it or nests it."""

    epochs: float = Field(default=3.0, gt=0, description="Passes over the training rows.")
    learning_rate: float = Field(
        default=5e-5, gt=0, le=1, description="Peak learning rate of AdamW; it then falls to 0."
    )
    batch_size: int = Field(
        default=32, ge=1, description="Examples in a batch, of all processes together."
    )
    gradient_accumulation: int = Field(
        default=1, ge=1, description="Batches whose gradients are averaged for one step."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Compute activations again in the backward pass: less memory, slower.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description=(
            "Arithmetic of the forward pass; auto takes bf16 where the processor or GPU is "
            "faster in it."
        ),
    )
    weight_decay: float = Field(
        default=0.01, ge=0, le=1, description="Decoupled weight decay of AdamW."
    )
    warmup: float = Field(
        default=0.06,
        ge=0,
        lt=1,
        description=(
            "Share of the steps in which the learning rate rises; it is above 0 at every step."
        ),
    )
    patience: Annotated[int | None, SplitMark("validation")] = Field(
        default=None,
        ge=1,
        description="Stop after this many epochs without a better validation quality; none: never.",
    )

    def left_to_machine(self) -> Mapping[str, Any]:
        """What nested options leave, and what ``auto`` precision depends on: the GPU that trains,
        and the processor."""
        left = dict(super().left_to_machine())
        if self.precision == "auto":
            left["precision"] = [*gpus()[:1], processor().fast_in_bf16]
        return left


@dataclass(frozen=True)
class Term:
    """A term of a loss: a scalar, the weighted mean over ``count`` things of this process's batch.
    Where there are none, the value does not matter."""

    value: Tensor
    count: int


class Loss(Protocol):
    """A function that computes the loss of a batch instead of the task."""

    def __call__(
        self, model: PreTrainedModel, batch: dict[str, Tensor], indices: Tensor, /
    ) -> Tensor | Sequence[Term]:
        """The loss, a scalar that is a mean over what ``Task.counted`` counts; or its terms, if
        they are means over different things. ``batch`` holds what ``Task.collate`` made, with
        ``labels``; ``indices`` (int64 [batch]) are the rows' positions in the training split."""
        ...
