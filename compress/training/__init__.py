"""Training, for every stage that trains: transformers' Trainer wrapped once.

The wrapper adds batches bucketed by length, bf16 if the hardware is faster in it, checkpoints
that count only when they are complete, an exact resume, a stop at the first loss that is not
finite, and evaluation in the order of the rows. ``fit`` imports torch, this module does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.processor import Processor
from compress.stage import Context, Data
from compress.training.facts import TrainingFacts
from compress.training.options import LIBRARIES, Loss, Term, TrainingOptions

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def fit(
    model: PreTrainedModel,
    context: Context[Any],
    options: TrainingOptions,
    *,
    loss: Loss | None = None,
    processor: Processor | None = None,
    data: Data | None = None,
    groups: Sequence[int] = (),
    work: Path | None = None,
) -> TrainingFacts:
    """Train ``model`` in place on the train split of ``context``, and return facts for the notes
    of its manifest.

    Without ``loss`` the model's own is used, without ``processor`` that of the input. ``data``
    stand in place of the context's. ``groups`` has a number for each training row: rows with
    different numbers are never in one batch. With a validation split the model ends with the
    weights of the epoch of the best quality. The training continues from the newest complete
    checkpoint in ``work``, by default ``context.work``: of several trainings of a step each has a
    folder of its own. Raises CompressError at the first loss that is not finite.

    Several processes train it together: each has its rows of every batch, and all end with the same
    weights, but for their last bits those that one process would have reached."""
    from compress.training.loop import train

    if processor is None:
        assert context.input is not None, "the processor of a fresh model is given"
        processor = context.task.processor(context.input.folder)
    data = context.data if data is None else data
    assert data is not None, "a stage that trains names the splits it needs"
    folder = context.work if work is None else work
    return train(model, context, options, loss, processor, data, groups, folder)


__all__ = ["LIBRARIES", "Loss", "Term", "TrainingFacts", "TrainingOptions", "fit"]
