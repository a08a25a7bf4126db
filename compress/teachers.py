"""What several teachers answer together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from compress.artifact import Artifact
from compress.distillable import Divergence
from compress.errors import UsageError
from compress.processor import Processor
from compress.stage import Context, Data
from compress.teacher import Asked, Pair, Pairs, TeacherOutputs, teacher_outputs


@dataclass(frozen=True)
class TeacherWeight:
    """A teacher, and the weight of its answers among those of several, above 0."""

    artifact: Artifact
    weight: float = 1.0


def several_outputs(
    context: Context[Any],
    teachers: Sequence[TeacherWeight],
    split: str,
    asked: Asked,
    processor: Processor,
    data: Data | None = None,
) -> TeacherOutputs:
    """What several ``teachers`` answer together: the weighted mean of their probabilities, or of
    their numbers (Hinton et al. 2015, section 1, arXiv:1503.02531). Whatever else is asked comes
    from the first alone. The other arguments are as in ``teacher_outputs``; each teacher's answers
    are a product of their own.

    Raises UsageError as ``teacher_outputs`` does, and where answers are kept in parts."""
    first, *others = teachers
    outputs = teacher_outputs(context, first.artifact, split, asked, processor, data)
    if not others or not asked.answers:
        return outputs
    only_answers = Asked(keeping=asked.keeping)
    whole = [outputs] + [
        teacher_outputs(context, other.artifact, split, only_answers, processor, data)
        for other in others
    ]
    return _Together(whole, [one.weight for one in teachers])


class _Together(TeacherOutputs):
    """The answers of several teachers as those of one."""

    def __init__(self, outputs: Sequence[TeacherOutputs], weights: Sequence[float]) -> None:
        self._outputs, self.model = outputs, outputs[0].model
        self._weights = torch.tensor(weights) / sum(weights)

    def pairs(
        self, student: Mapping[str, Any], batch: Mapping[str, Tensor], indices: Tensor
    ) -> Pairs:
        """As for one teacher; the answers are means."""
        every = [outputs.pairs(student, batch, indices) for outputs in self._outputs]
        by_answer = zip(*(pairs.answers for pairs in every), strict=True)
        answers = [mean_answer(pairs, self._weights) for pairs in by_answer]
        return replace(every[0], answers=answers)


def mean_answer(pairs: Sequence[Pair], weights: Tensor) -> Pair:
    """The first of several teachers' ``pairs`` of one student, with their mean answers: logits of
    the weighted mean of their probabilities, or the mean of their numbers. ``weights``, float
    [teachers], sum to 1.

    Raises UsageError where some choices stand for all of an answer."""
    answers = [pair.teacher for pair in pairs]
    if not all(isinstance(answer, Tensor) for answer in answers):
        raise UsageError(
            "several teachers: choices that were drawn of each one's answers have no mean: set "
            "keep: nothing, or keep: all"
        )
    stacked = torch.stack(answers).float()  # type: ignore[arg-type]
    shares = weights.to(stacked.device).view(-1, 1, 1)
    return replace(pairs[0], teacher=_mean(stacked, shares, pairs[0].divergence))


def _mean(answers: Tensor, shares: Tensor, divergence: Divergence) -> Tensor:
    """The mean of ``answers`` [teachers, n, width] with ``shares`` [teachers, 1, 1]."""
    if divergence == "softmax":
        return (answers.log_softmax(dim=-1) + shares.log()).logsumexp(dim=0)
    if divergence == "binary":
        yes = (functional.logsigmoid(answers) + shares.log()).logsumexp(dim=0)
        no = (functional.logsigmoid(-answers) + shares.log()).logsumexp(dim=0)
        return yes - no
    return (answers * shares).sum(dim=0)
