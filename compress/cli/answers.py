"""Answers of a model folder, printed one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from compress.cli.shared import emit
from compress.cli.textlines import TextLine, opened, text_lines
from compress.errors import UsageError
from compress.report.text import visible
from compress.task import Shown

if TYPE_CHECKING:  # the command imports it late, with all that it needs
    from compress.serving import Predictor

Question = str | tuple[str, str]

_QUESTION = ("text", "text_pair")
"""Keys of an answer that repeat the question."""


def print_answers(predictor: Predictor, questions: Sequence[Question], as_json: bool) -> None:
    """Answer texts, or pairs of texts, and print all answers: as one JSON list, or a line each."""
    answers = predictor(questions)
    if as_json:
        emit(answers)
        return
    for question, answer in zip(questions, answers, strict=True):
        click.echo(_line(question, answer))


def stream_answers(predictor: Predictor, file: str, as_json: bool) -> None:
    """Answer each line of a file as it is read, and print the answer at once: as JSON on a line, or
    as text.

    Raises UsageError, with the place, at the first line that cannot be answered."""
    with opened(file) as (stream, name):
        for line in text_lines(stream, name):
            answer = _answer(predictor, line)
            if as_json:
                emit(answer, indent=None)
            else:
                click.echo(_line(line.text, answer))


def _answer(predictor: Predictor, line: TextLine) -> Shown:
    if line.problem:
        raise UsageError(line.problem).placed(line.place)
    try:
        (answer,) = predictor(line.text)
    except UsageError as error:  # it calls the text "text 1"
        raise UsageError([replace(m, where=line.place) for m in error.mistakes]) from None
    return answer


def _line(question: Question, answer: Shown) -> str:
    """The question and the answer, separated by tabs."""
    parts = question.split("\t") if isinstance(question, str) else question
    cells = [f"{key}={value}" for key, value in answer.items() if key not in _QUESTION]
    return visible("\t".join([*parts, *cells]))
