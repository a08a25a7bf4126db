"""The stage ``try.three``: a model in PyTorch and as two ONNX files, of which the best is kept."""

from __future__ import annotations

from typing import Any, ClassVar

from compress import hookimpl
from compress.artifact import Traits
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage

ONNX = Traits("onnx", "float", "stock", trainable=False)
"""The traits of two of the candidates, which ONNX Runtime opens."""


class TryThree(Stage[Options]):
    """The fastest of three candidates whose answers to the validation split are as good as the
    model's."""

    name: ClassVar[str] = "try.three"
    summary: ClassVar[str] = "Tries a model in two engines, and keeps the fastest file of it."
    accepts: ClassVar[Accepts] = Accepts(task=True)
    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers", "onnxruntime")
    reads_architectures: ClassVar[bool] = True
    needs_data: ClassVar[tuple[str, ...]] = ("validation",)

    @classmethod
    def produces(cls, traits: Traits, options: Options, task: str) -> Traits:
        """ONNX, no longer trainable."""
        return Traits("onnx", "float", "stock", False, task)

    def apply(self, context: Context[Options]) -> Made:
        """Write the best candidate. The notes hold the choice and its figures."""
        from compress_try_three.trying import try_three

        return try_three(context)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stage ``try.three``."""
    return [TryThree]
