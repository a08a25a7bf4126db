"""The rows that a student learns from: those of the training split, and rows that are added to
them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.rows import Lazy, Row
from compress.stage import Context, Data
from compress.task import Task
from compress_distill.augmenting import digest_of_copies, varied_copies
from compress_distill.options import AugmentOptions, DistillOptions
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
        self._data, self._added, self.labels = data, added, data.labels
        digests = json.dumps([data.digest, *(each.digest for each in added)])
        self.digest = hashlib.sha256(digests.encode()).hexdigest()
        self._train = data.rows("train")
        for each in added:
            self._train = Joined(self._train, each.rows)

    def rows(self, split: str) -> Sequence[Row]:
        """The rows of a split."""
        return self._train if split == "train" else self._data.rows(split)

    @property
    def truth(self) -> list[bool]:
        """Whether the target of each training row is true."""
        truth = [True] * len(self._data.rows("train"))
        for each in self._added:
            truth += [each.true] * len(each.rows)
        return truth


class Joined(Lazy[Row]):
    """Rows, and then other rows."""

    def __init__(self, first: Sequence[Row], others: Sequence[Row]) -> None:
        self._first, self._others = first, others

    def __len__(self) -> int:
        return len(self._first) + len(self._others)

    def item(self, index: int) -> Row:
        """The row at an index from 0 on."""
        own = len(self._first)
        return self._first[index] if index < own else self._others[index - own]


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
    options = context.options
    if options.sequences:
        data = with_sequences(context, teacher, data, options.sequences)
    added = []
    if options.augment:
        added.append(_copies(context, data, options.augment))
    if options.unlabelled:
        added.append(_unlabelled(context, teacher))
    if not added:
        return Learned(data)
    more = MoreData(data, added)
    notes = {name: fact for each in added for name, fact in each.notes.items()}
    return Learned(more, () if all(each.true for each in added) else more.truth, notes)


def _copies(context: Context[DistillOptions], data: Data, options: AugmentOptions) -> Added:
    """Varied copies of the training rows. Raises UsageError where no row can be varied."""
    task = context.task
    copies = varied_copies(task, data, options, context.seed)
    if not len(copies):
        raise UsageError("augment: no training row has anything to vary; leave it out")
    digest = digest_of_copies(task, data, options, context.seed)
    return Added(copies, digest, True, {"varied_copies": len(copies)})


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
