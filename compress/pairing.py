"""Answers of two models side by side: what is asked for of their outputs, and what counts of it, as
lines without padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compress.choices import Choices
from compress.distillable import Distillable, Divergence, Keep
from compress.errors import UsageError
from compress.task import IGNORED, Task

_LEAST = -1e30
"""The logit of a choice that does not count: its probability is 0 at every temperature. The
difference of two infinities would be no number."""


@dataclass(frozen=True)
class Keeping:
    """How a teacher's distributions over choices are kept: ``all``; a ``sample`` of ``choices``
    draws, or the so many of the ``top``, both at a ``temperature``; ``nothing``: the teacher stays
    in memory. ``auto``: whole up to 1,024 choices, of more a sample; with ``exact`` those are
    refused, for every probability is needed."""

    form: Keep = "auto"
    choices: int = 50
    temperature: float = 1.0
    exact: bool = False


@dataclass(frozen=True)
class Asked:
    """What a teacher is asked for: ``answers``, all that its task finds distillable, kept as
    ``keeping`` says; ``states``, the places of layers among its hidden states (0: the embeddings;
    -1: the last layer; of a model with an encoder, those of the encoder and of the decoder).
    ``own`` are the student's layers that stand beside them; none: the same places."""

    answers: bool = True
    states: tuple[int, ...] = ()
    keeping: Keeping = Keeping()
    own: tuple[int, ...] = ()

    @property
    def of_student(self) -> Asked:
        """The same of a student's outputs."""
        return replace(self, states=self.own or self.states)

    @property
    def of_teacher(self) -> Asked:
        """The same without what is the student's alone."""
        return replace(self, own=())


@dataclass(frozen=True)
class Pair:
    """n answers, or hidden states, of a student and of its teacher, in the same order.

    ``values``, float [m, width], are the student's, and ``rows``, int64 [n], those of them that
    count (None: all). ``teacher`` is float [n, width] without a gradient, or some choices of each
    answer. ``divergence`` is what the two are compared as."""

    values: Tensor
    teacher: Tensor | Choices
    divergence: Divergence
    rows: Tensor | None = None

    @property
    def count(self) -> int:
        """The number n of answers."""
        return len(self.values) if self.rows is None else len(self.rows)

    @property
    def student(self) -> Tensor:
        """The student's side, [n, width]. It is a copy where not all ``values`` count."""
        return self.values if self.rows is None else self.values[self.rows]


def parts_of(
    task: Task[Any], asked: Asked, outputs: Mapping[str, Any], batch: Mapping[str, Tensor]
) -> dict[str, Distillable]:
    """What is asked for of a model's outputs, by the names of the files that keep it."""
    parts = {}
    if asked.answers:
        answers = task.distillable(outputs, batch)
        if not answers:
            raise UsageError(
                f"task {task.name}: its models have no logits, and it does not say what else of "
                "them a student learns: its plugin defines Task.distillable"
            )
        parts = {f"answers-{i}": part for i, part in enumerate(answers)}
    for i, layer in enumerate(asked.states):
        for name, part in _states(task, outputs, layer, batch).items():
            parts[f"states-{i}{name}"] = part
    return parts


def _states(
    task: Task[Any], outputs: Mapping[str, Any], layer: int, batch: Mapping[str, Tensor]
) -> dict[str, Distillable]:
    """The hidden states of a layer, [batch, length, width], without padding: those of the model, or
    of its encoder and its decoder."""
    mask = batch.get("attention_mask")
    if outputs.get("decoder_hidden_states") is None:
        return {"": _layer(task, outputs.get("hidden_states"), layer, mask)}
    labels = batch.get("labels")
    written = batch.get("decoder_attention_mask") if labels is None else labels != IGNORED
    return {
        "-encoder": _layer(task, outputs.get("encoder_hidden_states"), layer, mask),
        "-decoder": _layer(task, outputs["decoder_hidden_states"], layer, written),
    }


def _layer(task: Task[Any], states: Any, layer: int, mask: Tensor | None) -> Distillable:
    """The hidden states of a layer where ``mask`` [batch, length] is not 0."""
    if states is None or mask is None or states[-1].shape[:2] != mask.shape:
        raise UsageError(
            f"task {task.name}: a model gives no hidden state for each token that it "
            "reads: give hidden states no weight"
        )
    if not -len(states) <= layer < len(states):
        raise UsageError(f"layer {layer} is asked for, and a model has {len(states)} hidden states")
    return Distillable(states[layer], mask.bool(), "states")


def refuse_other_examples(parts: Mapping[str, Distillable], examples: int, task: Task[Any]) -> None:
    """Raise UsageError unless every part has values for each of a batch's ``examples``."""
    for part in parts.values():
        if len(part.values) == examples:
            continue
        if part.divergence == "states":
            raise UsageError(
                f"task {task.name}: an example has several inputs, and its hidden states are not "
                "kept: give hidden states no weight"
            )
        raise UsageError(
            f"task {task.name}: distillable gives values for {len(part.values)} examples, and the "
            f"batch has {examples}: the first dimension is theirs"
        )


def lines_of(part: Distillable) -> Tensor:
    """What counts of ``part``, one example after the other: answers [n, width], or choices
    [n, 1]."""
    if part.mask is None:
        return part.values.reshape(-1, part.values.shape[-1])
    counted = part.values[part.mask]
    return counted[:, None] if part.masks_choices else counted


def places_of(part: Distillable) -> Tensor | None:
    """Which of a part's answers [m, width] count, int64 [n]; None: all."""
    return None if part.mask is None else part.mask.flatten().nonzero()[:, 0]


def kept_lines(part: Distillable) -> np.ndarray:
    """``lines_of`` as they are stored: in float32. Hidden states are in float16, for they are the
    largest."""
    kept = torch.float16 if part.divergence == "states" else torch.float32
    lines: np.ndarray = lines_of(part).to(kept).cpu().numpy()
    return lines


def counts_of(part: Distillable) -> list[int]:
    """How many lines each example has."""
    if part.mask is None:
        return [part.values[0, ..., 0].numel()] * len(part.values)
    counts: list[int] = part.mask.flatten(1).sum(dim=1).tolist()
    return counts


def paired(part: Distillable, teacher: Tensor | Choices) -> Pair:
    """The student's ``part`` beside the ``teacher``'s lines, float [n, width] or some choices of
    each.

    Raises UsageError if their widths differ."""
    if part.masks_choices and part.divergence == "softmax":
        assert isinstance(teacher, Tensor), "such answers are kept whole"
        return _paired_choices(part, teacher)
    values = lines_of(part) if part.masks_choices else part.values.flatten(0, -2)
    rows = None if part.masks_choices else places_of(part)
    width = teacher.shape[-1] if isinstance(teacher, Tensor) else teacher.width
    if values.shape[-1] != width:
        raise UsageError(
            f"the teacher's answers have a width of {width}, and the student's of "
            f"{values.shape[-1]}: they do not mean the same"
        )
    return Pair(values, teacher, part.divergence, rows)


def _paired_choices(part: Distillable, teacher: Tensor) -> Pair:
    """Distributions over the choices that count; the others are as unlikely on both sides."""
    assert part.mask is not None, "a mask tells which choices count"
    student = part.values.float().masked_fill(~part.mask, _LEAST)
    answers = torch.full_like(student, _LEAST)
    answers[part.mask] = teacher[:, 0]
    width = student.shape[-1]
    return Pair(student.reshape(-1, width), answers.reshape(-1, width), part.divergence)
