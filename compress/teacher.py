"""What a teacher answers to a split, beside what its student answers.

The answers are computed once, batch by batch, and kept in the store; they are read from there as
they are needed. Only those that count are kept, one example after the other: no padding, and
nothing of a token that the task does not score. Of an answer over many choices, a few are kept.
Where a task draws its inputs anew in each epoch, or nothing is to be kept, the teacher answers
while the student learns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.featurising import FeatureRows
from compress.keptanswers import WIDE, Answered, AnswersWriter, KeptAnswers, kept_names
from compress.machine import versions
from compress.models import open_model
from compress.pairing import (
    Asked,
    Keeping,
    Pair,
    counts_of,
    lines_of,
    paired,
    parts_of,
    refuse_other_examples,
)
from compress.predict import length_batches
from compress.processor import Processor
from compress.sessions import TorchSession
from compress.stage import Context, Data
from compress.task import Row, Task
from compress.tokenmaps import difference

__all__ = ["Asked", "Keeping", "OneTeacher", "Pair", "Pairs", "TeacherOutputs", "teacher_outputs"]

KIND = "teacher-outputs"
_BATCH = 32


@dataclass(frozen=True)
class Pairs:
    """The pairs of a batch: ``answers``, one for each of ``Task.distillable``, and ``states``, one
    for each layer that was asked for, or one of the encoder and one of the decoder."""

    answers: list[Pair] = field(default_factory=list)
    states: list[Pair] = field(default_factory=list)


class TeacherOutputs(ABC):
    """What a teacher, or several together, answer to the examples of a split. ``model`` is the
    first teacher, where it is in memory: it runs on a batch in ``pairs``."""

    model: PreTrainedModel | None = None

    @abstractmethod
    def pairs(
        self, student: Mapping[str, Any], batch: Mapping[str, Tensor], indices: Tensor
    ) -> Pairs:
        """The ``student``'s outputs for a batch, beside the teacher's. ``batch`` is what
        ``Task.collate`` made of the examples; ``indices``, int64 [batch], are their places among
        the split's examples.

        Raises UsageError if the teacher gave another number of answers, or answers of another
        width."""


class OneTeacher(TeacherOutputs):
    """What one teacher answers, wherever its answers come from."""

    def __init__(self, task: Task[Any], asked: Asked) -> None:
        self._task, self._asked = task, asked

    def pairs(
        self, student: Mapping[str, Any], batch: Mapping[str, Tensor], indices: Tensor
    ) -> Pairs:
        """As ``TeacherOutputs.pairs``, from ``_answered``."""
        own = parts_of(self._task, self._asked.of_student, student, batch)
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
    ) -> Mapping[str, Answered]:
        """The teacher's part of each name, for the examples at ``places``."""


def teacher_outputs(
    context: Context[Any],
    teacher: Artifact,
    split: str,
    asked: Asked,
    processor: Processor,
    data: Data | None = None,
) -> TeacherOutputs:
    """What ``teacher`` answers to the examples of ``split``, for a student whose features
    ``processor`` makes. They come from the store, if it has them. ``data`` stand in place of the
    context's.

    Raises UsageError if the teacher reads other tokens of an example than the student."""
    task, data = context.task, context.data if data is None else data
    assert data is not None, "the stage needs data"
    own = task.processor(teacher.folder)
    differing = difference(own, processor)
    if differing:
        raise UsageError(
            "teacher and student have different tokenizers, so that their tokens cannot be "
            f"compared: {differing}; take a teacher with the student's tokenizer"
        )
    if task.draws_inputs or asked.keeping.form == "nothing":
        _refuse_kept(task, asked.keeping)
        _refuse_unread(task, data.rows(split), own, processor)
        return _Present(_session(context, teacher), task, asked)
    asked = replace(asked, keeping=_settled(asked.keeping, data))
    ingredients = {
        "teacher": teacher.digest,
        "data": data.digest,
        "split": split,
        "task": task.name,
        "task_options": task.options.model_dump(mode="json"),
        "asked": asdict(asked.of_teacher),
        "processor": own.identity(),
        "libraries": versions(("compress-toolkit", "torch", "transformers", "tokenizers")),
    }
    rows = data.rows(split)
    folder = context.product(
        KIND, ingredients, lambda out: _write(context, teacher, rows, asked, out)
    )
    return _Kept(folder, task, asked)


def _settled(keeping: Keeping, data: Data) -> Keeping:
    """``keeping`` without what makes no difference where answers are kept whole: so students of
    other temperatures share a product. With ``auto`` the labels tell that, if there are any."""
    is_whole = keeping.form == "auto" and 0 < len(data.labels) <= WIDE
    return Keeping("all") if is_whole or keeping.form == "all" else keeping


def _refuse_kept(task: Task[Any], keeping: Keeping) -> None:
    """Raise UsageError where answers are to be kept and cannot be."""
    if keeping.form not in ("auto", "nothing"):
        raise UsageError(
            f"keep: {keeping.form}: task {task.name} draws other inputs in each epoch, so that no "
            "answer of its teacher can be kept: leave keep out"
        )


class _Kept(OneTeacher):
    """Answers that are in the store."""

    def __init__(self, folder: Path, task: Task[Any], asked: Asked) -> None:
        super().__init__(task, asked)
        self._files = {name: KeptAnswers(folder, name) for name in kept_names(folder)}

    def _answered(
        self, batch: Mapping[str, Tensor], places: Sequence[int]
    ) -> Mapping[str, Answered]:
        return {name: file.read(places) for name, file in self._files.items()}


class _Present(OneTeacher):
    """A teacher in memory, which answers each batch."""

    def __init__(self, session: TorchSession, task: Task[Any], asked: Asked) -> None:
        super().__init__(task, asked)
        self._session, self.model = session, session.model

    def _answered(
        self, batch: Mapping[str, Tensor], places: Sequence[int]
    ) -> Mapping[str, Answered]:
        outputs = _ask(self._session, batch, self._asked)
        # A copy: what was computed in inference mode cannot be part of a loss.
        return {
            name: Answered(counts_of(part), lines_of(part).clone())
            for name, part in parts_of(self._task, self._asked, outputs, batch).items()
        }


def _session(context: Context[Any], teacher: Artifact) -> TorchSession:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TorchSession(open_model(teacher, context.task, device), device)


def _ask(session: TorchSession, batch: Mapping[str, Any], asked: Asked) -> Mapping[str, Any]:
    """The outputs of the teacher's forward pass."""
    outputs: Mapping[str, Any] = session.forward(batch, output_hidden_states=bool(asked.states))
    return outputs


def _write(
    context: Context[Any], teacher: Artifact, rows: Sequence[Row], asked: Asked, out: Path
) -> None:
    """Write the teacher's answers to ``rows`` into the folder ``out``."""
    task, session = context.task, _session(context, teacher)
    # The teacher has features of its own: of two families with one vocabulary, one may have token
    # types and the other not.
    processor = task.processor(teacher.folder)
    features = FeatureRows(task, rows, processor)
    done = 0
    with ExitStack() as stack:
        files: dict[str, AnswersWriter] = {}
        for places in length_batches(task, features, _BATCH):
            arrays = task.collate(features.take(places), processor)
            batch = {name: torch.as_tensor(a, device=session.device) for name, a in arrays.items()}
            parts = parts_of(task, asked, _ask(session, batch, asked), batch)
            refuse_other_examples(parts, len(places), task)
            for name, part in parts.items():
                if name not in files:
                    writer = AnswersWriter(out, name, len(features), asked.keeping)
                    files[name] = stack.enter_context(writer)
                files[name].add(places, part)
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
