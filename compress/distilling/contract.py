"""What a teacher must have in common with its student's task and data, and what a student must
give. No torch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from compress.artifact import Artifact
from compress.distilling.menu import LossItem
from compress.errors import UsageError, listed
from compress.heads import meant_labels
from compress.stage import Context, Data

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_STATES = "output_hidden_states"


def refuse_strangers(teacher: Artifact, data: Data, context: Context[Any]) -> None:
    """Raise UsageError unless the teacher has the step's task, and the labels of the data in the
    same order."""
    if teacher.traits.task != context.task.name:
        raise UsageError(
            f"the teacher serves {teacher.traits.task or 'no task'}, and the step is for "
            f"{context.task.name}: fine-tune it for that, or take another teacher"
        )
    theirs = meant_labels(teacher.manifest.labels, data.labels)
    if theirs != tuple(data.labels):
        raise UsageError(f"the teacher's labels are not the data's: {_misfit(theirs, data.labels)}")


def refuse_without_states(model: PreTrainedModel, losses: Sequence[LossItem]) -> None:
    """Raise UsageError where ``losses`` compare hidden states, and ``model`` gives none."""
    read = inspect.signature(model.forward).parameters.values()
    if any(p.name == _STATES or p.kind is p.VAR_KEYWORD for p in read):
        return
    if any(loss.hidden or loss.embeddings for loss in losses):
        raise UsageError(
            f"a {model.config.model_type} model gives no hidden states (its forward has no "
            f"{_STATES}): take hidden and embeddings out of losses"
        )


def _misfit(theirs: Sequence[str], labels: Sequence[str]) -> str:
    """How the labels differ, and what to do about it."""
    missing = [label for label in labels if label not in theirs]
    more = [label for label in theirs if label not in labels]
    if missing:
        return f"it has no {listed(missing[:3])}: fine-tune it on these data first"
    if more:
        return f"it has {listed(more[:3])} besides: state all its labels with data.labels"
    place = next(i for i, label in enumerate(labels) if theirs[i] != label)
    return (
        f"its output {place} is {theirs[place]!r}, and there {labels[place]!r}: state its order "
        "with data.labels"
    )
