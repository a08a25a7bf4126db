"""``question-answering``: the span of a context that answers a question, as in SQuAD. A long
context is read in windows that overlap; the answer is of the row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from compress.distillable import Distillable
from compress.padding import pad
from compress.processor import TextProcessor
from compress.request import Request, texts_of
from compress.rows import Columns, length_of
from compress.task import (
    Batch,
    CardInfo,
    Column,
    Decision,
    Features,
    Prediction,
    Quality,
    Row,
    RowError,
    Shown,
    Task,
)
from compress_tasks import statistics
from compress_tasks.answers import first_answer, read_answers
from compress_tasks.bundled import questions as answering
from compress_tasks.bundled.questions import NO_ANSWER, OUTPUTS, best_span
from compress_tasks.cells import read_texts
from compress_tasks.question_options import QuestionAnsweringOptions
from compress_tasks.spans import shortened, windows_of
from compress_tasks.squad import best_scores, counted_words, scores_of, with_words


class QuestionAnswering(Task[QuestionAnsweringOptions]):
    """Where an answer begins and ends, scored by the words that it shares with the right ones."""

    name = "question-answering"
    summary = "The span of a context that answers a question; or that there is none."
    synonyms = ("qa",)
    kind = "question-answering"
    bundled = "compress_tasks.bundled.questions"
    columns = (
        Column("question", "The question."),
        Column("context", "The text that holds its answer."),
        Column(
            "answers",
            "The right answers and the characters at which they begin, as SQuAD has them: "
            "{text: [...], answer_start: [...]}, or a list of {text: ..., answer_start: ...}.",
            is_target=True,
        ),
    )
    headline = "f1"
    directions = {
        "exact_match": "higher",
        "answered_f1": "higher",
        "answered_exact_match": "higher",
        "no_answer_accuracy": "higher",
    }
    Options = QuestionAnsweringOptions
    card = CardInfo(example="Where is it?\tIt is in the second of two windows.")

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """None: an answer is a text."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """``question``, ``context``, and ``answers`` with their ``starts``, both lists. Raises
        RowError, as for an answer that does not stand in its context at its place, and for a
        question without an answer unless the option ``no_answer`` is set."""
        questions = read_texts(columns, "question")
        contexts = read_texts(columns, "context")
        cells = columns.get("answers") or [None] * length_of(columns)
        pairs = zip(cells, contexts, strict=True)
        read = [read_answers(cell, context) for cell, context in pairs]
        if self.options.no_answer is None and not all(texts for texts, _ in read):
            raise RowError("the question has no answer; to learn that, set no_answer: 0.0")
        answers, starts = zip(*read, strict=True)
        return {
            "question": questions,
            "context": contexts,
            "answers": list(answers),
            "starts": list(starts),
        }

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """The windows of each row, as ``compress_tasks.spans.windows_of`` makes them. The first
        answer of a row is the one that is learnt."""
        options = self.options
        texts = [row["question"] for row in rows]
        questions = shortened(texts, options.question_length, processor)
        encodings = processor.encode(
            [(question, row["context"]) for question, row in zip(questions, rows, strict=True)],
            max_length=options.max_length,
            stride=options.stride,
        )
        examples = []
        for place, (row, first) in enumerate(zip(rows, encodings, strict=True)):
            answer = first_answer(row.get("answers", ()), row.get("starts", ()))
            windows = windows_of(row, (first, *first.overflowing), answer, processor)
            examples += [{**window, "row": place} for window in windows]
        return examples

    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Padded arrays, and int64 [batch] ``start_positions`` and ``end_positions`` where the
        answers are known."""
        batch = pad(features, processor)
        for name in ("start_positions", "end_positions"):
            if all(name in f for f in features):
                batch[name] = np.array([f[name] for f in features], dtype=np.int64)
        return batch

    def distillable(
        self, outputs: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> list[Distillable]:
        """Where the span begins and where it ends, each a choice of one token of the window."""
        real = batch["attention_mask"].bool()
        return [Distillable(outputs[name], real) for name in OUTPUTS]

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """The best span of each window, as
        ``compress_tasks.bundled.questions.best_span`` finds it."""
        logits = zip(*(outputs[name] for name in OUTPUTS), strict=True)
        return [
            best_span(first, last, features, self.options.answer_length)
            for (first, last), features in zip(logits, batch, strict=True)
        ]

    def join(self, parts: Sequence[Prediction], row: Row) -> Prediction:
        """The span of the highest score in all windows, as
        ``compress_tasks.bundled.questions.joined`` finds it, or no answer."""
        return answering.joined(parts, row["context"], self.options.no_answer)

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: TextProcessor,
    ) -> Quality:
        """Means of ``f1`` and ``exact_match``. With ``no_answer`` also those of the questions that
        have an answer, and the share of the others that got none, as far as there are any."""
        from compress.scoring import quality
        from compress_tasks.squad_metric import AnswerMetric

        answers = [prediction["answer"] for prediction in predictions]
        return quality(
            AnswerMetric, answers, self._references(rows), apart=self.options.no_answer is not None
        )

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """(F1, exact match, 1) of each row, float64 [n, 3]."""
        answers = [prediction["answer"] for prediction in predictions]
        return scores_of(answers, self._references(rows))

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The mean F1 of summed counts [..., 3] -> [...]."""
        return statistics.ratio(counts[..., [0, 2]])

    def most_frequent(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> list[Prediction] | None:
        """That there is no answer, with ``no_answer``; else None."""
        if self.options.no_answer is None:
            return None
        return [{"answer": NO_ANSWER} for _ in rows]

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """The words of the answer that count; right if they are exactly those of a right one."""
        (references,) = self._references([row])
        _, exact = best_scores(prediction["answer"], references)
        return [
            Decision(
                " ".join(counted_words(prediction["answer"])),
                bool(exact),
                "answer" if references else "no answer",
                prediction.get("confidence"),
            )
        ]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """A question and its context; in one text, a tab stands between them."""
        return list(texts_of(requests, ("question", "context"), 2))

    def samples(self) -> list[Row]:
        """Questions to contexts of different lengths."""
        return self.request([("Who is it?", "One two three. " * n) for n in (1, 4, 9, 200)])

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The question, the answer with its probability, and the characters of the context that it
        has; none of them where there is no answer."""
        return answering.shown(row["question"], prediction)

    def _references(self, rows: Sequence[Row]) -> list[list[str]]:
        """The right answers of each row, as the rules of the data's version read them."""
        if self.options.no_answer is None:
            return [row["answers"] for row in rows]
        return [with_words(row["answers"]) for row in rows]
