"""A teacher's own answers as targets: made once, some rows at a time, and kept in the store.
Kim and Rush 2016, Sequence-Level Knowledge Distillation, section 3.2 (arXiv:1606.07947)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from compress.artifact import Artifact
from compress.featurising import FeatureRows
from compress.machine import versions
from compress.models import open_model
from compress.predict import predict
from compress.rowfiles import ArrowRows, write_rows
from compress.rows import Lazy, Row, columns_of
from compress.sessions import TorchSession
from compress.stage import Context, Data
from compress.task import Prediction, Task
from compress_distill.options import SequenceOptions

KIND = "teacher-sequences"
_FILE = "answers.arrow"
_ROWS = 500
"""Rows of a product: what a process that is killed has to do again, at most."""
_BATCH = 32


class TaughtData:
    """Data whose training rows have a teacher's ``answers`` as their targets; with
    ``true_targets``, each row is there with its own target too. ``digest`` identifies them."""

    def __init__(
        self, task: Task[Any], data: Data, answers: Answers, digest: str, true_targets: bool
    ) -> None:
        self._data, self.digest, self.labels = data, digest, data.labels
        self._train = _TaughtRows(task, data.rows("train"), answers, true_targets)

    def rows(self, split: str) -> Sequence[Row]:
        """The rows of a split."""
        return self._train if split == "train" else self._data.rows(split)


class Answers(Lazy[Prediction]):
    """The answers in several files of ``_ROWS`` rows each."""

    def __init__(self, files: Sequence[Path], count: int) -> None:
        self._files, self._count = [ArrowRows(file) for file in files], count

    def __len__(self) -> int:
        return self._count

    def item(self, index: int) -> Prediction:
        """The answer to the row at an index from 0 on."""
        return dict(self._files[index // _ROWS].item(index % _ROWS))


class _TaughtRows(Lazy[Row]):
    """Rows with answers as their targets, each after the row itself where ``both`` are wanted."""

    def __init__(self, task: Task[Any], rows: Sequence[Row], answers: Answers, both: bool) -> None:
        self._task, self._rows, self._answers, self._both = task, rows, answers, both

    def __len__(self) -> int:
        return len(self._rows) * (2 if self._both else 1)

    def item(self, index: int) -> Row:
        """The row at an index from 0 on."""
        place, is_taught = (index // 2, index % 2 == 1) if self._both else (index, True)
        row = self._rows[place]
        return self._task.with_answer(row, self._answers[place]) if is_taught else row


def with_sequences(
    context: Context[Any], teacher: Artifact, data: Data, options: SequenceOptions
) -> TaughtData:
    """``data`` with what ``teacher`` answers to the training rows. The answers come from the store,
    if it has them. The task is one with ``Task.with_answer``."""
    answers = answers_of(context, teacher, data, options.beams)
    common = _ingredients(context.task, teacher, data, options.beams)
    text = json.dumps([common, options.true_targets], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return TaughtData(context.task, data, answers, digest, options.true_targets)


def answers_of(context: Context[Any], teacher: Artifact, data: Data, beams: int) -> Answers:
    """What ``teacher`` answers to the training rows of ``data``, from the store if it has them.
    Where answers are generated, its search compares so many ``beams``."""
    common, rows = _ingredients(context.task, teacher, data, beams), data.rows("train")
    maker = _Maker(context, teacher, rows, beams)
    folders = [
        context.product(KIND, {**common, "start": start}, maker.filling(start))
        for start in range(0, len(rows), _ROWS)
    ]
    return Answers([folder / _FILE for folder in folders], len(rows))


def _ingredients(task: Task[Any], teacher: Artifact, data: Data, beams: int) -> Mapping[str, Any]:
    return {
        "teacher": teacher.digest,
        "data": data.digest,
        "task": task.name,
        "task_options": task.options.model_dump(mode="json"),
        "beams": beams,
        "rows": _ROWS,
        "libraries": versions(("compress-toolkit", "torch", "transformers", "tokenizers")),
    }


class _Maker:
    """Writes a teacher's answers to some rows. The teacher is opened when it is first needed."""

    def __init__(
        self, context: Context[Any], teacher: Artifact, rows: Sequence[Row], beams: int
    ) -> None:
        self._context, self._teacher, self._rows, self._beams = context, teacher, rows, beams
        self._session: TorchSession | None = None

    def filling(self, start: int) -> Any:
        """The function that fills a product's folder with the answers to the rows from ``start``
        on."""
        return lambda folder: self._fill(folder, start)

    def _fill(self, folder: Path, start: int) -> None:
        task = self._context.task
        rows = self._rows[start : start + _ROWS]
        processor = task.processor(self._teacher.folder)
        features = FeatureRows(task, rows, processor)
        limits = task.limits().model_copy(update={"beams": self._beams})
        answers = predict(
            self._opened(),
            task,
            processor,
            rows,
            features,
            _BATCH,
            limits=limits,
        )
        write_rows(folder / _FILE, [columns_of(answers)])
        self._context.progress(start + len(rows), len(self._rows), "the teacher writes")

    def _opened(self) -> TorchSession:
        if self._session is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            model = open_model(self._teacher, self._context.task, device)
            self._session = TorchSession(model, device)
        return self._session
