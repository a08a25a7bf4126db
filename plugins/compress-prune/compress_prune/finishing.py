"""The end of a stage that cuts: recovery, and the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from compress.edits import Edit
from compress.models import save_model
from compress.stage import Context, Made
from compress_prune.recovery import RecoveryOptions, recover


def finish(
    model: PreTrainedModel,
    context: Context[Any],
    recovery: RecoveryOptions | None,
    edits: Sequence[Edit],
    notes: Mapping[str, Any],
) -> Made:
    """Train the cut ``model``, which has these ``edits``, if a ``recovery`` is given, and write it
    into ``context.output``, with the processor of the step's input."""
    source = context.input
    assert source is not None, "a plan gives a stage that cuts an input"
    told = dict(notes)
    if recovery is not None:
        told["recover"] = recover(model, context, recovery, edits)
    if context.rank > 0:
        return Made()
    parameters = save_model(model, context.output)
    context.task.processor(source.folder).save(context.output)
    return Made(parameters=parameters, edits=edits, notes=told)
