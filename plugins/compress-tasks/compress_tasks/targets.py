"""What a text classifier learns: one label, several labels, or a number. Each kind has its
own head, answers and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from compress.distillable import Divergence
from compress.task import Decision, Prediction, Quality, RowError, Shown
from compress_tasks import statistics
from compress_tasks.bundled import texts
from compress_tasks.cells import (
    distinct_names,
    label_index,
    label_indices,
    label_name,
    names_by_split,
    shown,
)
from compress_tasks.confidence import DIGITS

Cells = Mapping[str, Iterable[Sequence[Any]]]
"""The label cells of each split, some at a time."""


class Target(ABC):
    """A kind of label. ``problem_type`` is transformers' name for it, by which a model
    chooses its loss. ``dtype`` names the type that this loss needs for labels. ``divergence`` is
    what a student's answers are compared with a teacher's as."""

    headline: ClassVar[str]
    problem_type: ClassVar[str]
    divergence: ClassVar[Divergence]
    dtype: ClassVar[str]

    @abstractmethod
    def labels(self, cells: Cells, declared: Sequence[str] | None) -> list[str]:
        """Label names in order: as declared, else those of the training split, sorted."""

    @abstractmethod
    def read(self, cells: Sequence[Any], labels: Sequence[str]) -> list[Any]:
        """The label cells of some rows as a model learns them. Raises RowError."""

    @abstractmethod
    def counted(self, references: Sequence[Any], labels: Sequence[str]) -> Mapping[str, int]:
        """How often each label is in what ``read`` gave, by its name."""

    @abstractmethod
    def predictions(self, logits: np.ndarray) -> list[Prediction]:
        """One answer for each row of ``logits`` [batch, labels]. ``score``, ``scores`` and
        ``probabilities`` hold probabilities."""

    @abstractmethod
    def answered(self, prediction: Prediction) -> Any:
        """An answer as a label, as ``read`` gives it."""

    @abstractmethod
    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Any], labels: Sequence[str]
    ) -> Quality:
        """Quality of the answers against the labels that ``read`` gave."""

    @abstractmethod
    def counts(
        self, predictions: Sequence[Prediction], references: Sequence[Any], labels: Sequence[str]
    ) -> np.ndarray:
        """Per-example counts [n, k] whose sums give ``headline_of``."""

    @abstractmethod
    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The headline metric for summed counts [..., k] -> [...]."""

    @abstractmethod
    def most_frequent(self, references: Sequence[Any]) -> list[Prediction]:
        """The answer that is most often right, once for each of ``references``."""

    @abstractmethod
    def decisions(
        self, prediction: Prediction, reference: Any, labels: Sequence[str]
    ) -> list[Decision]:
        """The decisions of one answer."""

    @abstractmethod
    def present(self, prediction: Prediction, labels: Sequence[str]) -> Shown:
        """The answer with label names."""


class SingleLabel(Target):
    """Exactly one label. A model learns and answers its index."""

    headline = "accuracy"
    problem_type = "single_label_classification"
    divergence = "softmax"
    dtype = "int64"

    def labels(self, cells: Cells, declared: Sequence[str] | None) -> list[str]:
        return _names(cells, declared)

    def read(self, cells: Sequence[Any], labels: Sequence[str]) -> list[int]:
        return label_indices(cells, labels)

    def counted(self, references: Sequence[Any], labels: Sequence[str]) -> Mapping[str, int]:
        return {labels[index]: count for index, count in Counter(references).items()}

    def predictions(self, logits: np.ndarray) -> list[Prediction]:
        return texts.single(logits)

    def answered(self, prediction: Prediction) -> int:
        return int(prediction["label"])

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Any], labels: Sequence[str]
    ) -> Quality:
        from compress.scoring import quality
        from compress_tasks.metrics import SingleLabelMetric

        return quality(
            SingleLabelMetric, [p["label"] for p in predictions], references, labels=labels
        )

    def counts(
        self, predictions: Sequence[Prediction], references: Sequence[Any], labels: Sequence[str]
    ) -> np.ndarray:
        return np.array(
            [[p["label"] == r, 1] for p, r in zip(predictions, references, strict=True)],
            dtype=np.float64,
        )

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        return statistics.ratio(counts)

    def most_frequent(self, references: Sequence[Any]) -> list[Prediction]:
        label, count = Counter(references).most_common(1)[0]
        return [{"label": label, "score": count / len(references)} for _ in references]

    def decisions(
        self, prediction: Prediction, reference: Any, labels: Sequence[str]
    ) -> list[Decision]:
        """One: the label, by name."""
        answer = prediction["label"]
        return [
            Decision(labels[answer], answer == reference, labels[reference], prediction["score"])
        ]

    def present(self, prediction: Prediction, labels: Sequence[str]) -> Shown:
        return texts.shown_single(prediction, labels)


class MultiLabel(Target):
    """Any number of labels. A model learns a 0 or 1 for each, and answers those with a
    probability above 0.5."""

    headline = "f1_micro"
    problem_type = "multi_label_classification"
    divergence = "binary"
    dtype = "float32"

    def labels(self, cells: Cells, declared: Sequence[str] | None) -> list[str]:
        bits = _Bits()
        lists = {split: bits.watch(map(_lists, chunks)) for split, chunks in cells.items()}
        names = distinct_names(declared) if declared else names_by_split(lists)
        for rest in lists.values():
            deque(rest, maxlen=0)  # the declared names need no list, the check does
        if bits.alone:
            # As names these would be the two labels "0" and "1", and training would go on.
            raise RowError(
                "each list has a 0 or 1 for each of two labels: a list names the labels that are "
                "right"
            )
        return _enough(names)

    def read(self, cells: Sequence[Any], labels: Sequence[str]) -> list[list[int]]:
        return [self._bits(cell, labels) for cell in cells]

    def _bits(self, cell: Any, labels: Sequence[str]) -> list[int]:
        if cell is None:
            raise RowError("label is missing (an empty list says that there is none)")
        chosen = [label_index(value, labels) for value in _several(cell)]
        twice = next((labels[i] for i in chosen if chosen.count(i) > 1), None)
        if twice is not None:
            raise RowError(
                f"label {twice!r} is there more than once: a list names the labels that are right, "
                "and is no 0 or 1 for each"
            )
        return [int(i in chosen) for i in range(len(labels))]

    def counted(self, references: Sequence[Any], labels: Sequence[str]) -> Mapping[str, int]:
        return dict(zip(labels, map(sum, zip(*references, strict=True)), strict=True))

    def predictions(self, logits: np.ndarray) -> list[Prediction]:
        shares = texts.sigmoid(logits).round(DIGITS).tolist()
        return [
            {**answer, "probabilities": row}
            for answer, row in zip(texts.multi(logits), shares, strict=True)
        ]

    def answered(self, prediction: Prediction) -> list[int]:
        chosen = set(prediction["labels"])
        return [int(label in chosen) for label in range(len(prediction["probabilities"]))]

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Any], labels: Sequence[str]
    ) -> Quality:
        from compress.scoring import quality
        from compress_tasks.metrics import MultiLabelMetric

        return quality(
            MultiLabelMetric, _indicators(predictions, labels).tolist(), references, labels=labels
        )

    def counts(
        self, predictions: Sequence[Prediction], references: Sequence[Any], labels: Sequence[str]
    ) -> np.ndarray:
        guess, truth = _indicators(predictions, labels), np.asarray(references, dtype=np.int64)
        both = (guess & truth).sum(axis=1)  # [n, labels] -> [n]
        counts = [both, guess.sum(axis=1) - both, truth.sum(axis=1) - both]
        return np.stack(counts, axis=-1).astype(np.float64)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        return statistics.f1_of_labels(counts)

    def most_frequent(self, references: Sequence[Any]) -> list[Prediction]:
        """The labels that more than half of the references have, or else the most frequent one:
        no label at all would have an F1 of 0, which any model reaches."""
        shares = np.asarray(references, dtype=np.float64).mean(axis=0)  # [labels]
        chosen = np.flatnonzero(shares > 0.5).tolist() or [int(shares.argmax())]
        answer = {
            "labels": chosen,
            "scores": shares[chosen].tolist(),
            "probabilities": shares.round(DIGITS).tolist(),
        }
        return [answer for _ in references]

    def decisions(
        self, prediction: Prediction, reference: Any, labels: Sequence[str]
    ) -> list[Decision]:
        """One for each label: 1 where it is answered, else 0. The confidence of a 0 is the
        probability that the label is absent."""
        one_each = []
        for i, (name, probability) in enumerate(
            zip(labels, prediction["probabilities"], strict=True)
        ):
            answer = int(i in prediction["labels"])
            share = probability if answer else 1.0 - probability
            one_each.append(Decision(answer, answer == reference[i], name, share))
        return one_each

    def present(self, prediction: Prediction, labels: Sequence[str]) -> Shown:
        return texts.shown_multi(prediction, labels)


class Regression(Target):
    """A number, learnt as it is. Pearson's and Spearman's correlations score it, as in
    STS-B (Cer et al. 2017, section 6)."""

    headline = "pearson"
    problem_type = "regression"
    divergence = "regression"
    dtype = "float32"

    def labels(self, cells: Cells, declared: Sequence[str] | None) -> list[str]:
        if declared:
            raise RowError(f"labels {', '.join(declared)} are declared, but a regression has none")
        return []

    def read(self, cells: Sequence[Any], labels: Sequence[str]) -> list[float]:
        return [self._number(cell) for cell in cells]

    def _number(self, cell: Any) -> float:
        if cell is None or cell == "":
            raise RowError("label is missing")
        try:
            value = float(cell)
        except (TypeError, ValueError, OverflowError):  # OverflowError: of 400 digits
            raise RowError(f"label {shown(cell)} is not a number that a model can learn") from None
        if not np.isfinite(value):
            raise RowError(f"label {shown(cell)} is not finite")
        return value

    def counted(self, references: Sequence[Any], labels: Sequence[str]) -> Mapping[str, int]:
        return {}

    def predictions(self, logits: np.ndarray) -> list[Prediction]:
        return texts.number(logits)

    def answered(self, prediction: Prediction) -> float:
        return float(prediction["value"])

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Any], labels: Sequence[str]
    ) -> Quality:
        from compress.scoring import quality
        from compress_tasks.metrics import RegressionMetric

        return quality(RegressionMetric, [p["value"] for p in predictions], references)

    def counts(
        self, predictions: Sequence[Prediction], references: Sequence[Any], labels: Sequence[str]
    ) -> np.ndarray:
        return statistics.moments(
            np.array([p["value"] for p in predictions]), np.asarray(references)
        )

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        return statistics.pearson(counts)

    def most_frequent(self, references: Sequence[Any]) -> list[Prediction]:
        """The mean: hardly any number occurs twice. Its correlation is 0."""
        mean = float(np.mean(references))
        return [{"value": mean} for _ in references]

    def decisions(
        self, prediction: Prediction, reference: Any, labels: Sequence[str]
    ) -> list[Decision]:
        """None: two models hardly ever give the same number."""
        return []

    def present(self, prediction: Prediction, labels: Sequence[str]) -> Shown:
        return texts.shown_number(prediction, labels)


TARGETS: Mapping[str, type[Target]] = {
    "single": SingleLabel,
    "multi": MultiLabel,
    "regression": Regression,
}


def _names(cells: Cells, declared: Sequence[str] | None) -> list[str]:
    """Label names as declared, else those in the label cells of each split. Raises RowError
    for fewer than two."""
    return _enough(distinct_names(declared) if declared else names_by_split(cells))


def _enough(names: list[str]) -> list[str]:
    """The names. Raises RowError for fewer than two."""
    if len(names) < 2:
        raise RowError(
            f"a classifier needs two labels or more, and there are {len(names)} "
            f"({', '.join(names)})"
        )
    return names


class _Bits:
    """Whether all lists of labels that passed are pairs of a 0 or a 1, and there are some."""

    def __init__(self) -> None:
        self._seen, self._others = False, False

    @property
    def alone(self) -> bool:
        return self._seen and not self._others

    def watch(self, chunks: Iterable[list[list[Any]]]) -> Iterator[list[list[Any]]]:
        """The lists as they are."""
        for lists in chunks:
            self._seen = self._seen or bool(lists)
            self._others = self._others or not all(map(_is_pair_of_bits, lists))
            yield lists


def _several(cell: Any) -> list[Any]:
    """The labels of a cell: those of a list, or of text with semicolons between them
    (``sports;politics``); empty text has none."""
    if isinstance(cell, list | tuple):
        return list(cell)
    text = label_name(cell) if cell != "" else ""
    return [part for part in text.split(";") if part.strip()]


def _readable(cell: Any) -> list[Any]:
    """The labels of a cell; empty if it cannot be read. ``normalise`` refuses that row
    later, with its place."""
    try:
        return [] if cell is None else _several(cell)
    except RowError:
        return []


def _lists(cells: Sequence[Any]) -> list[list[Any]]:
    """The labels of each cell."""
    return [_readable(cell) for cell in cells]


def _is_pair_of_bits(cell: Sequence[Any]) -> bool:
    return len(cell) == 2 and all(value in (0, 1) for value in cell)


def _indicators(predictions: Sequence[Prediction], labels: Sequence[str]) -> np.ndarray:
    """int64 [n, labels], 1 where a label is answered."""
    array = np.zeros((len(predictions), len(labels)), dtype=np.int64)
    for row, prediction in zip(array, predictions, strict=True):
        row[prediction["labels"]] = 1
    return array
