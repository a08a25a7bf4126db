"""Answers of a model folder, printed one by one."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from compress.cli.shared import emit
from compress.cli.textlines import opened, text_lines
from compress.errors import UsageError
from compress.report.text import visible
from compress.task import Shown

if TYPE_CHECKING:  # the command imports it late, with all that it needs
    from compress.predictor import Predictor

Question = str | tuple[str, str]
Asked = Mapping[str, Any]

_QUESTION = ("text", "text_pair")
"""Keys of an answer that repeat the question."""


def print_answers(
    predictor: Predictor, questions: Sequence[Question], as_json: bool, asked: Asked
) -> None:
    """Answer texts, or pairs of texts, and print all answers: as one JSON list, or a line each.
    ``asked`` are request options of the task."""
    if _comes_in_pieces(predictor, as_json):
        for question in questions:
            _print_pieces(predictor, question, asked)
        return
    answers = predictor(questions, **asked)
    if as_json:
        emit(answers)
        return
    for question, answer in zip(questions, answers, strict=True):
        click.echo(_line(question, answer))


def stream_answers(predictor: Predictor, file: str, as_json: bool, asked: Asked) -> None:
    """Answer each line of a file as it is read, and print the answer at once: as JSON on a line, or
    as text. ``asked`` are request options of the task.

    Raises UsageError, with the place, at the first line that cannot be answered."""
    with opened(file) as (stream, name):
        for line in text_lines(stream, name):
            if line.problem:
                raise UsageError(line.problem).placed(line.place)
            try:
                _stream_answer(predictor, line.text, as_json, asked)
            except UsageError as error:  # it calls the text "text 1"
                raise UsageError([replace(m, where=line.place) for m in error.mistakes]) from None


def _stream_answer(predictor: Predictor, text: str, as_json: bool, asked: Asked) -> None:
    if _comes_in_pieces(predictor, as_json):
        _print_pieces(predictor, text, asked)
        return
    (answer,) = predictor(text, **asked)
    if as_json:
        emit(answer, indent=None)
    else:
        click.echo(_line(text, answer))


def _comes_in_pieces(predictor: Predictor, as_json: bool) -> bool:
    """Whether somebody reads an answer while it is generated."""
    return not as_json and is_terminal() and bool(predictor.task.streams)


def is_terminal() -> bool:
    """Whether the standard output is one."""
    return sys.stdout.isatty()


def _print_pieces(predictor: Predictor, question: Question, asked: Asked) -> None:
    """Print what ``_line`` returns, and the answer's text as it comes."""
    begun = False

    def show(piece: str) -> None:
        nonlocal begun
        if not begun:
            click.echo(visible("\t".join([*_parts(question), f"{streamed}="])), nl=False)
        begun = True
        click.echo(visible(piece), nl=False)

    streamed = predictor.task.streams
    (answer,) = predictor([question], on_text=show, **asked)
    if not begun:  # it is empty, or was not told in pieces
        click.echo(_line(question, answer))
        return
    rest = _cells({key: value for key, value in answer.items() if key != streamed})
    click.echo(visible("".join(f"\t{cell}" for cell in rest)))


def _line(question: Question, answer: Shown) -> str:
    """The question and the answer, separated by tabs."""
    return visible("\t".join([*_parts(question), *_cells(answer)]))


def _parts(question: Question) -> Sequence[str]:
    return question.split("\t") if isinstance(question, str) else question


def _cells(answer: Shown) -> list[str]:
    return [f"{key}={value}" for key, value in answer.items() if key not in _QUESTION]
