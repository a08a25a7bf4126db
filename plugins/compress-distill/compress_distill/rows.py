"""The rows that a student learns from: those of the training split, and rows that are added to
them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from compress.artifact import Artifact
from compress.rows import Lazy, Row
from compress.stage import Context, Data
from compress.task import Task
from compress_distill.options import DistillOptions
from compress_distill.sequences import Answers, answers_of, with_sequences

UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Added:
    """Rows that are added to the training split. ``digest`` identifies them. Those that are not
    ``true`` have a target that is no truth: the task's own loss does not count there. ``notes`` are
    facts for the manifest."""

    rows: Sequence[Row]
    digest: str
    true: bool
    notes: Mapping[str, Any] = field(default_factory=dict)


class MoreData:
    """Data with rows ``added`` to the training split. ``digest`` identifies them all."""

    def __init__(self, data: Data, added: Sequence[Added]) -> None:
        self._data, self.labels = data, data.labels
        digests = json.dumps([data.digest, *(one.digest for one in added)])
        self.digest = hashlib.sha256(digests.encode()).hexdigest()
        self._train = Joined([data.rows("train"), *(one.rows for one in added)])
        self._true = [True, *(one.true for one in added)]

    def rows(self, split: str) -> Sequence[Row]:
        """The rows of a split."""
        return self._train if split == "train" else self._data.rows(split)

    @property
    def truth(self) -> list[bool]:
        """Whether the target of each training row is true."""
        parts = zip(self._true, self._train.parts, strict=True)
        return [true for true, rows in parts for _ in range(len(rows))]


class Joined(Lazy[Row]):
    """The rows of several sequences, one after the other."""

    def __init__(self, parts: Sequence[Sequence[Row]]) -> None:
        self.parts = parts
        self._starts = [0, *accumulate(map(len, parts))]

    def __len__(self) -> int:
        return self._starts[-1]

    def item(self, index: int) -> Row:
        """The row at an index from 0 on."""
        place = next(i for i, end in enumerate(self._starts[1:]) if index < end)
        return self.parts[place][index - self._starts[place]]


@dataclass(frozen=True)
class Learned:
    """What a student learns from. ``truth`` tells of each training row whether its target is true;
    empty: all are. ``notes`` are facts for the manifest."""

    data: Data
    truth: Sequence[bool] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


def learned_data(context: Context[DistillOptions], teacher: Artifact, data: Data) -> Learned:
    """The ``data`` with what the options add to them, and with the teacher's targets where they
    ask for these."""
    options, added = context.options, []
    if options.sequences:
        data_of_sequences: Data = with_sequences(context, teacher, data, options.sequences)
    else:
        data_of_sequences = data
    if options.unlabelled is not None:
        added.append(_unlabelled(context, teacher))
    if not added:
        return Learned(data_of_sequences)
    more = MoreData(data_of_sequences, added)
    truth = more.truth if not all(one.true for one in added) else ()
    return Learned(more, truth, {key: one.notes[key] for one in added for key in one.notes})


def _unlabelled(context: Context[DistillOptions], teacher: Artifact) -> Added:
    """The rows without targets, with the teacher's answers in their place. With ``sequences`` a
    student learns such targets; else they only say which answers of a row count."""
    data, task, options = context.unlabelled[UNLABELLED], context.task, context.options
    rows, notes = data.rows("train"), {UNLABELLED: len(data.rows("train"))}
    if not any(column.is_target for column in task.columns):
        return Added(rows, data.digest, True, notes)
    beams = options.sequences.beams if options.sequences else 1
    answers = answers_of(context, teacher, data, beams)
    digest = json.dumps([data.digest, teacher.digest, beams])
    return Added(_Answered(task, rows, answers), digest, options.sequences is not None, notes)


class _Answered(Lazy[Row]):
    """Rows with answers as their targets. Their ids are unlike those of the training rows."""

    def __init__(self, task: Task[Any], rows: Sequence[Row], answers: Answers) -> None:
        self._task, self._rows, self._answers = task, rows, answers

    def __len__(self) -> int:
        return len(self._rows)

    def item(self, index: int) -> Row:
        """The row at an index from 0 on."""
        return self._task.with_answer(self._rows[index], self._answers[index])
