"""The stage ``finetune.bitfit``: it trains, alone or in several processes."""

from __future__ import annotations

from typing import Any

from compress import hookimpl
from compress.stage import Accepts, Context, Made, Stage
from compress.training import LIBRARIES, TrainingOptions


class BitFit(Stage[TrainingOptions]):
    """The input with a head for the task. Biases and new weights were trained, nothing else."""

    name = "finetune.bitfit"
    summary = "Train the biases of a model, and the weights that are new."
    paper = "Ben Zaken et al. 2022, BitFit, section 3 (arXiv:2106.10199)"
    Options = TrainingOptions
    accepts = Accepts(trainable=True)
    libraries = LIBRARIES
    needs_data = ("train",)

    @classmethod
    def shares_work(cls, options: TrainingOptions) -> bool:
        """Always: ``fit`` shares the batches."""
        return True

    def apply(self, context: Context[TrainingOptions]) -> Made:
        """Write the trained model and its processor."""
        from compress_bitfit.training import train_biases

        return train_biases(context)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stage ``finetune.bitfit``."""
    return [BitFit]
