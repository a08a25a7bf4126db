"""What a teacher answers to a split, beside what its student answers.

The answers are computed once, batch by batch, and kept in the store; they are read from there as
they are needed. Only those that count are kept, one example after the other: no padding, and
nothing of a token that the task does not score. Where a task draws its inputs anew in each epoch,
the teacher answers while the student learns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.featurising import FeatureRows
from compress.machine import versions
from compress.models import open_model
from compress.pairing import (
    Asked,
    Pair,
    counts_of,
    kept_lines,
    lines_of,
    paired,
    parts_of,
    refuse_other_examples,
)
from compress.predict import length_batches
from compress.processor import Processor
from compress.raggedfiles import PLACES, RaggedFile, RaggedWriter
from compress.sessions import TorchSession
from compress.stage import Context
from compress.task import Row, Task

__all__ = ["Asked", "Pair", "Pairs", "TeacherOutputs", "teacher_outputs"]

KIND = "teacher-outputs"
_BATCH = 32


@dataclass(frozen=True)
class Pairs:
    """The pairs of a batch: ``answers``, one for each of ``Task.distillable``, and ``states``, one
    for each layer that was asked for."""

    answers: list[Pair] = field(default_factory=list)
    states: list[Pair] = field(default_factory=list)


class TeacherOutputs(ABC):
    """What a teacher answers to the examples of a split."""

    def __init__(self, task: Task[Any], asked: Asked) -> None:
        self._task, self._asked = task, asked

    def pairs(
        self, student: Mapping[str, Any], batch: Mapping[str, Tensor], indices: Tensor
    ) -> Pairs:
        """The ``student``'s outputs for a batch, beside the teacher's. ``batch`` is what
        ``Task.collate`` made of the examples; ``indices``, int64 [batch], are their places among
        the split's examples.

        Raises UsageError if the teacher gave another number of answers, or answers of another
        width."""
        own = parts_of(self._task, self._asked, student, batch)
        theirs = self._answered(batch, indices.tolist())
        pairs = Pairs()
        refuse_other_examples(own, len(indices), self._task)
        for name, part in own.items():
            _refuse_other_counts(theirs[name].counts if name in theirs else [], counts_of(part))
            pair = paired(part, theirs[name].lines.to(part.values.device))
            (pairs.states if part.divergence == "states" else pairs.answers).append(pair)
        return pairs

    @abstractmethod
    def _answered(
        self, batch: Mapping[str, Tensor], places: Sequence[int]
    ) -> Mapping[str, _Answered]:
        """The teacher's part of each name, for the examples at ``places``."""


@dataclass(frozen=True)
class _Answered:
    """``lines``, float32 [n, width], and how many of them each example has."""

    counts: list[int]
    lines: Tensor


def teacher_outputs(
    context: Context[Any], teacher: Artifact, split: str, asked: Asked, processor: Processor
) -> TeacherOutputs:
    """What ``teacher`` answers to the examples of ``split``, for a student whose features
    ``processor`` makes. They come from the store, if it has them.

    Raises UsageError if the teacher reads other tokens of an example than the student."""
    task, data = context.task, context.data
    assert data is not None, "the stage needs data"
    own = task.processor(teacher.folder)
    if own.identity() != processor.identity():
        raise UsageError(
            "teacher and student have different tokenizers, so that their tokens cannot be compared"
        )
    if task.draws_inputs:
        _refuse_unread(task, data.rows(split), own, processor)
        return _Present(_session(context, teacher), task, asked)
    ingredients = {
        "teacher": teacher.digest,
        "data": data.digest,
        "split": split,
        "task": task.name,
        "task_options": task.options.model_dump(mode="json"),
        "asked": asdict(asked),
        "processor": own.identity(),
        "libraries": versions(("compress-toolkit", "torch", "transformers", "tokenizers")),
    }
    folder = context.product(
        KIND, ingredients, lambda out: _write(context, teacher, split, asked, out)
    )
    return _Kept(folder, task, asked)


class _Kept(TeacherOutputs):
    """Answers that are in the store."""

    def __init__(self, folder: Path, task: Task[Any], asked: Asked) -> None:
        super().__init__(task, asked)
        names = [file.name.removesuffix(PLACES) for file in folder.glob(f"*{PLACES}")]
        self._files = {name: RaggedFile(folder, name) for name in names}

    def _answered(
        self, batch: Mapping[str, Tensor], places: Sequence[int]
    ) -> Mapping[str, _Answered]:
        return {
            name: _Answered(file.counts(places), torch.from_numpy(file.lines(places)).float())
            for name, file in self._files.items()
        }


class _Present(TeacherOutputs):
    """A teacher in memory, which answers each batch."""

    def __init__(self, session: TorchSession, task: Task[Any], asked: Asked) -> None:
        super().__init__(task, asked)
        self._session = session

    def _answered(
        self, batch: Mapping[str, Tensor], places: Sequence[int]
    ) -> Mapping[str, _Answered]:
        outputs = _ask(self._session, batch, self._asked)
        # A copy: what was computed in inference mode cannot be part of a loss.
        return {
            name: _Answered(counts_of(part), lines_of(part).float().clone())
            for name, part in parts_of(self._task, self._asked, outputs, batch).items()
        }


def _session(context: Context[Any], teacher: Artifact) -> TorchSession:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TorchSession(open_model(teacher, context.task, device), device)


def _ask(session: TorchSession, batch: Mapping[str, Any], asked: Asked) -> Mapping[str, Any]:
    """The outputs of the teacher's forward pass."""
    outputs: Mapping[str, Any] = session.forward(batch, output_hidden_states=bool(asked.states))
    return outputs


def _write(context: Context[Any], teacher: Artifact, split: str, asked: Asked, out: Path) -> None:
    """Write the teacher's answers into the folder ``out``."""
    assert context.data is not None, "the stage needs data"
    task, session = context.task, _session(context, teacher)
    # The teacher has features of its own: of two families with one vocabulary, one may have token
    # types and the other not.
    processor = task.processor(teacher.folder)
    features = FeatureRows(task, context.data.rows(split), processor)
    done = 0
    with ExitStack() as stack:
        files: dict[str, RaggedWriter] = {}
        for places in length_batches(task, features, _BATCH):
            arrays = task.collate(features.take(places), processor)
            batch = {name: torch.as_tensor(a, device=session.device) for name, a in arrays.items()}
            parts = parts_of(task, asked, _ask(session, batch, asked), batch)
            refuse_other_examples(parts, len(places), task)
            for name, part in parts.items():
                if name not in files:
                    writer = RaggedWriter(out, name, len(features))
                    files[name] = stack.enter_context(writer)
                files[name].add(places, counts_of(part), kept_lines(part))
            done += len(places)
            context.progress(done, len(features), "asking the teacher")


def _refuse_other_counts(theirs: list[int], own: list[int]) -> None:
    if theirs != own:
        raise UsageError(
            f"the teacher gave {sum(theirs)} answers to a batch, and the student {sum(own)}: the "
            "two do not read the examples alike"
        )


def _refuse_unread(task: Task[Any], rows: Sequence[Row], theirs: Processor, own: Processor) -> None:
    """Raise UsageError if a teacher, which has to answer what was made for its student, would miss
    an input that its own processor fills."""
    if not rows:
        return
    first, other = task.features(rows[:1], theirs)[0], task.features(rows[:1], own)[0]
    alone = sorted(first.keys() - other.keys())
    for features in FeatureRows(task, rows, theirs) if alone else []:
        filled = [name for name in alone if np.any(features[name])]
        if filled:
            raise UsageError(
                f"the teacher reads {filled[0]}, and the student's inputs have none: take a "
                "teacher of the student's family"
            )
