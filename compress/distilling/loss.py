"""What a student is trained on: its distance from a teacher, and the task's own loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from compress.distilling.attending import Attended
from compress.distilling.learned import learned_pairs
from compress.distilling.losses import answers_distance, states_distance
from compress.distilling.matching import Place, all_matched, matched
from compress.distilling.menu import (
    AttendingLoss,
    EmbeddingsLoss,
    HiddenLoss,
    LabelsLoss,
    Lesson,
    LogitsLoss,
    LossItem,
    LossOptions,
    needs_all,
    needs_teacher,
    of_kind,
)
from compress.errors import UsageError
from compress.models import forward
from compress.task import Task
from compress.teacher import Asked, Keeping, Pair, Pairs, TeacherOutputs
from compress.training import Term


def asked_of(lesson: Lesson, layers: Place | None = None) -> Asked:
    """What a lesson asks of a teacher; ``layers`` as in ``matching.matched``."""
    logits = of_kind(lesson.losses, LogitsLoss)
    keeping = Keeping(
        "nothing" if needs_teacher(lesson.losses) else lesson.keep,
        lesson.choices,
        logits[0].temperature if logits else 1.0,
        exact=any(map(needs_all, logits)),
    )
    places = all_matched(lesson.losses, layers)
    return Asked(
        bool(logits),
        tuple(theirs for _, theirs in places),
        keeping,
        own=tuple(own for own, _ in places),
    )


class OwnTargets(Protocol):
    """Targets that a student writes itself, for some batches."""

    def batch(self, model: PreTrainedModel, indices: Tensor) -> dict[str, Tensor] | None:
        """The batch of the rows at ``indices``, int64 [batch], with targets that ``model`` wrote;
        None for a batch that keeps its targets."""
        ...


class DistillationLoss:
    """The weighted terms of ``losses``: distances from the teacher's answers and hidden states, and
    the task's own loss on the labels. It is a ``compress.training.Loss``.

    Each term is a mean over its rows or tokens. As sums, the terms would change their
    weights with the size of the batch and the length of its texts. If a model answers with several
    outputs, or has several stacks or layers that are compared, a term is the mean of theirs.
    ``layers`` are as in ``matching.matched``.

    ``attended`` has the attention layers that losses compare. ``outputs`` is None where nothing is
    asked of the teacher. ``own`` gives some batches targets that the student wrote. These are no
    truth, so the task's own loss does not count there. Nor does it where ``truth`` says so of a
    training row; such rows are in batches of their own. ``is_shared``: several processes train."""

    def __init__(
        self,
        outputs: TeacherOutputs | None,
        losses: Sequence[LossItem],
        task: Task[Any],
        own: OwnTargets | None = None,
        truth: Sequence[bool] = (),
        *,
        layers: Place | None = None,
        attended: Attended | None = None,
        is_shared: bool = False,
    ) -> None:
        self._attended, self._is_shared = attended, is_shared
        self._outputs, self._losses, self._task = outputs, losses, task
        self._own, self._truths = own, truth
        self._reads_labels = bool(of_kind(losses, LabelsLoss))
        self._layers, self._places = layers, all_matched(losses, layers)

    def __call__(
        self, model: PreTrainedModel, batch: dict[str, Tensor], indices: Tensor
    ) -> list[Term]:
        """The terms of the loss of one batch, float32 scalars. ``indices``, int64 [batch], are the
        places of its examples among those of the training rows.

        Raises UsageError if labels are to count, and the task has no loss on them."""
        written = self._own.batch(model, indices) if self._own else None
        inputs = dict(written or batch)
        is_true = not written and (not self._truths or self._truths[int(indices[0])])
        if not is_true or not self._reads_labels:
            # Without labels the model does not compute its own loss, which is not used.
            inputs.pop("labels", None)
        answer = forward(model, inputs, output_hidden_states=bool(self._places))
        pairs = self._pairs(answer, written or batch, indices)
        mask = (written or batch).get("attention_mask")
        terms: list[Term] = []
        for loss in self._losses:
            if isinstance(loss.chosen, LogitsLoss):
                terms += _of_answers(pairs, loss.chosen)
            elif isinstance(loss.chosen, HiddenLoss | EmbeddingsLoss):
                terms += _of_states(self._states(pairs, loss.chosen), loss.chosen)
            elif isinstance(loss.chosen, AttendingLoss):
                assert self._attended is not None, "such losses have their attention layers"
                terms += self._attended.terms(loss.chosen, mask)
            elif not is_true:
                terms.append(Term(torch.zeros(()), 0))
            else:
                terms.append(self._truth(answer, batch, loss.chosen.weight))
        if self._attended:
            self._attended.forget()
        if self._is_shared:
            terms.append(Term(_nothing_of(answer), len(indices)))
        return terms

    def _pairs(self, answer: Any, batch: dict[str, Tensor], indices: Tensor) -> Pairs:
        return self._outputs.pairs(answer, batch, indices) if self._outputs else Pairs()

    def _states(self, pairs: Pairs, chosen: LossOptions) -> list[Pair]:
        """The hidden states that a loss compares; of each layer that of the encoder and that of the
        decoder, if there are two stacks."""
        stacks = len(pairs.states) // max(1, len(self._places))
        found = []
        for place in matched(chosen, self._layers):
            first = self._places.index(place) * stacks
            found += pairs.states[first : first + stacks]
        if isinstance(chosen, HiddenLoss) and chosen.layers == "learned" and self._layers:
            return learned_pairs(found, self._layers, chosen.distance)
        return found

    def _truth(self, outputs: Any, batch: dict[str, Tensor], weight: float) -> Term:
        """The task's weighted loss on the labels."""
        own = self._task.loss(outputs, batch)
        if own is None:
            raise UsageError(
                f"labels: task {self._task.name} has no loss on its labels: take labels out of "
                "losses"
            )
        return Term(weight * own.float(), self._task.counted(batch))


def _of_answers(pairs: Pairs, chosen: LogitsLoss) -> Iterator[Term]:
    weight = chosen.weight / max(1, len(pairs.answers))
    for pair in pairs.answers:
        yield Term(weight * answers_distance(pair, chosen), pair.count)


def _of_states(states: Sequence[Pair], chosen: HiddenLoss | EmbeddingsLoss) -> Iterator[Term]:
    weight = chosen.weight / max(1, len(states))
    for pair in states:
        assert isinstance(pair.teacher, Tensor), "hidden states are kept whole"
        distance = states_distance(pair.student, pair.teacher, chosen.distance)
        yield Term(weight * distance, pair.count)


def _nothing_of(outputs: Mapping[str, Any]) -> Tensor:
    """0, with a gradient of 0 for all that the ``outputs`` come from.

    Processes wait for each other's gradients of every parameter that their outputs come from. A
    loss on inner layers alone would give none to those behind them."""
    found: list[Tensor] = []
    for value in outputs.values():
        parts = value if isinstance(value, tuple) else (value,)
        found += [part for part in parts if isinstance(part, Tensor)]
    # The sum of no number is 0 whatever the numbers are: 0 times an infinite one would be none.
    return torch.stack([part.flatten()[:0].float().sum() for part in found]).sum()
