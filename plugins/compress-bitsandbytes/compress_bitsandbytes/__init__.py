"""bitsandbytes: the stage ``quantize.bitsandbytes`` (LLM.int8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from compress import hookimpl
from compress.artifact import Traits
from compress.errors import UsageError
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage


class BitsAndBytesOptions(Options):
    """Options of ``quantize.bitsandbytes``."""

    threshold: float = Field(
        default=6.0,
        ge=0.0,
        description=(
            "Features of the activations whose magnitude exceeds this are multiplied in 16 bits "
            "instead of 8; 0 multiplies everything in 8."
        ),
    )
    skip_modules: list[str] = Field(
        default=[],
        description=(
            "Linear layers to leave as they are beside the model's head: the beginning or the end "
            "of their names, such as `bert.encoder.layer.0` or `attention.output.dense`."
        ),
    )


class QuantizeBitsAndBytes(Stage[BitsAndBytesOptions]):
    """A PyTorch model with int8 weights in its linear layers, for plain
    ``from_pretrained``."""

    name: ClassVar[str] = "quantize.bitsandbytes"
    summary: ClassVar[str] = (
        "Quantize linear layers to int8 with bitsandbytes (LLM.int8): smaller files, no less time"
    )
    Options: ClassVar[type[Options]] = BitsAndBytesOptions
    accepts: ClassVar[Accepts] = Accepts(shapes=("stock",), task=True)
    paper: ClassVar[str] = (
        "Dettmers et al. 2022, LLM.int8(): 8-bit Matrix Multiplication, arXiv:2208.07339"
    )
    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers", "bitsandbytes")

    @classmethod
    def produces(cls, traits: Traits, options: BitsAndBytesOptions, task: str) -> Traits:
        """int8, no longer trainable, still PyTorch."""
        return replace(traits, precision="int8", trainable=False, task=task)

    def apply(self, context: Context[BitsAndBytesOptions]) -> Made:
        """Write the quantized model. Raises UsageError for a ``skip_modules`` entry that
        names no linear layer, and ModelRefused for a family that cannot be quantized."""
        from compress_bitsandbytes.int8 import quantize

        if context.input is None:
            raise UsageError("quantize.bitsandbytes needs a model before it")
        notes = quantize(context, context.input)
        return Made(parameters=context.input.manifest.parameters, notes=notes)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stage of this plugin."""
    return [QuantizeBitsAndBytes]
