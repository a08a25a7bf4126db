"""A model folder as the server of a bundle takes it: with the toolkit, so of any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compress.bundling.settings import batch_size_of
from compress.errors import UsageError
from compress.predict import predict
from compress.predictor import Predictor
from compress.request import refuse_odd
from compress.task import Features, Row, Shown


@dataclass(frozen=True)
class Question:
    """A request as the task reads it. ``length`` is that of its longest part."""

    row: Row
    features: Sequence[Features]
    length: int


class ServedPredictor:
    """A predictor that reads requests in one thread and answers them in another."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.name = predictor.artifact.manifest.step
        self.task = predictor.task.name
        self.batch_size = batch_size_of(predictor.artifact)

    def question(self, request: Any) -> Question:
        """A request of JSON: a text, a list of texts, or an object with columns. Raises ValueError
        for one that cannot be answered."""
        task, given = self._predictor.task, tuple(request) if isinstance(request, list) else request
        try:
            refuse_odd([given])
            (row,) = task.request([given])
            features = task.features([row], self._predictor.processor)
        except UsageError as error:
            raise ValueError("; ".join(mistake.message for mistake in error.mistakes)) from error
        return Question(row, features, max(map(task.length, features)))

    def answers(self, questions: Sequence[Question]) -> list[Shown]:
        """The answers, in order."""
        own, rows = self._predictor, [question.row for question in questions]
        features = [
            {**part, "row": place}
            for place, question in enumerate(questions)
            for part in question.features
        ]
        answers = predict(own.session, own.task, own.processor, rows, features, self.batch_size)
        labels = own.artifact.manifest.labels
        return [
            own.task.present(answer, row, labels) for answer, row in zip(answers, rows, strict=True)
        ]
