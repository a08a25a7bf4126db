"""Training, for every stage that trains: transformers' Trainer wrapped once.

What the wrapper adds: batches bucketed by length, bf16 where the hardware is faster in it,
checkpoints that count only when they are complete, an exact resume, a stop at the first loss that
is not finite, evaluation in the order of the rows. This module is light; torch is imported when
``fit`` is called.
"""

from __future__ import annotations

from typing import Any

from compress.training.options import LIBRARIES, Loss, TrainingOptions


def fit(
    model: Any,
    context: Any,
    options: TrainingOptions,
    *,
    loss: Loss | None = None,
    processor: Any = None,
) -> dict[str, Any]:
    """Facts of training ``model`` in place on the train split of ``context``: steps, seconds, the
    best quality.

    The loss is the model's own where none is given, and the processor that of the input. With a
    validation split the weights of the epoch with the best quality are kept. Continues from the
    newest complete checkpoint in ``context.work``. Raises CompressError at the first loss that is
    not finite."""
    from compress.training.loop import train

    return train(
        model, context, options, loss, processor or context.task.processor(context.input.folder)
    )


__all__ = ["LIBRARIES", "Loss", "TrainingOptions", "fit"]
