"""What a student can learn of a model's outputs. No torch at the top: a task's module imports
this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from compress.errors import CompressError

if TYPE_CHECKING:
    from torch import Tensor

Divergence = Literal["softmax", "binary", "regression", "states"]
"""What two answers are compared as: distributions over choices of which one is right (``softmax``);
yes or no for each (``binary``); numbers (``regression``); hidden states, of which a stage says
itself how they differ (``states``)."""

Keep = Literal["auto", "all", "sample", "top", "nothing"]
"""What is kept of an answer over many choices: all of it, a sample, the most probable choices, or
nothing, so that the teacher answers while its student learns. ``auto`` goes by their number."""


@dataclass(frozen=True)
class Distillable:
    """Answers among a model's outputs that a student learns to give.

    ``values``, float [batch, ..., width], hold an answer in the last axis. ``mask``, bool, says
    what of them counts; None: all. It has either the shape [batch, ...], and then tells which
    answers count; or that of ``values``, and then tells which choices of each answer count, such as
    the tokens of a text of which one begins a span. ``divergence`` is what two answers are compared
    as.

    Raises CompressError if the shapes do not fit."""

    values: Tensor
    mask: Tensor | None = None
    divergence: Divergence = "softmax"

    def __post_init__(self) -> None:
        shape = tuple(self.values.shape)
        if len(shape) < 2:
            raise CompressError(
                f"distillable: values are {list(shape)}, and not [batch, ..., width]"
            )
        if self.mask is not None and tuple(self.mask.shape) not in (shape[:-1], shape):
            raise CompressError(
                f"distillable: the mask is {list(self.mask.shape)}, and values are {list(shape)}: "
                "give it their shape, or their shape without the last axis"
            )
        if self.divergence not in get_args(Divergence):
            raise CompressError(
                f"distillable: divergence is {self.divergence!r}; give one of "
                + ", ".join(get_args(Divergence))
            )

    @property
    def masks_choices(self) -> bool:
        """Whether the mask tells which choices count, and not which answers."""
        return self.mask is not None and self.mask.dim() == self.values.dim()
